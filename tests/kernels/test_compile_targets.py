"""Targets, PTX versions and assemblers: nothing here needs Triton's compiler."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from realnet_edge.errors import ConfigError, DependencyError, KernelError
from realnet_edge.kernels.ptxas import Ptxas, assemble, find_ptxas, installed_ptxas, parse_resources
from realnet_edge.kernels.targets import (
    CUDA_OF_PTX,
    TARGETS,
    Target,
    choose_ptx_version,
    dotted,
    find_target,
)

# Triton compiles for these accelerated variants, whose minimum counts.
ACCELERATED = {90: "sm_90a", 110: "sm_110a", 120: "sm_120a"}


def _accepts(ptxas: Ptxas, name: str, version: int, folder: Path) -> bool:
    source = folder / "empty.ptx"
    source.write_text(
        f".version {dotted(version)}\n.target {name}\n.address_size 64\n.visible .entry k() {{ ret; }}\n"
    )
    command = [ptxas.path, f"--gpu-name={name}", source, "-o", folder / "empty.cubin"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_minimal_ptx_version_is_the_one_that_the_assembler_enforces(target: Target, tmp_path: Path) -> None:
    fitting = [ptxas for ptxas in installed_ptxas() if ptxas.takes(target, target.minimum_ptx)]
    if not fitting:
        pytest.skip(f"no ptxas here knows {target.name}")
    name = ACCELERATED.get(target.sm, target.name)
    older = max((version for version in CUDA_OF_PTX if version < target.minimum_ptx), default=62)
    assert _accepts(fitting[0], name, target.minimum_ptx, tmp_path)
    assert not _accepts(fitting[0], name, older, tmp_path)


def test_default_is_what_the_oldest_supported_driver_loads() -> None:
    versions = {target.sm: choose_ptx_version(target) for target in TARGETS}
    assert versions == {75: 85, 80: 85, 86: 85, 87: 85, 89: 85, 90: 85, 110: 90, 120: 87}
    assert (CUDA_OF_PTX[85], CUDA_OF_PTX[90], CUDA_OF_PTX[92]) == ("12.5", "13.0", "13.2")


def test_unknown_target_is_refused_with_the_valid_ones() -> None:
    with pytest.raises(ConfigError, match=r"SM 88.*75 \(T4.*87 \(Jetson Orin\).*110 \(Jetson Thor\)"):
        find_target(88)


@pytest.mark.parametrize(
    ("sm", "version", "message"),
    [
        (120, 86, r"PTX 8\.6 is too old for sm_120 .*at least 87 \(CUDA 12\.8\)"),
        (110, 88, r"too old for sm_110 .*at least 90"),
        (90, 78, r"too old for sm_90 .*at least 80"),
        (87, 89, r"no PTX version 89 here.*85, 86, 87, 88, 90"),
    ],
)
def test_ptx_version_that_cannot_be_is_refused(sm: int, version: int, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        choose_ptx_version(find_target(sm), version)


def _ptxas(name: str, cuda: tuple[int, int], shipped: bool, *targets: str) -> Ptxas:
    return Ptxas(Path(name), cuda, frozenset(targets), shipped)


OLD = _ptxas("old", (12, 9), True, "sm_87", "sm_120")
NEW = _ptxas("new", (13, 4), True, "sm_87", "sm_110", "sm_120")
ON_PATH = _ptxas("path", (12, 6), False, "sm_87")


@pytest.mark.parametrize(
    ("sm", "version", "name"), [(87, 85, "old"), (87, 90, "new"), (110, 90, "new"), (120, 87, "old")]
)
def test_triton_s_oldest_fitting_assembler_is_taken(sm: int, version: int, name: str) -> None:
    assert find_ptxas(find_target(sm), version, [ON_PATH, NEW, OLD]).path == Path(name)


def test_assembler_on_path_is_taken_where_triton_s_do_not_fit() -> None:
    assert find_ptxas(find_target(87), 85, [ON_PATH]) is ON_PATH


def test_no_fitting_assembler_names_those_found() -> None:
    with pytest.raises(DependencyError, match=r"PTX 9\.0 for sm_110; found: path \(CUDA 12\.6\), old"):
        find_ptxas(find_target(110), 90, [ON_PATH, OLD])


def test_refused_ptx_gives_what_the_assembler_said() -> None:
    target = find_target(87)
    if not any(ptxas.takes(target, 85) for ptxas in installed_ptxas()):
        pytest.skip("no ptxas here")
    ptx = ".version 8.5\n.target sm_87\n.address_size 64\n.visible .entry k()\n{\n nonsense;\n}\n"
    with pytest.raises(KernelError, match=r"(?s)refuses the PTX for sm_87.*nonsense"):
        assemble(find_ptxas(target, 85), ptx, target, fp_fusion=True)


def test_report_without_registers_is_an_error() -> None:
    with pytest.raises(KernelError, match="did not report"):
        parse_resources("ptxas info : nothing")
