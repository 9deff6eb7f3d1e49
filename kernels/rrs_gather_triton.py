"""What RRS hands on as one Triton kernel: chosen residual planes, upsampled where they are written."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from realnet_edge.kernels.residual_triton import Blocks, evaluated
from realnet_edge.kernels.tile_sizes import SIDE_BY_SIDE, TILE

LARGEST_HALF = tl.constexpr(65504.0)


@triton.jit  # type: ignore[untyped-decorator]  # triton ships no types
def rrs_gather_kernel(
    selected: tl.tuple,
    reconstructed: tl.tuple,
    channels: tl.tuple,
    heights: tl.tuple,
    widths: tl.tuple,
    source: tl.tensor,
    out: tl.tensor,
    out_height: tl.tensor,
    out_width: tl.tensor,
    places: tl.tensor,
    CHANNELS_LAST: tl.constexpr,
    OUT_CHANNELS_LAST: tl.constexpr,
    SATURATE: tl.constexpr,
    BLOCK_PLACES: tl.constexpr,
    BLOCK_PIXELS: tl.constexpr,
) -> None:
    """Some pixels of some places of one sample, each place from the plane that `source` names.

    Program (tile of pixels, tile of places, sample); `source` is int64 (N, places), -1 for zeros. With
    `SATURATE` a square that is too large for float16 becomes its largest number, not infinity.
    """
    sample = tl.program_id(2).to(tl.int64)
    place = tl.program_id(1) * BLOCK_PLACES + tl.arange(0, BLOCK_PLACES)
    pixel = tl.program_id(0) * BLOCK_PIXELS + tl.arange(0, BLOCK_PIXELS)[None, :]
    pixels = out_height * out_width
    wanted = tl.load(source + sample * places + place, mask=place < places, other=-1).to(tl.int32)
    value = tl.zeros((BLOCK_PLACES, BLOCK_PIXELS), tl.float32)
    first_plane = 0
    for block in tl.static_range(len(selected)):
        channel = wanted - first_plane
        here = (channel >= 0) & (channel < channels[block])
        if tl.max(here.to(tl.int32), axis=0) > 0:
            # Masked values are 0: each place gets its own block's and nothing else.
            value += evaluated(
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
                here[:, None] & (pixel < pixels),
                CHANNELS_LAST,
            )
        first_plane += channels[block]
    if SATURATE:
        value = tl.minimum(value, LARGEST_HALF, propagate_nan=tl.PropagateNan.ALL)
    place_stride = 1 if OUT_CHANNELS_LAST else pixels
    step = places if OUT_CHANNELS_LAST else 1
    target = out + sample * places * pixels + place[:, None] * place_stride + pixel * step
    mask = (place < places)[:, None] & (pixel < pixels)
    tl.store(target, value.to(out.dtype.element_ty), mask=mask)


def launch_rrs_gather(blocks: Blocks, source: Tensor, out: Tensor, channels_last: bool) -> None:
    """Fill `out` with chosen planes at the finest resolution; nothing is checked.

    Args:
        blocks: all residuals.
        source: int64 (N, P), contiguous: the plane that each place takes, over all blocks; -1 for zeros.
        out: float (N, P, H_1, W_1).
        channels_last: how `out` lies in memory; contiguous otherwise.
    """
    samples, places, height, width = out.shape
    if not out.numel():
        return
    # Neighbours of a tile are written side by side.
    block_places = min(SIDE_BY_SIDE, triton.next_power_of_2(places)) if channels_last else 1
    block_pixels = min(TILE // block_places, triton.next_power_of_2(height * width))
    grid = (triton.cdiv(height * width, block_pixels), triton.cdiv(places, block_places), samples)
    with torch.cuda.device_of(out):
        rrs_gather_kernel[grid](
            *blocks.arguments,
            source,
            out,
            height,
            width,
            places,
            CHANNELS_LAST=blocks.channels_last,
            OUT_CHANNELS_LAST=channels_last,
            SATURATE=False,
            BLOCK_PLACES=block_places,
            BLOCK_PIXELS=block_pixels,
            num_warps=4,
            enable_fp_fusion=True,
        )
