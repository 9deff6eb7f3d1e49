"""RRS on a CPU: planes are upsampled a few at a time, within the cache, and only the chosen ones are kept.

The mean of an upsampled plane is a weighted sum over the coarse one. The maximum needs the upsampled values,
but not all planes at once. PyTorch upsamples many channels side by side some twenty times as fast as plane by
plane.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from realnet_edge.kernels.bilinear import axis_matrices, mean_weights
from realnet_edge.kernels.layout import plane_size

# Planes at a time: at 64 x 64 they fit a last-level cache, and few calls do for all of them.
_CHUNK = 128
# Of fewer channels matrices are the faster way.
_SIDE_BY_SIDE = 64


class _Scratch:
    """Two pieces of memory for a chunk of planes each, used again and again.

    New memory for every chunk takes longer than what is computed in it: the system hands it out page by page.

    Args:
        size: height and width of a plane at the finest resolution.
    """

    def __init__(self, size: tuple[int, int]) -> None:
        self.size = size
        self._pieces = torch.empty(2, _CHUNK * size[0] * size[1])

    def __call__(self, piece: int, *shape: int) -> Tensor:
        """The first or the second piece as float32 of this shape, not initialised."""
        return self._pieces[piece, : math.prod(shape)].view(shape)


def pool_residuals(selected: Sequence[Tensor], reconstructed: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Maximum and mean of every squared residual plane at the finest resolution.

    Args:
        selected, reconstructed: float tensors (N, C_k, H_k, W_k), finest first, alike in shape.

    Returns:
        Two float32 tensors (N, C), C the sum of C_k.
    """
    scratch = _Scratch(plane_size(selected[0]))
    pairs = zip(selected, reconstructed, strict=True)
    maxima, means = zip(*(_pooled(block, other, scratch) for block, other in pairs), strict=True)
    return torch.cat(maxima, dim=1), torch.cat(means, dim=1)


def gather_residuals(
    selected: Sequence[Tensor], reconstructed: Sequence[Tensor], source: Tensor, out: Tensor
) -> None:
    """Fill `out` with chosen squared residual planes at the finest resolution.

    Args:
        selected, reconstructed: float tensors (N, C_k, H_k, W_k), finest first, alike in shape.
        source: int64 (N, P), the plane that each place takes, counted over all blocks; -1 for zeros.
        out: float (N, P, H_1, W_1) in any layout.
    """
    flat = out.flatten(0, 1) if out.is_contiguous() else out.new_empty(source.numel(), *out.shape[2:])
    flat.index_fill_(0, (source.flatten() < 0).nonzero()[:, 0], 0.0)
    scratch = _Scratch(plane_size(out))
    for block, other, (places, planes) in zip(
        selected, reconstructed, located(selected, source), strict=True
    ):
        pair = block.flatten(0, 1), other.flatten(0, 1)
        for place, plane in zip(places.split(_CHUNK), planes.split(_CHUNK), strict=True):
            flat.index_copy_(0, place, _at_full_size(_picked(*pair, plane, scratch), scratch).to(out.dtype))
    if not out.is_contiguous():
        out.copy_(flat.view(out.shape))


def located(blocks: Sequence[Tensor], source: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Which places each block fills: (places in `source` flattened, planes in the block flattened) a block.

    Args:
        blocks: tensors (N, C_k, ...).
        source: as `gather_residuals` takes it.
    """
    flat = source.flatten()
    found, first = [], 0
    for block in blocks:
        channels = block.shape[1]
        places = ((flat >= first) & (flat < first + channels)).nonzero()[:, 0]
        sample = places // source.shape[1]
        found.append((places, sample * channels + flat[places] - first))
        first += channels
    return found


def squared_residual(selected: Tensor, reconstructed: Tensor, out: Tensor | None = None) -> Tensor:
    """The squared difference, computed in float32, in `out` where that is given."""
    return torch.sub(selected.float(), reconstructed.float(), out=out).square_()


def _pooled(block: Tensor, other: Tensor, scratch: _Scratch) -> tuple[Tensor, Tensor]:
    """Maxima and means (N, C) of one block's squared residual planes at full size."""
    samples, channels = block.shape[:2]
    maxima, means = (torch.empty(samples, channels) for _ in range(2))
    weights = mean_weights(plane_size(block), scratch.size, block.device)
    together = max(1, _CHUNK // channels)
    for sample in range(0, samples, together):
        for channel in range(0, channels, _CHUNK):
            part = slice(sample, sample + together), slice(channel, channel + _CHUNK)
            residual = squared_residual(block[part], other[part], scratch(0, *block[part].shape))
            means[part] = residual.flatten(2) @ weights
            maxima[part] = _maximum(residual, scratch)
    return maxima, means


def _maximum(residual: Tensor, scratch: _Scratch) -> Tensor:
    """(N, C, h, w) in the first piece, written over, to the maxima (N, C) of its planes at full size."""
    samples, channels, height, width = residual.shape
    if (height, width) == scratch.size:
        return residual.amax(dim=(2, 3))
    if channels < _SIDE_BY_SIDE:
        return _at_full_size(residual.flatten(0, 1), scratch).amax(dim=(1, 2)).view(samples, channels)
    coarse = scratch(1, samples, height, width, channels).permute(0, 3, 1, 2).copy_(residual)
    rows = scratch(0, samples, *scratch.size, channels)
    torch.ops.aten.upsample_bilinear2d.out(coarse, scratch.size, True, out=rows.permute(0, 3, 1, 2))
    # Over rows of channels: over two axes of planes PyTorch takes twice as long.
    return rows.flatten(1, 2).amax(dim=1)


def _picked(block: Tensor, other: Tensor, planes: Tensor, scratch: _Scratch) -> Tensor:
    """Squared residuals of planes (P,) of two (N * C, h, w), (P, h, w) in the first piece."""
    shape = (len(planes), *block.shape[1:])
    taken, against = scratch(0, *shape), scratch(1, *shape)
    for whole, out in ((block, taken), (other, against)):
        if whole.dtype is out.dtype:
            torch.index_select(whole, 0, planes, out=out)
        else:
            out.copy_(whole.index_select(0, planes))
    return squared_residual(taken, against, taken)


def _at_full_size(planes: Tensor, scratch: _Scratch) -> Tensor:
    """(P, h, w) in the first piece upsampled by matrices to (P, *size), in the first piece."""
    count, height, width = planes.shape
    if (height, width) == scratch.size:
        return planes
    down, across = axis_matrices((height, width), scratch.size, planes.device)
    wide = torch.matmul(planes.flatten(0, 1), across.T, out=scratch(1, count * height, scratch.size[1]))
    return torch.matmul(down, wide.view(count, height, scratch.size[1]), out=scratch(0, count, *scratch.size))
