"""Anomalies made of the category itself: augmented patches of its own normal images.

Nothing has to be downloaded. Five kinds of content are blended in, in these shares:

- displaced (40%): texture of another normal image (or the same), turned, mirrored, rescaled, moved
  so that object lands on object (in one of four draws: so that anything may), jittered;
- retoned (20%): what is there, in another brightness and contrast: stains, inactive areas, shine;
- bent (20%): what is there, displaced by a smooth random field: deformed structure;
- flat (15%): one tone taken from the image, slightly grained: worn off, filled, or missing;
- smeared (5%): what is there, dragged along a direction.

Masks are Perlin (65%), blobs (25%) or strokes (10%), within the foreground. Opacity is 0.5..1, as
the paper has it for its own synthetic images, 0.7..1 for flat and smeared content, and 1 for bent
content, of which less would show double edges. Half of the masks fade inwards at the edge, over 0.5
to 10 pixels, so that a hard seam does not give every anomaly away. What is labelled is the part of
the mask within 2 pixels of a visible change (6 grey levels), not, as in the paper, the whole mask:
a bent flat area looks as before, and labelling it would teach that normal pixels are anomalous.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from realnet_edge.synthesis.base import Synthetic, blend, bounding_box, where_changed
from realnet_edge.synthesis.donors import Donors, Images
from realnet_edge.synthesis.foreground import ForegroundRule
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

MASK_WEIGHTS = (0.65, 0.25, 0.10)
FADE = (0.5, 10.0)
BEND = (6.0, 16.0)
VISIBLE_LEVELS = 6
OBJECT_SHARE = 0.75


@dataclass(frozen=True)
class _Site:
    """Where an anomaly goes: the whole image, and the part of it and of the mask that matters."""

    image: npt.NDArray[np.uint8]
    part: npt.NDArray[np.uint8]
    mask: npt.NDArray[np.bool_]
    grey: bool
    unit: float


_Content = Callable[[_Site, np.random.Generator], FloatImage]


class PatchSource:
    """Blends augmented patches of a category's own normal images into a normal image.

    Args:
        images: normal images, files or (H, W, 3) uint8 RGB arrays; at most 128, evenly spaced, are
            kept in memory as donors.
        size: (height, width) that files are resized to.
        rule: the category's foreground, which says where a donor shows the object, or one for each image.
            None chooses one by `choose_foreground`.

    Raises:
        DataError: there are no images, or one cannot be decoded.
    """

    name = "patches"

    def __init__(
        self,
        images: Images,
        size: tuple[int, int],
        rule: ForegroundRule | Sequence[ForegroundRule] | None = None,
    ) -> None:
        """Load the donors and find their foregrounds."""
        self._donors = Donors(images, size, rule)

    def __call__(
        self, image: npt.NDArray[np.uint8], foreground: npt.NDArray[np.bool_], rng: np.random.Generator
    ) -> Synthetic:
        """One anomaly; see `AnomalySource`."""
        mask = mixed_mask(foreground, rng, MASK_WEIGHTS)
        unit = unit_length(image.shape)
        box = _grown_box(mask, round(BEND[1] * unit))
        site = _Site(image, image[box], mask[box], is_grey(image), unit)
        contents: tuple[tuple[_Content, float, float], ...] = (
            (self._displaced, 0.40, 0.5),
            (_retoned, 0.20, 0.5),
            (_bent, 0.20, 1.0),
            (_flat, 0.15, 0.7),
            (_smeared, 0.05, 0.7),
        )
        index = int(rng.choice(len(contents), p=[share for _, share, _ in contents]))
        content, _, least_opacity = contents[index]
        anomaly = content(site, rng)
        opacity = float(rng.uniform(least_opacity, 1.0))
        fade = float(np.exp(rng.uniform(*np.log(FADE)))) * unit
        weight = feather(site.mask, fade if rng.random() < 0.5 else 0.0)
        blended = image.copy()
        blended[box] = blend(site.part, anomaly, weight, opacity)
        return Synthetic(blended, where_changed(image, blended, mask, VISIBLE_LEVELS))

    def _displaced(self, site: _Site, rng: np.random.Generator) -> FloatImage:
        index = int(rng.integers(len(self._donors)))
        area = self._donors.areas[index]
        if rng.random() >= OBJECT_SHARE:
            area = np.ones_like(area)
        taken_from, placed_at = random_point(area, rng), random_point(site.mask, rng)
        patch = transplant(self._donors.images[index], taken_from, placed_at, site.mask.shape, rng)
        if rng.random() < 0.5:
            patch = jitter_tone(patch, site.grey, rng)
        return jitter_detail(patch, site.grey, rng)


def _retoned(site: _Site, rng: np.random.Generator) -> FloatImage:
    """What is there in another tone, shifted by 25 to 90 grey levels towards where there is room."""
    level = float(site.part[site.mask].mean())
    shift = float(rng.uniform(25.0, 90.0)) * (1.0 if rng.random() > level / 255.0 else -1.0)
    cast = np.zeros(3) if site.grey else rng.uniform(-20.0, 20.0, size=3)
    gain = np.float32(rng.uniform(0.5, 1.2))
    patch = site.part.astype(np.float32)
    patch -= np.float32(level)
    patch *= gain
    patch += (level + shift + cast).astype(np.float32)
    return jitter_detail(patch, site.grey, rng)


def _bent(site: _Site, rng: np.random.Generator) -> FloatImage:
    """What is there, displaced by up to 6 to 16 pixels of a 256-pixel image."""
    return distort(site.part, float(rng.uniform(*BEND)) * site.unit, rng)


def _flat(site: _Site, rng: np.random.Generator) -> FloatImage:
    """One tone from anywhere in the image, grained, so that background can take the object's place."""
    row, column = int(rng.integers(site.image.shape[0])), int(rng.integers(site.image.shape[1]))
    tone = site.image[row, column].astype(np.float32) + np.float32(rng.uniform(-20.0, 20.0))
    patch = noise(site.part.shape, site.grey, rng)
    patch *= np.float32(0.4)
    patch += tone
    return patch


def _smeared(site: _Site, rng: np.random.Generator) -> FloatImage:
    """What is there, dragged along a direction, then retoned a little."""
    return jitter_tone(smear(site.part.astype(np.float32), rng), site.grey, rng)


def _grown_box(mask: npt.NDArray[np.bool_], margin: int) -> tuple[slice, slice]:
    """The mask's bounding box, grown by `margin` pixels as far as the image reaches."""
    rows, columns = bounding_box(mask)
    return (
        slice(max(0, rows.start - margin), min(mask.shape[0], rows.stop + margin)),
        slice(max(0, columns.start - margin), min(mask.shape[1], columns.stop + margin)),
    )
