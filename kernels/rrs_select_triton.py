"""The choice of RRS as two Triton kernels: pool the residuals of every plane, rank the planes."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from realnet_edge.kernels.residual_triton import Blocks, evaluated
from realnet_edge.kernels.tile_sizes import COMPARED, PLACED, SIDE_BY_SIDE, TILE, pool_parts


@triton.jit  # type: ignore[untyped-decorator]  # triton ships no types
def rrs_pool_kernel(
    selected: tl.tuple,
    reconstructed: tl.tuple,
    channels: tl.tuple,
    heights: tl.tuple,
    widths: tl.tuple,
    maximum: tl.tensor,
    total: tl.tensor,
    out_height: tl.tensor,
    out_width: tl.tensor,
    planes: tl.tensor,
    CHANNELS_LAST: tl.constexpr,
    BLOCK_CHANNELS: tl.constexpr,
    BLOCK_PIXELS: tl.constexpr,
) -> None:
    """Maximum and sum of some planes of one block over one part of the output pixels.

    Program (tile of channels over all blocks, part of the pixels, sample); `maximum` and `total` are
    float32 (N, parts, planes).
    """
    tile, part, sample = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    parts = tl.num_programs(1)
    pixels = out_height * out_width
    share = tl.cdiv(pixels, parts)
    first_tile, first_plane = 0, 0
    for block in tl.static_range(len(selected)):
        tiles = tl.cdiv(channels[block], BLOCK_CHANNELS)
        if (tile >= first_tile) & (tile < first_tile + tiles):
            channel = (tile - first_tile) * BLOCK_CHANNELS + tl.arange(0, BLOCK_CHANNELS)
            present = channel < channels[block]
            highest = tl.full((BLOCK_CHANNELS, BLOCK_PIXELS), 0.0, tl.float32)
            summed = tl.zeros((BLOCK_CHANNELS, BLOCK_PIXELS), tl.float32)
            end = tl.minimum((part + 1) * share, pixels)
            for start in range(part * share, end, BLOCK_PIXELS):
                pixel = start + tl.arange(0, BLOCK_PIXELS)[None, :]
                mask = present[:, None] & (pixel < end)
                value = evaluated(
                    selected[block],
                    reconstructed[block],
                    sample,
                    channel,
                    pixel,
                    channels[block],
                    heights[block],
                    widths[block],
                    out_height,
                    out_width,
                    mask,
                    CHANNELS_LAST,
                )
                # Masked values are 0, the least that a square can be. A NaN stays: it must rank first.
                highest = tl.maximum(highest, value, propagate_nan=tl.PropagateNan.ALL)
                summed += value
            out = (sample.to(tl.int64) * parts + part) * planes + first_plane + channel
            tl.store(maximum + out, _highest(highest), mask=present)
            tl.store(total + out, tl.sum(summed, axis=1), mask=present)
        first_tile += tiles
        first_plane += channels[block]


@triton.jit  # type: ignore[untyped-decorator]  # triton ships no types
def _higher(first: tl.tensor, second: tl.tensor) -> tl.tensor:
    return tl.maximum(first, second, propagate_nan=tl.PropagateNan.ALL)


@triton.jit  # type: ignore[untyped-decorator]  # triton ships no types
def _highest(values: tl.tensor) -> tl.tensor:
    """Maximum of each row, NaN where one is NaN."""
    return tl.reduce(values, 1, _higher)


@triton.jit  # type: ignore[untyped-decorator]  # triton ships no types
def _score(
    pooled: tl.tensor,
    mean: tl.tensor,
    variance: tl.tensor,
    plane: tl.tensor,
    planes: tl.tensor,
    parts: tl.tensor,
    pixels: tl.tensor,
    eps: tl.tensor,
    BY_MEAN: tl.constexpr,
) -> tl.tensor:
    """Normalised scores of planes from a sample's partial results; absent planes lose against all others."""
    present = plane < planes
    value = tl.zeros(plane.shape, tl.float32)
    for part in range(parts):
        partial = tl.load(pooled + part * planes + plane, mask=present, other=0.0)
        if BY_MEAN:
            value += partial
        else:
            value = tl.maximum(value, partial, propagate_nan=tl.PropagateNan.ALL)
    if BY_MEAN:
        value = value / pixels
    centre = tl.load(mean + plane, mask=present, other=0.0).to(tl.float32)
    spread = tl.load(variance + plane, mask=present, other=1.0).to(tl.float32)
    score = (value - centre) * tl.rsqrt(spread + eps)
    # NaN compares with nothing, and every plane must have a place of its own.
    score = tl.where(score == score, score, float("inf"))
    return tl.where(present, score, float("-inf"))


