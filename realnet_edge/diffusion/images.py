"""Good images as a diffusion model is trained on them: in [-1, 1], with the category of each.

What a batch holds depends on the seed and its samples' running numbers alone, so that a resumed training
sees what an uninterrupted one would have seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from realnet_edge.config.diffusion_training import NoisedTrainConfig
from realnet_edge.imaging import load_batch
from realnet_edge.training.samples import turned

# Keeps the order of images apart from what happens to each.
_ORDER = 0xE90C4


class NormalImages:
    """Normal images by running number, decoded once and kept in memory.

    Args:
        paths: the files, at least one.
        labels: the category of each, a position in the model's list.
        size: side of the square that they are resized to, in pixels.
        config: flips, rotation and the seed.
    """

    def __init__(
        self, paths: Sequence[Path], labels: Sequence[int], size: int, config: NoisedTrainConfig
    ) -> None:
        self.paths = tuple(paths)
        self.labels = torch.tensor(list(labels))
        self.images = load_batch(paths, (size, size))
        self._config = config

    def __len__(self) -> int:
        return len(self.images)

    def batch(self, numbers: range) -> tuple[Tensor, Tensor]:
        """Samples of these numbers: images (N, 3, S, S) float32 in [-1, 1], and labels (N,) int64."""
        places = [self._place(number) for number in numbers]
        images = [self._augment(self.images[place], n) for place, n in zip(places, numbers, strict=True)]
        return as_tensor(np.stack(images)), self.labels[places]

    def _place(self, number: int) -> int:
        """Which image a sample shows: every epoch is a permutation of all of them."""
        epoch, place = divmod(number, len(self))
        order = np.random.default_rng([self._config.seed, _ORDER, epoch]).permutation(len(self))
        return int(order[place])

    def _augment(self, image: npt.NDArray[np.uint8], number: int) -> npt.NDArray[np.uint8]:
        rng = np.random.default_rng([self._config.seed, number])
        if self._config.flip:
            image = image[:: rng.choice([-1, 1]), :: rng.choice([-1, 1])]
        if self._config.rotate > 0:
            image = turned(np.ascontiguousarray(image), self._config.rotate, rng)
        return np.ascontiguousarray(image)


def as_tensor(images: npt.NDArray[np.uint8]) -> Tensor:
    """(N, S, S, 3) uint8 as (N, 3, S, S) float32 in [-1, 1]."""
    return torch.from_numpy(images).permute(0, 3, 1, 2).float() / 127.5 - 1.0


def as_images(tensor: Tensor) -> npt.NDArray[np.uint8]:
    """(N, 3, S, S) in [-1, 1] as (N, S, S, 3) uint8, rounded to nearest; what lies outside is clipped."""
    levels = ((tensor.float() + 1.0) * 127.5).round().clamp(0, 255)
    return np.ascontiguousarray(levels.permute(0, 2, 3, 1).cpu().numpy().astype(np.uint8))
