"""Feature selection as one Triton kernel: every kept value is read once and written once."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from realnet_edge.kernels.tile_sizes import AFS_TILE, NARROW

# Of both axes of a tile where one side lies along the one and the other side along the other.
_SQUARE = 32


@triton.jit  # type: ignore[untyped-decorator]  # triton ships no types
def afs_gather_kernel(
    features: tl.tensor,
    index: tl.tensor,
    mean: tl.tensor | None,
    scale: tl.tensor | None,
    out: tl.tensor,
    kept: tl.tensor,
    pixels: tl.tensor,
    in_sample: tl.tensor,
    in_channel: tl.tensor,
    in_pixel: tl.tensor,
    out_sample: tl.tensor,
    out_channel: tl.tensor,
    out_pixel: tl.tensor,
    BLOCK_CHANNELS: tl.constexpr,
    BLOCK_PIXELS: tl.constexpr,
) -> None:
    """One tile of kept channels by pixels of one sample; the strides say how either side lies in memory."""
    # Wide before they are multiplied: a batch of large planes has more values than 32 bits count.
    sample = tl.program_id(2).to(tl.int64)
    place = tl.program_id(1).to(tl.int64) * BLOCK_CHANNELS + tl.arange(0, BLOCK_CHANNELS)
    pixel = tl.program_id(0).to(tl.int64) * BLOCK_PIXELS + tl.arange(0, BLOCK_PIXELS)
    present = place < kept
    channel = tl.load(index + place, mask=present, other=0).to(tl.int64)
    inside = present[:, None] & (pixel < pixels)[None, :]
    source = features + sample * in_sample + channel[:, None] * in_channel + pixel[None, :] * in_pixel
    values = tl.load(source, mask=inside, other=0.0).to(tl.float32)
    if mean is not None:
        values -= tl.load(mean + channel, mask=present, other=0.0).to(tl.float32)[:, None]
    if scale is not None:
        values *= tl.load(scale + channel, mask=present, other=0.0).to(tl.float32)[:, None]
    target = out + sample * out_sample + place[:, None] * out_channel + pixel[None, :] * out_pixel
    tl.store(target, values.to(out.dtype.element_ty), mask=inside)


def launch_afs_gather(
    features: Tensor, index: Tensor, mean: Tensor | None, scale: Tensor | None, out: Tensor
) -> None:
    """Fill `out` with the kept channels of `features`; nothing is checked.

    Args:
        features: float (N, C, H, W), contiguous or channels last.
        index: int64 or int32 (m,), contiguous, each in 0..C - 1.
        mean, scale: float (C,), contiguous; None leaves the step out.
        out: float (N, m, H, W), contiguous or channels last.
    """
    samples, kept, height, width = out.shape
    if not out.numel():
        return
    pixels = height * width
    block_channels, block_pixels = _tile(kept, pixels, _pixels_first(features), _pixels_first(out))
    grid = (triton.cdiv(pixels, block_pixels), triton.cdiv(kept, block_channels), samples)
    with torch.cuda.device_of(features):
        afs_gather_kernel[grid](
            features,
            index,
            mean,
            scale,
            out,
            kept,
            pixels,
            *_strides(features),
            *_strides(out),
            BLOCK_CHANNELS=block_channels,
            BLOCK_PIXELS=block_pixels,
            num_warps=4,
            # A subtraction before a product: there is nothing to contract, and the reference rounds twice.
            enable_fp_fusion=False,
        )


def _strides(planes: Tensor) -> tuple[int, int, int]:
    """Sample, channel and pixel stride: rows follow each other without a gap in both layouts."""
    sample, channel, _, column = planes.stride()
    # The stride of a row of one pixel says nothing.
    return sample, channel, column if planes.shape[3] > 1 else planes.stride(2)


def _pixels_first(planes: Tensor) -> bool:
    """Whether neighbours in memory are pixels of one channel."""
    return _strides(planes)[1] != 1


def _tile(kept: int, pixels: int, pixels_read: bool, pixels_written: bool) -> tuple[int, int]:
    """Channels and pixels of a tile, powers of two: long where both sides lie side by side in memory."""
    channels, along = triton.next_power_of_2(kept), triton.next_power_of_2(pixels)
    if pixels_read and pixels_written:
        block_pixels = min(along, AFS_TILE // NARROW)
        return min(channels, AFS_TILE // block_pixels), block_pixels
    if not pixels_read and not pixels_written:
        block_channels = min(channels, AFS_TILE // NARROW)
        return block_channels, min(along, AFS_TILE // block_channels)
    return min(channels, _SQUARE), min(along, _SQUARE)
