"""Training samples: a normal image, the same image with or without a synthetic anomaly, the mask.

A sample depends on the seed and its running number alone, never on workers or on what came before:
that is what makes a resumed training equal to an uninterrupted one.

Where images are cut into tiles, a sample is a tile. What an image has to say as a whole is taken from the
whole: the foreground, for a threshold from a tile without the object means nothing, and the mean grey level
that exposure is matched by.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from realnet_edge.config import SynthesisConfig
from realnet_edge.imaging import load_batch, load_image, preprocess
from realnet_edge.synthesis import (
    AnomalySource,
    ForegroundRule,
    View,
    foreground_mask,
    make_source,
    synthesise,
)
from realnet_edge.synthesis.windows import Window, draw_window, level_with
from realnet_edge.tiles import TileGrid
from realnet_edge.training.distributed import Group


class Item(NamedTuple):
    """One sample.

    Attributes:
        normal: (h, w, 3) uint8, without an anomaly: an image, a tile of one or an aligned part's strip.
        shown: the same, with one where the sample `carries` one.
        mask: (h, w) bool, where it lies.
        carries: whether there is one.
        levels: mean grey levels of the whole images with `normal` and with `shown` in them, where the sample
            is a tile; None where it is the image itself.
        position: which of the data set's images it was made of.
    """

    normal: npt.NDArray[np.uint8]
    shown: npt.NDArray[np.uint8]
    mask: npt.NDArray[np.bool_]
    carries: bool
    levels: tuple[float, float] | None
    position: int


@dataclass(frozen=True)
class Batch:
    """One training batch.

    Attributes:
        normal: (N, h, w, 3) uint8, without anomalies.
        anomalous: (A, h, w, 3) uint8, the images of the samples that carry an anomaly.
        carries: (N,) bool, which samples carry one; A of them do.
        mask: (N, h, w) int64, 1 where anomalous.
        levels: (N + A,) float32, mean grey levels of the whole images that `normal` and then `anomalous` are
            tiles of, as `InputNormalisation` takes them; None where they are no tiles.
        positions: (N,) int64, which of the data set's images each sample was made of.
    """

    normal: Tensor
    anomalous: Tensor
    carries: Tensor
    mask: Tensor
    positions: Tensor
    levels: Tensor | None = None

    @property
    def images(self) -> Tensor:
        """(N, h, w, 3) uint8, what the model is shown: the anomalous image of a sample that carries one."""
        return self._shown(self.normal, self.anomalous)

    @property
    def image_levels(self) -> Tensor | None:
        """(N,) float32 `levels` of `images`."""
        normal, anomalous = self.level_parts
        return None if normal is None or anomalous is None else self._shown(normal, anomalous)

    @property
    def level_parts(self) -> tuple[Tensor, Tensor] | tuple[None, None]:
        """`levels` of `normal` and of `anomalous`."""
        if self.levels is None:
            return None, None
        return self.levels[: len(self.normal)], self.levels[len(self.normal) :]

    def split(self, parts: int) -> list[Batch]:
        """The same samples in order as so many batches of equal size."""
        if parts == 1:
            return [self]
        each = len(self.normal) // parts
        changed = [int(part.sum()) for part in self.carries.split(each)]
        columns = (column.split(each) for column in (self.normal, self.carries, self.mask, self.positions))
        levels: list[Tensor | None] = [None] * parts
        normal_levels, changed_levels = self.level_parts
        if normal_levels is not None and changed_levels is not None:
            pairs = zip(normal_levels.split(each), changed_levels.split(changed), strict=True)
            levels = [torch.cat(pair) for pair in pairs]
        return [
            Batch(normal, anomalous, carries, mask, positions, level)
            for anomalous, level, normal, carries, mask, positions in zip(
                self.anomalous.split(changed), levels, *columns, strict=True
            )
        ]

    def _shown(self, normal: Tensor, anomalous: Tensor) -> Tensor:
        shown = normal.clone()
        shown[self.carries] = anomalous
        return shown


class AnomalyDataset(Dataset[Item]):
    """Samples by running number.

    Args:
        paths: normal images to draw from; decoded once and kept in memory.
        size: side of the square images in pixels, or the grid of tiles that images are cut into.
        config: sources, share of anomalies, rotation and flips.
        rule: the category's foreground, or one for each of `paths`.
        seed: with the number, all that a sample depends on.
        share: share of samples with an anomaly, where it differs from the configuration's.
        jitter: most pixels that a tile is moved from its place in the grid, along each axis.
        view: what the network sees of an image, where that is neither the whole nor tiles of it.

    Attributes:
        images: (K, H, W, 3) uint8, the whole images as the engine will take them, or what `view` made of
            them.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        size: int | TileGrid,
        config: SynthesisConfig,
        rule: ForegroundRule | Sequence[ForegroundRule],
        seed: int,
        share: float | None = None,
        jitter: int = 0,
        view: View | None = None,
    ) -> None:
        self.grid = TileGrid(1, 1, size) if isinstance(size, int) else size
        self.paths = tuple(paths)
        self.jitter = jitter
        self.images = load_batch(paths, self.grid.size) if view is None else _seen(paths, view)
        self.config = config
        self.rules = [rule] * len(self.paths) if isinstance(rule, ForegroundRule) else list(rule)
        self.seed = seed
        self.share = config.anomalous_share if share is None else share
        whole = (self.images.shape[1], self.images.shape[2])
        seen = whole if self.grid.count == 1 else (self.grid.side, self.grid.side)
        # Patches come from whole images: there their foreground is known, and what lies beside a tile.
        self.source: AnomalySource = make_source(config.source, list(self.images), seen, self.rules, whole)

    def __len__(self) -> int:
        """Samples of an epoch: every tile of every image."""
        return len(self.images) * self.grid.count

    def __getitem__(self, number: int) -> Item:
        rng = np.random.default_rng([self.seed, number])
        position, tile = self._place(number)
        whole = self._augment(self.images[position], rng)
        if not self._carries(number):
            window = draw_window(self.grid, tile, self.jitter, rng)
            image = np.ascontiguousarray(whole[window])
            image = _noisy(self._noise(image.shape, rng), image)
            nothing = np.zeros(image.shape[:2], np.bool_)
            return Item(image, image, nothing, False, self._levels(whole, window, image, image), position)
        foreground = foreground_mask(whole, self.rules[position])
        window = draw_window(self.grid, tile, self.jitter, rng, foreground)
        image = np.ascontiguousarray(whole[window])
        made = synthesise(image, foreground[window], self.source, rng)
        # The same noise over both, anomaly included: what is pasted in must not be told by its lack.
        noise = self._noise(image.shape, rng)
        normal, shown = _noisy(noise, image), _noisy(noise, made.image)
        return Item(normal, shown, made.mask, True, self._levels(whole, window, normal, shown), position)

    def _levels(
        self,
        whole: npt.NDArray[np.uint8],
        window: Window,
        normal: npt.NDArray[np.uint8],
        shown: npt.NDArray[np.uint8],
    ) -> tuple[float, float] | None:
        """`Item.levels` of a tile with and without an anomaly."""
        if self.grid.count == 1:
            return None
        return level_with(whole, window, normal), level_with(whole, window, shown)

    def path(self, number: int) -> Path:
        """The file that sample `number` is made of."""
        return self.paths[self._place(number)[0]]

    def _place(self, number: int) -> tuple[int, int]:
        """Which image and tile sample `number` uses: every epoch is a permutation of all of them."""
        epoch, place = divmod(number, len(self))
        order = np.random.default_rng([self.seed, 0xE90C4, epoch]).permutation(len(self))
        return divmod(int(order[place]), self.grid.count)

    def _carries(self, number: int) -> bool:
        """Spreads anomalous samples evenly, so that every batch has its share of them."""
        return int((number + 1) * self.share) > int(number * self.share)

    def _augment(self, image: npt.NDArray[np.uint8], rng: np.random.Generator) -> npt.NDArray[np.uint8]:
        if self.config.flip:
            image = image[:: rng.choice([-1, 1]), :: rng.choice([-1, 1])]
        if self.config.rotate > 0:
            image = turned(image, self.config.rotate, rng)
        if self.config.light > 0:
            image = _relit(image, self.config.light, rng)
        return np.ascontiguousarray(image)

    def _noise(self, shape: tuple[int, ...], rng: np.random.Generator) -> npt.NDArray[np.float32] | None:
        """Noise of this sample in grey levels; None where none is wanted."""
        if self.config.noise == 0:
            return None
        level = np.float32(rng.uniform(0.0, self.config.noise))
        return np.asarray(level * rng.standard_normal(shape, np.float32), np.float32)


