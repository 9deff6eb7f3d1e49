"""Small kernels to compile, and what became of them on every target."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from realnet_edge.kernels.ahead_of_time import TargetResult, compile_kernels
from realnet_edge.kernels.ptxas import installed_ptxas
from realnet_edge.kernels.spec import KernelSpec
from realnet_edge.kernels.targets import TARGETS, Target

MODULE = "small_kernels"
PEAK = KernelSpec(
    "peak_f32_f16",
    f"{MODULE}:peak",
    {"sources": ("*fp32", "*fp16"), "out": "*fp32", "count": "i32", "factor": "fp32"},
    {"absent": None, "TERMS": 2, "BLOCK": 512},
    aligned=("sources", "out", "count"),
)
# 256 values a thread cannot stay in 255 registers.
SPILLING = KernelSpec(
    "centre_spilling", f"{MODULE}:centre", {"source": "*fp16", "out": "*fp32"}, {"BLOCK": 8192}, num_warps=1
)
CENTRE = KernelSpec("centre_f16", f"{MODULE}:centre", {"source": "*fp16", "out": "*fp32"}, {"BLOCK": 256})
AMPERE = KernelSpec("ampere", f"{MODULE}:ampere", {"source": "*i32", "out": "*i32"}, {"BLOCK": 128})
BROKEN = KernelSpec("broken", f"{MODULE}:broken", {"source": "*i32"}, {"BLOCK": 128})


def has_ptxas(target: Target) -> bool:
    """Whether an assembler here knows a target: those that come with Triton 3.6 do not know sm_110."""
    return any(ptxas.takes(target, target.default_ptx) for ptxas in installed_ptxas())


def _require_triton() -> None:
    """Skip where Triton is not installed."""
    if importlib.util.find_spec("triton") is None:
        pytest.skip("Triton is not installed: no kernel can be compiled")


@pytest.fixture(autouse=True)
def seeded() -> None:
    """The same numbers in every run: rounding, and ties, are then the same, too."""
    torch.manual_seed(0)


@dataclass(frozen=True)
class SmallKernels:
    """A module of kernels that child processes can import, and specifications of them."""

    path: Path
    peak: KernelSpec = PEAK
    centre: KernelSpec = CENTRE
    spilling: KernelSpec = SPILLING
    ampere: KernelSpec = AMPERE
    broken: KernelSpec = BROKEN


@pytest.fixture
def small_kernels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SmallKernels:
    """A copy of the small kernels that a test may change."""
    _require_triton()
    folder = tmp_path / "modules"
    folder.mkdir()
    monkeypatch.setenv("PYTHONPATH", str(folder), prepend=os.pathsep)
    return SmallKernels(Path(shutil.copy(Path(__file__).with_name(f"{MODULE}.py"), folder)))


@dataclass(frozen=True)
class Compiled:
    """What `compile_kernels` left in a folder and returned."""

    out: Path
    specs: tuple[KernelSpec, ...]
    results: tuple[TargetResult, ...]


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Compiled]:
    """Two small kernels for every target, compiled once; tests only read them."""
    _require_triton()
    out, specs = tmp_path_factory.mktemp("kernels") / "out", (PEAK, CENTRE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(__file__).parent), prepend=os.pathsep)
        # As in a session that debugs kernels on the CPU: the compiling processes must not inherit it.
        patch.setenv("TRITON_INTERPRET", "1")
        targets = [target for target in TARGETS if has_ptxas(target)]
        yield Compiled(out, specs, tuple(compile_kernels(specs, targets, out)))


@pytest.fixture
def triton() -> None:
    """Skip where Triton is not installed."""
    _require_triton()