@triton.jit  # type: ignore[untyped-decorator]  # triton ships no types
def rrs_rank_kernel(
    pooled: tl.tensor,
    mean: tl.tensor,
    variance: tl.tensor,
    indices: tl.tensor,
    planes: tl.tensor,
    parts: tl.tensor,
    pixels: tl.tensor,
    kept: tl.tensor,
    first: tl.tensor,
    columns: tl.tensor,
    eps: tl.tensor,
    BY_MEAN: tl.constexpr,
    PLACED: tl.constexpr,
    COMPARED: tl.constexpr,
) -> None:
    """The places of some planes in one mode's order, and the indices of those that are kept.

    A plane's place is the number of planes that come before it: those with a higher score, and those with
    the same one and a lower index. Nothing is sorted, and every program works by itself.

    Program (planes that are placed, sample); `pooled` is float32 (N, parts, planes), `indices` int64
    (N, columns), of which this mode fills `kept` from `first` on.
    """
    sample = tl.program_id(1).to(tl.int64)
    plane = tl.program_id(0) * PLACED + tl.arange(0, PLACED)
    pooled += sample * parts * planes
    ours = _score(pooled, mean, variance, plane, planes, parts, pixels, eps, BY_MEAN)
    place = tl.zeros((PLACED,), tl.int32)
    for start in range(0, planes, COMPARED):
        other = start + tl.arange(0, COMPARED)
        theirs = _score(pooled, mean, variance, other, planes, parts, pixels, eps, BY_MEAN)
        higher = theirs[None, :] > ours[:, None]
        equal = (theirs[None, :] == ours[:, None]) & (other[None, :] < plane[:, None])
        before = (higher | equal) & (other < planes)[None, :]
        place += tl.sum(before.to(tl.int32), axis=1)
    chosen = (plane < planes) & (place < kept)
    tl.store(indices + sample * columns + first + place, plane.to(tl.int64), mask=chosen)


def launch_rrs_select(
    blocks: Blocks, mean: Tensor, variance: Tensor, eps: float, k_max: int, indices: Tensor
) -> None:
    """Fill `indices` with the planes of the highest scores; nothing is checked.

    Args:
        blocks: all residuals.
        mean, variance: float (C,), contiguous.
        eps: added to the variance.
        k_max: planes chosen by their maximum; the others by their mean.
        indices: int64 (N, k), contiguous.
    """
    samples, columns = indices.shape
    planes = mean.shape[0]
    pooled = launch_rrs_pool(blocks, planes)
    height, width = blocks.size
    with torch.cuda.device_of(indices):
        for by_mean, first, kept in ((False, 0, k_max), (True, k_max, columns - k_max)):
            if kept == 0:
                continue
            rrs_rank_kernel[(triton.cdiv(planes, PLACED), samples)](
                pooled[int(by_mean)],
                mean,
                variance,
                indices,
                planes,
                pooled.shape[2],
                height * width,
                kept,
                first,
                columns,
                eps,
                BY_MEAN=by_mean,
                PLACED=PLACED,
                COMPARED=COMPARED,
                num_warps=4,
                enable_fp_fusion=True,
            )


def launch_rrs_pool(blocks: Blocks, planes: int) -> Tensor:
    """Maxima and sums of all planes over parts of their pixels.

    Args:
        blocks: all residuals.
        planes: C, over all blocks.

    Returns:
        float32 (2, N, parts, C): the maxima, then the sums.
    """
    samples = blocks.selected[0].shape[0]
    pixels = blocks.size[0] * blocks.size[1]
    widest = max(block.shape[1] for block in blocks.selected)
    block_channels = min(SIDE_BY_SIDE, triton.next_power_of_2(widest)) if blocks.channels_last else 1
    block_pixels = min(TILE // block_channels, triton.next_power_of_2(pixels))
    tiles = sum(triton.cdiv(block.shape[1], block_channels) for block in blocks.selected)
    parts = pool_parts(tiles, samples, triton.cdiv(pixels, block_pixels))
    pooled = torch.empty((2, samples, parts, planes), dtype=torch.float32, device=blocks.selected[0].device)
    with torch.cuda.device_of(pooled):
        rrs_pool_kernel[(tiles, parts, samples)](
            *blocks.arguments,
            pooled[0],
            pooled[1],
            *blocks.size,
            planes,
            CHANNELS_LAST=blocks.channels_last,
            BLOCK_CHANNELS=block_channels,
            BLOCK_PIXELS=block_pixels,
            num_warps=4,
            enable_fp_fusion=True,
        )
    return pooled
