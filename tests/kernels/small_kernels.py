"""Kernels that are quick to compile. Tests copy this file, may change it, and put the copy on the path."""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def scaled(values: tl.tensor, factor: tl.tensor) -> tl.tensor:
    return values * factor * 2.0


@triton.jit
def peak(
    sources: tl.tuple,
    out: tl.tensor,
    count: tl.tensor,
    factor: tl.tensor,
    absent: tl.tensor | None,
    TERMS: tl.constexpr,  # noqa: N803  # compiled-in sizes are written so in the field
    BLOCK: tl.constexpr,  # noqa: N803
) -> None:
    """Scaled sums of TERMS arrays, and the largest one of every BLOCK of them."""
    block = tl.program_id(0)
    offsets = block * BLOCK + tl.arange(0, BLOCK)
    inside = offsets < count
    total = tl.zeros((BLOCK,), tl.float32)
    for term in tl.static_range(TERMS):
        total += scaled(tl.load(sources[term] + offsets, inside, other=0.0).to(tl.float32), factor)
    if absent is not None:
        total += tl.load(absent + offsets, inside, other=0.0)
    tl.store(out + count + block, tl.max(total, 0))
    tl.store(out + offsets, total, inside)


@triton.jit
def centre(source: tl.tensor, out: tl.tensor, BLOCK: tl.constexpr) -> None:  # noqa: N803
    """Subtract the mean; all BLOCK values are held at once, so that a large BLOCK needs many registers."""
    offsets = tl.arange(0, BLOCK)
    values = tl.load(source + offsets).to(tl.float32)
    tl.store(out + offsets, values - tl.sum(values, 0) / BLOCK)


@triton.jit
def ampere(source: tl.tensor, out: tl.tensor, BLOCK: tl.constexpr) -> None:  # noqa: N803
    """Uses an instruction that sm_75 does not have."""
    offsets = tl.arange(0, BLOCK)
    summed = tl.inline_asm_elementwise(
        "redux.sync.add.s32 $0, $1, 0xffffffff;", "=r,r", [tl.load(source + offsets)], tl.int32, False, 1
    )
    tl.store(out + offsets, summed)


@triton.jit
def broken(source: tl.tensor, BLOCK: tl.constexpr) -> None:  # noqa: N803
    tl.store(source + tl.arange(0, BLOCK), nowhere)  # noqa: F821  # what the test is about
