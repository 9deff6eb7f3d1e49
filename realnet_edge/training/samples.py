"""Training samples: a normal image, the same image with or without a synthetic anomaly, the mask.

A sample depends on the seed and its running number alone, never on workers or on what came before:
that is what makes a resumed training equal to an uninterrupted one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from realnet_edge.config import SynthesisConfig
from realnet_edge.imaging import load_batch
from realnet_edge.synthesis import AnomalySource, ForegroundRule, foreground_mask, make_source, synthesise
from realnet_edge.training.distributed import Group

Item = tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8], npt.NDArray[np.bool_], bool, int]


@dataclass(frozen=True)
class Batch:
    """One training batch.

    Attributes:
        normal: (N, S, S, 3) uint8, without anomalies.
        anomalous: (A, S, S, 3) uint8, the images of the samples that carry an anomaly.
        carries: (N,) bool, which samples carry one; A of them do.
        mask: (N, S, S) int64, 1 where anomalous.
        positions: (N,) int64, which of the data set's images each sample was made of.
    """

    normal: Tensor
    anomalous: Tensor
    carries: Tensor
    mask: Tensor
    positions: Tensor

    @property
    def images(self) -> Tensor:
        """(N, S, S, 3) uint8, what the model is shown: the anomalous image of a sample that carries one."""
        shown = self.normal.clone()
        shown[self.carries] = self.anomalous
        return shown

    def split(self, parts: int) -> list[Batch]:
        """The same samples in order as so many batches of equal size."""
        if parts == 1:
            return [self]
        each = len(self.normal) // parts
        anomalous = self.anomalous.split([int(part.sum()) for part in self.carries.split(each)])
        columns = (column.split(each) for column in (self.normal, self.carries, self.mask, self.positions))
        return [
            Batch(normal, changed, carries, mask, positions)
            for changed, (normal, carries, mask, positions) in zip(
                anomalous, zip(*columns, strict=True), strict=True
            )
        ]


class AnomalyDataset(Dataset[Item]):
    """Samples by running number.

    Args:
        paths: normal images to draw from; decoded once and kept in memory.
        size: side of the square images in pixels.
        config: sources, share of anomalies, rotation and flips.
        rule: the category's foreground.
        seed: with the number, all that a sample depends on.
        share: share of samples with an anomaly, where it differs from the configuration's.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        size: int,
        config: SynthesisConfig,
        rule: ForegroundRule,
        seed: int,
        share: float | None = None,
    ) -> None:
        self.paths = tuple(paths)
        self.images = load_batch(paths, (size, size))
        self.config = config
        self.rule = rule
        self.seed = seed
        self.share = config.anomalous_share if share is None else share
        self.source: AnomalySource = make_source(config.source, list(self.images), size, rule)

    def __getitem__(self, number: int) -> Item:
        rng = np.random.default_rng([self.seed, number])
        position = self.position(number)
        image = self._augment(self.images[position], rng)
        if not self._carries(number):
            image = _noisy(self._noise(image.shape, rng), image)
            return image, image, np.zeros(image.shape[:2], np.bool_), False, position
        made = synthesise(image, foreground_mask(image, self.rule), self.source, rng)
        # The same noise over both, anomaly included: what is pasted in must not be told by its lack.
        noise = self._noise(image.shape, rng)
        return _noisy(noise, image), _noisy(noise, made.image), made.mask, True, position

    def position(self, number: int) -> int:
        """Which image sample `number` uses: every epoch is a permutation of all of them."""
        epoch, place = divmod(number, len(self.images))
        order = np.random.default_rng([self.seed, 0xE90C4, epoch]).permutation(len(self.images))
        return int(order[place])

    def path(self, number: int) -> Path:
        """The file that sample `number` is made of."""
        return self.paths[self.position(number)]

    def _carries(self, number: int) -> bool:
        """Spreads anomalous samples evenly, so that every batch has its share of them."""
        return int((number + 1) * self.share) > int(number * self.share)

    def _augment(self, image: npt.NDArray[np.uint8], rng: np.random.Generator) -> npt.NDArray[np.uint8]:
        if self.config.flip:
            image = image[:: rng.choice([-1, 1]), :: rng.choice([-1, 1])]
        if self.config.rotate > 0:
            image = _turned(image, self.config.rotate, rng)
        if self.config.light > 0:
            image = _relit(image, self.config.light, rng)
        return np.ascontiguousarray(image)

    def _noise(self, shape: tuple[int, ...], rng: np.random.Generator) -> npt.NDArray[np.float32] | None:
        """Noise of this sample in grey levels; None where none is wanted."""
        if self.config.noise == 0:
            return None
        level = np.float32(rng.uniform(0.0, self.config.noise))
        return np.asarray(level * rng.standard_normal(shape, np.float32), np.float32)


def _noisy(noise: npt.NDArray[np.float32] | None, image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """`image` with `noise` on it, in whole grey levels as a camera gives them."""
    if noise is None:
        return image
    return np.asarray(np.clip(np.rint(image + noise), 0, 255), np.uint8)


def _relit(image: npt.NDArray[np.uint8], most: float, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Brightness and contrast changed as other light and exposure would."""
    brightness, contrast = np.exp(rng.uniform(-np.log1p(most), np.log1p(most), size=2))
    mean = brightness * float(image.mean())
    values = mean + contrast * (brightness * image.astype(np.float32) - mean)
    return np.asarray(np.clip(np.rint(values), 0, 255), np.uint8)


def _turned(image: npt.NDArray[np.uint8], most: float, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Turned by up to `most` degrees: half the time by any angle, else by quarter turns.

    Interpolation changes sharpness a little, and the images to be judged will be as sharp as the
    camera made them: so half of the samples must be, too.
    """
    if rng.random() < 0.5:
        return np.rot90(image, int(rng.integers(-int(most // 90), int(most // 90) + 1)))
    height, width = image.shape[:2]
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), rng.uniform(-most, most), 1.0)
    turned = cv2.warpAffine(
        image, matrix, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(turned, np.uint8)


def collate(items: Sequence[Item]) -> Batch:
    """Stack samples; only those with an anomaly contribute a second image."""
    normal, changed, masks, carries, positions = zip(*items, strict=True)
    size = normal[0].shape
    anomalous = [image for image, has in zip(changed, carries, strict=True) if has]
    return Batch(
        normal=torch.from_numpy(np.stack(normal)),
        anomalous=torch.from_numpy(np.stack(anomalous) if anomalous else np.empty((0, *size), np.uint8)),
        carries=torch.tensor(carries),
        mask=torch.from_numpy(np.stack(masks).astype(np.int64)),
        positions=torch.tensor(positions),
    )


_ALONE = Group()


def batches(
    dataset: AnomalyDataset, start: int, stop: int, batch: int, workers: int, group: Group = _ALONE
) -> Iterator[Batch]:
    """Batches of the samples numbered `start` to `stop` - 1, synthesised by worker processes.

    The order and the content do not depend on `workers`. Each process of a `group` gets its part of every
    batch, which must divide evenly.
    """
    # Before the workers fork: a child that inherits OpenCV's pool without its threads waits for ever.
    cv2.setNumThreads(1)
    whole = (range(first, min(first + batch, stop)) for first in range(start, stop, batch))
    loader: DataLoader[Item] = DataLoader(
        dataset,
        batch_sampler=[list(group.part(numbers)) for numbers in whole],
        num_workers=workers,
        collate_fn=collate,
        prefetch_factor=4 if workers else None,
        multiprocessing_context="fork" if workers else None,
    )
    yield from loader
