"""Chosen planes in their own places: what the gather reads where all planes are handed on."""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit  # type: ignore[untyped-decorator]  # triton ships no types
def rrs_place_kernel(
    indices: tl.tensor,
    source: tl.tensor,
    planes: tl.tensor,
    columns: tl.tensor,
    PLACED: tl.constexpr,
    COMPARED: tl.constexpr,
) -> None:
    """Each plane's own number where it was chosen, -1 where it was not.

    Program (planes, sample); `indices` is int64 (N, columns), `source` int64 (N, planes).
    """
    sample = tl.program_id(1).to(tl.int64)
    plane = tl.program_id(0) * PLACED + tl.arange(0, PLACED)
    chosen = tl.zeros((PLACED,), tl.int32)
    for start in range(0, columns, COMPARED):
        column = start + tl.arange(0, COMPARED)
        named = tl.load(indices + sample * columns + column, mask=column < columns, other=-1).to(tl.int32)
        chosen += tl.sum((named[None, :] == plane[:, None]).to(tl.int32), axis=1)
    value = tl.where(chosen > 0, plane, -1).to(tl.int64)
    tl.store(source + sample * planes + plane, value, mask=plane < planes)
