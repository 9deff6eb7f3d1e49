"""Kernels that are quick to compile; tests copy this file, change it, and put its folder on the path."""

from __future__ import annotations

import triton
import triton.language as tl

FACTOR: tl.constexpr = tl.constexpr(2.0)


@triton.jit
def scaled(values, factor):  # noqa: ANN001, ANN201  # JIT functions: their types are Triton's
    return values * factor * FACTOR


@triton.jit
def peak(sources, out, count, factor, absent, TERMS: tl.constexpr, BLOCK: tl.constexpr):  # noqa: ANN001, ANN201, N803
    """The largest scaled sum of each block of BLOCK values, and the sums themselves."""
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
def copy(source, out, count, BLOCK: tl.constexpr):  # noqa: ANN001, ANN201, N803
    offsets = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.store(out + offsets, tl.load(source + offsets, offsets < count), offsets < count)
