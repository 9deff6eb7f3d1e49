"""What RRS's Triton kernels share: squared residuals of coarse planes, evaluated at any output pixel.

No upsampled plane reaches memory but those that are handed on: every output pixel is evaluated from its four
neighbours in the coarse planes, which a multiprocessor keeps in its own cache. Blocks come as tuples, so that
one launch serves all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import triton
import triton.language as tl
from torch import Tensor

from realnet_edge.kernels.layout import is_channels_last, memory_format, plane_size


@triton.jit  # type: ignore[untyped-decorator]  # triton ships no types
def _along(
    position: tl.tensor, source: tl.tensor, target: tl.tensor
) -> tuple[tl.tensor, tl.tensor, tl.tensor]:
    """Where output positions look along one axis: lower and upper input position, share of the upper one."""
    # The quotient is rounded as PyTorch's: an approximate one could step over a whole position.
    scale = tl.div_rn((source - 1).to(tl.float32), tl.maximum(target - 1, 1).to(tl.float32))
    exact = position.to(tl.float32) * scale
    lower = tl.minimum(exact.to(tl.int32), source - 1)
    return lower, tl.minimum(lower + 1, source - 1), exact - lower.to(tl.float32)


@triton.jit  # type: ignore[untyped-decorator]  # triton ships no types
def _squared(selected: tl.tensor, reconstructed: tl.tensor, offset: tl.tensor, mask: tl.tensor) -> tl.tensor:
    """Squared residual at offsets, in float32."""
    ours = tl.load(selected + offset, mask=mask, other=0.0).to(tl.float32)
    theirs = tl.load(reconstructed + offset, mask=mask, other=0.0).to(tl.float32)
    return (ours - theirs) * (ours - theirs)


@triton.jit  # type: ignore[untyped-decorator]  # triton ships no types
def evaluated(
    selected: tl.tensor,
    reconstructed: tl.tensor,
    sample: tl.tensor,
    channel: tl.tensor,
    pixel: tl.tensor,
    channels: tl.tensor,
    height: tl.tensor,
    width: tl.tensor,
    out_height: tl.tensor,
    out_width: tl.tensor,
    mask: tl.tensor,
    CHANNELS_LAST: tl.constexpr,
) -> tl.tensor:
    """Upsampled squared residuals of a sample's channels (B,) at output pixels (1, P): (B, P)."""
    size = height * width
    channel_stride = 1 if CHANNELS_LAST else size
    pixel_stride = channels if CHANNELS_LAST else 1
    # Wide before it is multiplied: a large batch has more values than 32 bits count.
    plane = sample.to(tl.int64) * channels * size + channel[:, None] * channel_stride
    if (height == out_height) & (width == out_width):
        value = _squared(selected, reconstructed, plane + pixel * pixel_stride, mask)
    else:
        top, bottom, down = _along(pixel // out_width, height, out_height)
        left, right, across = _along(pixel % out_width, width, out_width)
        top, bottom = plane + top * width * pixel_stride, plane + bottom * width * pixel_stride
        left, right = left * pixel_stride, right * pixel_stride
        upper = (1.0 - across) * _squared(selected, reconstructed, top + left, mask)
        upper += across * _squared(selected, reconstructed, top + right, mask)
        lower = (1.0 - across) * _squared(selected, reconstructed, bottom + left, mask)
        lower += across * _squared(selected, reconstructed, bottom + right, mask)
        value = (1.0 - down) * upper + down * lower
    return value


@dataclass(frozen=True)
class Blocks:
    """All blocks' residuals as the kernels take them.

    Attributes:
        selected, reconstructed: (N, C_k, H_k, W_k), finest first, all in the same layout.
        channels_last: whether channels lie side by side in memory.
    """

    selected: Sequence[Tensor]
    reconstructed: Sequence[Tensor]
    channels_last: bool

    @property
    def arguments(self) -> tuple[tuple[Tensor | int, ...], ...]:
        """What both kernels begin with."""
        sizes = tuple(zip(*(tuple(block.shape[1:]) for block in self.selected), strict=True))
        return tuple(self.selected), tuple(self.reconstructed), *sizes

    @property
    def size(self) -> tuple[int, int]:
        """Height and width that planes are brought to."""
        return plane_size(self.selected[0])


def one_layout(selected: Sequence[Tensor], reconstructed: Sequence[Tensor]) -> Blocks:
    """All blocks in the layout that the first one has; those in another are copied."""
    channels_last = is_channels_last(selected[0])
    layout = memory_format(channels_last)
    ours, theirs = (
        [block.contiguous(memory_format=layout) for block in blocks] for blocks in (selected, reconstructed)
    )
    return Blocks(ours, theirs, channels_last)
