"""Compiled kernels on their way into an engine: read, hashed, carried, refused where they are not right."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from realnet_edge.errors import ConfigError, KernelError
from realnet_edge.files import write_json
from realnet_edge.kernels.kernel_set import KernelSet, LoadedKernel, load_kernel_set

NAMES = ("rrs_rank_max", "rrs_place")


@pytest.fixture
def folder(uncompiled: Callable[..., KernelSet], tmp_path: Path) -> Path:
    """Both kernels as the compiler leaves them."""
    for name, kernel in uncompiled(NAMES).kernels.items():
        write(tmp_path, name, kernel)
    return tmp_path


def write(folder: Path, name: str, kernel: LoadedKernel, **changes: Any) -> None:
    about = dataclasses.replace(kernel.about, **changes)
    write_json(folder / "sm_87" / f"{name}.json", about.to_dict())
    (folder / "sm_87" / f"{name}.cubin").write_bytes(kernel.cubin)


def test_what_was_compiled_is_read_and_survives_an_engine(folder: Path) -> None:
    found = load_kernel_set(folder, 87, NAMES)
    assert set(found.kernels) == set(NAMES)
    assert found["rrs_place"].cubin == b"rrs_place"
    carried = KernelSet.from_bytes(found.to_bytes())
    assert carried == found
    assert carried.sha256 == found.sha256
    with pytest.raises(KernelError, match="kernel rrs_rank_mean is not among those at hand: rrs_rank_max"):
        found["rrs_rank_mean"]


def test_the_hash_is_that_of_the_code(folder: Path) -> None:
    before = load_kernel_set(folder, 87, NAMES)
    old = before["rrs_place"]
    code = b"other code"
    digest = hashlib.sha256(code).hexdigest()
    write(folder, "rrs_place", LoadedKernel(old.about, code), cubin_sha256=digest)
    assert load_kernel_set(folder, 87, NAMES).sha256 != before.sha256


def test_what_is_missing_is_said_with_the_command(folder: Path) -> None:
    command = rf"python -m realnet_edge\.kernels\.compile --sm 87 --out {folder}"
    with pytest.raises(KernelError, match=rf"lacks 1 of the 3 kernels .*rrs_rank_mean.*{command}"):
        load_kernel_set(folder, 87, (*NAMES, "rrs_rank_mean"))
    with pytest.raises(KernelError, match=r"sm_110 lacks 2 of the 2 kernels .*--sm 110"):
        load_kernel_set(folder, 110, NAMES)
    with pytest.raises(ConfigError, match="kernels are not compiled for SM 88"):
        load_kernel_set(folder, 88, NAMES)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"cubin_sha256": "1" * 64}, "is not what was compiled"),
        ({"cubin_sha256": None}, "was not written, only PTX: .*--cubin"),
        ({"constants": {"PLACED": 1, "COMPARED": 1}}, "compiled by another version"),
        ({"parameters": ()}, "compiled by another version"),
        ({"dynamic_shared": 99999}, "needs 99999 bytes of shared memory"),
    ],
)
def test_a_kernel_that_cannot_be_launched_is_refused(
    changes: dict[str, Any], says: str, folder: Path, uncompiled: Callable[..., KernelSet]
) -> None:
    write(folder, "rrs_place", uncompiled(NAMES)["rrs_place"], **changes)
    with pytest.raises(KernelError, match=says):
        load_kernel_set(folder, 87, NAMES)


def test_damaged_fields_of_an_engine_are_refused(folder: Path) -> None:
    content = load_kernel_set(folder, 87, NAMES).to_bytes()
    for damaged in (content[:-9], b"{}x", b'{"rrs_place": {}}', b'{"rrs_place": 1}'):
        with pytest.raises(KernelError, match=r"cannot be read.*build the bundle again"):
            KernelSet.from_bytes(damaged)
    # One character of the code, in base64.
    swapped = content.replace(b"cnJzX3BsYWNl", b"cnJzX3BsYWNm")
    assert swapped != content
    with pytest.raises(KernelError, match="code of kernel rrs_place is not what was compiled"):
        KernelSet.from_bytes(swapped)
