"""What RRS's kernels refuse before a launch."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from realnet_edge.kernels.checks import (
    FLOATS,
    INTEGERS,
    KernelArgumentError,
    check_dtype,
    check_length,
    check_rank,
    check_same_device,
)


def check_pairs(selected: Sequence[Tensor], reconstructed: Sequence[Tensor]) -> int:
    """Refuse blocks that do not belong together.

    Returns:
        C, the planes of all blocks.

    Raises:
        KernelArgumentError: no blocks, as many on one side only, or shapes, dtypes or devices that differ.
    """
    if not selected or len(selected) != len(reconstructed):
        raise KernelArgumentError(
            f"{len(selected)} selected and {len(reconstructed)} reconstructed blocks; valid: as many of "
            "each, at least one."
        )
    for number, (block, other) in enumerate(zip(selected, reconstructed, strict=True)):
        check_rank(f"selected[{number}]", block, 4, "(N, C, H, W)")
        if block.shape != other.shape or 0 in block.shape:
            raise KernelArgumentError(
                f"selected[{number}] has shape {tuple(block.shape)}, reconstructed[{number}] "
                f"{tuple(other.shape)}; valid: the same, with at least one of everything."
            )
        if block.shape[0] != selected[0].shape[0]:
            raise KernelArgumentError(
                f"selected[{number}] holds {block.shape[0]} samples, selected[0] {selected[0].shape[0]}; "
                "valid: as many in every block."
            )
    _check_alike(selected, reconstructed)
    return sum(block.shape[1] for block in selected)


def _check_alike(selected: Sequence[Tensor], reconstructed: Sequence[Tensor]) -> None:
    named = {f"selected[{number}]": block for number, block in enumerate(selected)}
    named |= {f"reconstructed[{number}]": block for number, block in enumerate(reconstructed)}
    for name, block in named.items():
        check_dtype(name, block.dtype, FLOATS)
    if len({block.dtype for block in named.values()}) > 1:
        shown = ", ".join(f"{name} {block.dtype}" for name, block in named.items())
        raise KernelArgumentError(f"dtypes differ: {shown}; valid: one for all blocks.")
    check_same_device(named)


def check_select(
    selected: Sequence[Tensor], mean: Tensor, variance: Tensor, planes: int, k_max: int, k_mean: int
) -> None:
    """Refuse statistics or numbers of planes that do not fit.

    Raises:
        KernelArgumentError: a vector of another length or dtype, or more planes wanted than there are.
    """
    for name, values in (("mean", mean), ("variance", variance)):
        check_dtype(name, values.dtype, (torch.float32,))
        check_length(name, values, planes, "plane of all blocks")
    check_same_device({"selected[0]": selected[0], "mean": mean, "variance": variance})
    for name, count in (("k_max", k_max), ("k_mean", k_mean)):
        if not 0 <= count <= planes:
            raise KernelArgumentError(f"{name} is {count}; valid: 0..{planes}, the planes of all blocks.")
    if k_max + k_mean == 0:
        raise KernelArgumentError("k_max and k_mean are both 0; valid: at least one plane in all.")


def check_source(selected: Sequence[Tensor], source: Tensor) -> None:
    """Refuse places in a form that names no planes; values are not looked at.

    Raises:
        KernelArgumentError: another shape, dtype or device.
    """
    check_rank("source", source, 2, "(N, P)")
    check_dtype("source", source.dtype, INTEGERS)
    samples = selected[0].shape[0]
    if source.shape[0] != samples or source.shape[1] == 0:
        raise KernelArgumentError(
            f"source has shape {tuple(source.shape)}; valid: ({samples}, P), P at least 1."
        )
    check_same_device({"selected[0]": selected[0], "source": source})