def _seen(paths: Sequence[Path], view: View) -> npt.NDArray[np.uint8]:
    """What a view shows of files, which may be much larger: one of them in memory at a time."""
    return np.stack([view.make(preprocess(load_image(path), view.size)) for path in paths])


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


def turned(image: npt.NDArray[np.uint8], most: float, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Turned by up to `most` degrees: half the time by any angle, else by quarter turns.

    Interpolation changes sharpness a little, and the images to be judged will be as sharp as the
    camera made them: so half of the samples must be, too. An image that is not square is turned by half
    turns instead of quarters, for a quarter turn would change its shape.
    """
    height, width = image.shape[:2]
    if rng.random() < 0.5:
        quarters = 1 if height == width else 2
        times = int(most // (90 * quarters))
        return np.rot90(image, quarters * int(rng.integers(-times, times + 1)))
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), rng.uniform(-most, most), 1.0)
    turned = cv2.warpAffine(
        image, matrix, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(turned, np.uint8)


def collate(items: Sequence[Item]) -> Batch:
    """Stack samples; only those with an anomaly contribute a second image."""
    normal = np.stack([item.normal for item in items])
    anomalous = [item.shown for item in items if item.carries]
    changed = np.stack(anomalous) if anomalous else np.empty((0, *normal.shape[1:]), np.uint8)
    levels = [item.levels[0] for item in items if item.levels]
    levels += [item.levels[1] for item in items if item.levels and item.carries]
    return Batch(
        normal=torch.from_numpy(normal),
        anomalous=torch.from_numpy(changed),
        carries=torch.tensor([item.carries for item in items]),
        mask=torch.from_numpy(np.stack([item.mask for item in items]).astype(np.int64)),
        positions=torch.tensor([item.position for item in items]),
        levels=torch.tensor(levels) if levels else None,
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
