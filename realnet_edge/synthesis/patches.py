"""Anomalies made of the category itself: augmented patches of its own normal images.

Nothing has to be downloaded. Five kinds of content are blended in, in these shares:

- displaced (40%): texture of another normal image (or the same), turned, mirrored, rescaled, moved
  so that object lands on object (in one of four draws: so that anything may), jittered;
- retoned (20%): what is there, in another brightness and contrast: stains, inactive areas, shine;
- bent (20%): what is there, displaced by a smooth random field: deformed structure;
- flat (15%): one tone taken from the image, slightly grained: worn off, filled, or missing;
- smeared (5%): what is there, dragged along a direction.

Masks are Perlin (65%), blobs (25%) or strokes (10%), within the foreground. Opacity is 0.5..1, as
the paper has it for its own synthetic images; bent content is always opaque, for half of it would
show double edges. Half of the masks fade inwards at the edge, so that a hard seam does not give
every anomaly away.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from realnet_edge.errors import ConfigError, DataError
from realnet_edge.imaging import load_image, preprocess
from realnet_edge.synthesis.base import Synthetic, blend
from realnet_edge.synthesis.foreground import ForegroundRule, foreground_mask
from realnet_edge.synthesis.foreground_choice import choose_foreground
from realnet_edge.synthesis.jitter import (
    FloatImage,
    distort,
    is_grey,
    jitter_detail,
    jitter_tone,
    noise,
    smear,
    transplant,
)
from realnet_edge.synthesis.shapes import feather, mixed_mask, random_point, unit_length

MAX_DONORS = 128
MASK_WEIGHTS = (0.65, 0.25, 0.10)
OPACITY = (0.5, 1.0)
OBJECT_SHARE = 0.75
_CONTENT_WEIGHTS = (0.40, 0.20, 0.20, 0.15, 0.05)

Images = Sequence[Path] | Sequence[npt.NDArray[np.uint8]] | npt.NDArray[np.uint8]


class PatchSource:
    """Blends augmented patches of a category's own normal images into a normal image.

    Args:
        images: normal images, files or (H, W, 3) uint8 RGB arrays; at most 128, evenly spaced, are
            kept in memory as donors.
        size: (height, width) that files are resized to.
        rule: the category's foreground, which says where a donor shows the object. None chooses one
            by `choose_foreground`.

    Raises:
        DataError: there are no images, or one cannot be decoded.
    """

    name = "patches"

    def __init__(self, images: Images, size: tuple[int, int], rule: ForegroundRule | None = None) -> None:
        """Load the donors and find their foregrounds."""
        self._donors = load_donors(images, size)
        rule = choose_foreground(self._donors)[0] if rule is None else rule
        self._areas = [foreground_mask(donor, rule) for donor in self._donors]

    def __call__(
        self, image: npt.NDArray[np.uint8], foreground: npt.NDArray[np.bool_], rng: np.random.Generator
    ) -> Synthetic:
        """One anomaly; see `AnomalySource`."""
        mask = mixed_mask(foreground, rng, MASK_WEIGHTS)
        makers: tuple[Callable[..., FloatImage], ...] = (
            self._displaced,
            _retoned,
            _bent,
            _flat,
            _smeared,
        )
        maker = makers[int(rng.choice(len(makers), p=_CONTENT_WEIGHTS))]
        anomaly = maker(image, mask, is_grey(image), rng)
        opacity = 1.0 if maker is _bent else float(rng.uniform(*OPACITY))
        sigma = float(rng.uniform(0.5, 3.0)) * unit_length(image.shape) if rng.random() < 0.5 else 0.0
        return Synthetic(blend(image, anomaly, feather(mask, sigma), opacity), mask)

    def _displaced(
        self, image: npt.NDArray[np.uint8], mask: npt.NDArray[np.bool_], grey: bool, rng: np.random.Generator
    ) -> FloatImage:
        index = int(rng.integers(len(self._donors)))
        area = self._areas[index]
        if rng.random() >= OBJECT_SHARE:
            area = np.ones_like(area)
        taken_from, placed_at = random_point(area, rng), random_point(mask, rng)
        shape = (image.shape[0], image.shape[1])
        patch = transplant(self._donors[index], taken_from, placed_at, shape, rng)
        if rng.random() < 0.5:
            patch = jitter_tone(patch, grey, rng)
        return jitter_detail(patch, grey, rng)


def _retoned(
    image: npt.NDArray[np.uint8], mask: npt.NDArray[np.bool_], grey: bool, rng: np.random.Generator
) -> FloatImage:
    """What is there in another tone, shifted by 25 to 90 grey levels towards where there is room."""
    patch = image.astype(np.float32)
    level = float(image[mask].mean())
    shift = float(rng.uniform(25.0, 90.0)) * (1.0 if rng.random() > level / 255.0 else -1.0)
    cast = np.zeros(3) if grey else rng.uniform(-20.0, 20.0, size=3)
    gain = np.float32(rng.uniform(0.5, 1.2))
    patch = (patch - np.float32(level)) * gain + (level + shift + cast).astype(np.float32)
    return jitter_detail(patch, grey, rng)


def _bent(
    image: npt.NDArray[np.uint8], mask: npt.NDArray[np.bool_], grey: bool, rng: np.random.Generator
) -> FloatImage:
    """What is there, displaced by up to 6 to 16 pixels of a 256-pixel image."""
    return distort(image, float(rng.uniform(6.0, 16.0)) * unit_length(image.shape), rng)


def _flat(
    image: npt.NDArray[np.uint8], mask: npt.NDArray[np.bool_], grey: bool, rng: np.random.Generator
) -> FloatImage:
    """One tone from anywhere in the image, grained, so that background can take the object's place."""
    row, column = random_point(np.ones(mask.shape, np.bool_), rng)
    tone = image[row, column].astype(np.float32) + np.float32(rng.uniform(-20.0, 20.0))
    return tone + np.float32(0.4) * noise(image.shape, grey, rng)


def _smeared(
    image: npt.NDArray[np.uint8], mask: npt.NDArray[np.bool_], grey: bool, rng: np.random.Generator
) -> FloatImage:
    """What is there, dragged along a direction, then retoned a little."""
    return jitter_tone(smear(image.astype(np.float32), rng), grey, rng)


def load_donors(images: Images, size: tuple[int, int]) -> list[npt.NDArray[np.uint8]]:
    """At most 128 images, evenly spaced over those given, each (H, W, 3) uint8 at `size`.

    Raises:
        DataError: there are no images, or one cannot be decoded.
        ConfigError: the size is not two positive numbers.
    """
    if len(size) != 2 or min(size) < 1:
        raise ConfigError(f"size {size} is not (height, width) in pixels, both at least 1.")
    if not len(images):
        raise DataError("no normal images to take patches from. Give at least one.")
    picks = np.unique(np.linspace(0, len(images) - 1, min(len(images), MAX_DONORS)).round().astype(int))
    chosen = [images[int(index)] for index in picks]
    return [preprocess(load_image(item) if isinstance(item, Path) else item, size) for item in chosen]
