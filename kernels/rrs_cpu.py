"""RRS on a CPU: planes are upsampled a few at a time, within the cache, and only the chosen ones are kept.

The mean of an upsampled plane is a weighted sum over the coarse one. The maximum needs the upsampled values,
but not all planes at once. PyTorch upsamples many channels side by side some twenty times as fast as plane by
plane.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from realnet_edge.kernels.bilinear import mean_weights, upsampled
from realnet_edge.kernels.layout import plane_size
from realnet_edge.kernels.rrs_reference import resize

# Channels that are upsampled side by side at a time: at 64 x 64 they fit a second-level cache.
_CHUNK = 32


def pool_residuals(selected: Sequence[Tensor], reconstructed: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Maximum and mean of every squared residual plane at the finest resolution.

    Args:
        selected, reconstructed: float tensors (N, C_k, H_k, W_k), finest first, alike in shape.

    Returns:
        Two float32 tensors (N, C), C the sum of C_k.
    """
    size = plane_size(selected[0])
    maxima, means = [], []
    for block, other in zip(selected, reconstructed, strict=True):
        residual = squared_residual(block, other)
        maxima.append(_maximum(residual, size))
        means.append(residual.flatten(2) @ mean_weights(plane_size(block), size, residual.device))
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
    for block, other, (places, planes) in zip(
        selected, reconstructed, located(selected, source), strict=True
    ):
        taken, against = (t.flatten(0, 1).index_select(0, planes) for t in (block, other))
        chosen = upsampled(squared_residual(taken, against), plane_size(out))
        flat.index_copy_(0, places, chosen.to(out.dtype))
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


def squared_residual(selected: Tensor, reconstructed: Tensor) -> Tensor:
    """The squared difference in float32, with one temporary."""
    return torch.sub(selected.float(), reconstructed.float()).square_()


def _maximum(residual: Tensor, size: tuple[int, int]) -> Tensor:
    """(N, C, h, w) to the maxima (N, C) of its planes upsampled to `size`."""
    if residual.shape[2:] == size:
        return residual.amax(dim=(2, 3))
    channels = residual.shape[1]
    # Of few channels matrices are the faster way.
    if channels < 2 * _CHUNK:
        return upsampled(residual.flatten(0, 1), size).amax(dim=(1, 2)).view(-1, channels)
    # One sample at a time, too: chunks of a large batch would not fit the cache.
    rows = [
        torch.cat(
            [_chunk_maximum(chunk, size) for chunk in sample.tensor_split(channels // _CHUNK, dim=1)], 1
        )
        for sample in residual.split(1)
    ]
    return torch.cat(rows)


def _chunk_maximum(chunk: Tensor, size: tuple[int, int]) -> Tensor:
    return resize(chunk.contiguous(memory_format=torch.channels_last), size).amax(dim=(2, 3))
