"""Networks over many images: pooled features, and perceptual distances between all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from realnet_edge.quality.perceptual import PerceptualVectors

Images = npt.NDArray[np.uint8]

_BATCH = 16
# Vectors of this many bytes are held at once; beyond it they are computed again block by block.
_MEMORY = 1 << 30


def extract(
    network: Callable[[Tensor], Tensor], images: Images, device: torch.device
) -> npt.NDArray[np.float64]:
    """What a network on this device makes of (N, H, W, 3) uint8 RGB images, (N, D)."""
    rows = [part.double().cpu().numpy() for part in _batches(network, images, device)]
    return np.concatenate(rows)


def pairwise_distances(
    vectors: PerceptualVectors, images: Images, device: torch.device, memory: int = _MEMORY
) -> npt.NDArray[np.float64]:
    """The distance of every image from every other one.

    Args:
        vectors: makes images into vectors whose squared distances are wanted.
        images: (N, H, W, 3) uint8 RGB.
        device: where `vectors` computes, and the products are formed.
        memory: most bytes that vectors take at once; less than all of them need makes them be computed again.

    Returns:
        (N, N) float64, symmetric, 0 on the diagonal.
    """
    count = len(images)
    each = next(_batches(vectors, images[:1], device)).numel() * 4
    block = max(1, min(count, memory // (2 * each) if count * each > memory else count))
    starts = range(0, count, block)
    distances = np.zeros((count, count), np.float64)
    for first in starts:
        rows = torch.cat(list(_batches(vectors, images[first : first + block], device)))
        for second in (start for start in starts if start >= first):
            columns = rows
            if second > first:
                columns = torch.cat(list(_batches(vectors, images[second : second + block], device)))
            part = _squared(rows, columns)
            distances[first : first + block, second : second + block] = part
            distances[second : second + block, first : first + block] = part.T
    np.fill_diagonal(distances, 0.0)
    return distances


def _squared(rows: Tensor, columns: Tensor) -> npt.NDArray[np.float64]:
    """Squared Euclidean distances between the rows of two matrices."""
    norms = rows.square().sum(dim=1)[:, None] + columns.square().sum(dim=1)[None, :]
    squared = (norms - 2.0 * rows @ columns.T).clamp_min(0.0)
    return np.asarray(squared.double().cpu().numpy(), np.float64)


def _batches(network: Callable[[Tensor], Tensor], images: Images, device: torch.device) -> Iterator[Tensor]:
    for start in range(0, len(images), _BATCH):
        with torch.inference_mode():
            yield network(torch.from_numpy(images[start : start + _BATCH]).to(device))
