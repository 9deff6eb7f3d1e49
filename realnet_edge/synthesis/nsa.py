"""NSA (Schlueter et al., ECCV 2022): patches of other normal images, rescaled and blended in seamlessly.

A patch is a rectangle of another normal image with enough of the object in it. It lands where enough of
that meets the object here, and is blended by Poisson editing (Perez et al. 2003), so that it has no edge:
what is wrong is the structure. The solver is OpenCV's `seamlessClone`, as in the official implementation.

Labelled is what changed by more than one grey level on the object, of the patch or of the image. The
published ground is found by brightness; ours is the category's own foreground. Patches come from the images
as they lie in the folder, whatever way the image they are put on has been turned.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from realnet_edge.errors import ConfigError
from realnet_edge.synthesis.base import Synthetic
from realnet_edge.synthesis.donors import Donors, Images
from realnet_edge.synthesis.foreground import ForegroundRule
from realnet_edge.synthesis.nsa_settings import GENERAL, PRESETS, TEXTURE, Bounds, NsaSettings

# Half sides are 3% of the image's and Gamma distributed beyond, then cut to the category's bounds.
GAMMA_SHAPE = 2.0
GAMMA_SCALE = 0.05
LEAST_HALF = 0.03
SCALE_DEVIATION = 0.5
ATTEMPTS = 200
# Of smaller patches nothing arrives: see `clone`.
LEAST_SIDE = 11
CHANGED_LEVELS = 1.0
VISIBLE_LEVELS = 6
MEDIAN = 5


@dataclass(frozen=True)
class _Patch:
    """A rescaled rectangle of a donor: (h, w, 3) uint8, and (h, w) bool where it shows the object."""

    pixels: npt.NDArray[np.uint8]
    area: npt.NDArray[np.bool_]


class NsaSource:
    """Blends patches of other normal images into an image, seamlessly.

    Args:
        images: normal images that patches are taken from, files or (H, W, 3) uint8 RGB arrays; at most 128,
            evenly spaced, are kept in memory.
        size: (height, width) that files are resized to.
        rule: the category's foreground, or one for each image. None chooses one by `choose_foreground`.
        published: whose settings hold, such as "mvtec/screw"; empty for general ones, which are those of a
            texture where the foreground is the whole image.

    Raises:
        ConfigError: nothing is published under that name.
        DataError: there are no images, or one cannot be decoded.
    """

    def __init__(
        self,
        images: Images,
        size: tuple[int, int],
        rule: ForegroundRule | Sequence[ForegroundRule] | None = None,
        published: str = "",
    ) -> None:
        """Find the settings and load the donors."""
        if published and published not in PRESETS:
            raise ConfigError(
                f"NSA has no published settings of '{published}'. Valid: {', '.join(sorted(PRESETS))}; or "
                "nsa alone for general ones."
            )
        self.name = f"nsa={published}" if published else "nsa"
        self._settings = PRESETS.get(published)
        self._donors = Donors(images, size, rule)

    def __call__(
        self, image: npt.NDArray[np.uint8], foreground: npt.NDArray[np.bool_], rng: np.random.Generator
    ) -> Synthetic:
        """One anomaly of one or more patches, all of them of one donor; see `AnomalySource`.

        Where no patch finds a place in 200 attempts nothing is changed and the mask is empty, as in the
        official implementation (`synthesise` then draws again).
        """
        settings = self._settings or (TEXTURE if foreground.all() else GENERAL)
        donor = int(rng.integers(len(self._donors)))
        result, pasted = image, image.copy()
        patched = np.zeros(foreground.shape, np.bool_)
        for number in range(settings.patches):
            if number and rng.random() < 0.5:
                continue
            patch = _cut(self._donors.images[donor], self._donors.areas[donor], settings, rng)
            place = None if patch is None else _place(patch.area, foreground, settings, rng)
            if patch is None or place is None:
                continue
            result = clone(result, patch.pixels, place, settings.mixed)
            window = _window(place, patch.area.shape)
            pasted[window] = patch.pixels
            patched[window] |= patch.area | foreground[window]
        return Synthetic(result, _changed(image, result, patched), pasted)


def clone(
    image: npt.NDArray[np.uint8], patch: npt.NDArray[np.uint8], corner: tuple[int, int], mixed: bool
) -> npt.NDArray[np.uint8]:
    """Blend a rectangle into an image by Poisson editing.

    OpenCV solves the Poisson equation for all but a frame of two pixels, which stays the image's; within
    another three pixels the gradients are the image's as well, further inside the patch's. Of a patch of
    fewer than 11 pixels along a side nothing arrives.

    Args:
        image: (H, W, 3) uint8.
        patch: (h, w, 3) uint8, at least 6 pixels along each side and at most the image's.
        corner: row and column of the patch's first pixel, so that the patch lies within the image.
        mixed: at each pixel the stronger of the two gradients, instead of the patch's.

    Returns:
        (H, W, 3) uint8, another array.
    """
    rows, columns = patch.shape[:2]
    mask = np.full((rows, columns), 255, np.uint8)
    mask[0], mask[-1], mask[:, 0], mask[:, -1] = 0, 0, 0, 0
    # OpenCV centres the mask's bounding box, which is the patch without its frame.
    centre = (corner[1] + 1 + (columns - 2) // 2, corner[0] + 1 + (rows - 2) // 2)
    mode = cv2.MIXED_CLONE if mixed else cv2.NORMAL_CLONE
    return np.asarray(cv2.seamlessClone(patch, image, mask, centre, mode), np.uint8)


def _cut(
    donor: npt.NDArray[np.uint8],
    area: npt.NDArray[np.bool_],
    settings: NsaSettings,
    rng: np.random.Generator,
) -> _Patch | None:
    """A rescaled rectangle of the donor with enough object in it; None where none was found."""
    limits = (settings.height, settings.width)
    half = [_half_side(length, bounds, rng) for length, bounds in zip(area.shape, limits, strict=True)]
    margins = [round(bounds[0] * length) for length, bounds in zip(area.shape, limits, strict=True)]
    for _ in range(ATTEMPTS):
        centre = [
            int(rng.integers(margin, max(margin + 1, length - margin)))
            for length, margin in zip(area.shape, margins, strict=True)
        ]
        window = tuple(slice(max(0, c - h), c + h) for c, h in zip(centre, half, strict=True))
        if area[window].size and area[window].mean() >= settings.least_object:
            break
    else:
        return None
    rows, columns = _rescaled(area[window].shape, area.shape, settings, rng)
    if min(rows, columns) < LEAST_SIDE:
        return None
    pixels = np.asarray(cv2.resize(donor[window], (columns, rows)), np.uint8)
    shown = np.asarray(cv2.resize(area[window].astype(np.uint8), (columns, rows)), np.uint8) > 0
    return _Patch(pixels, shown) if shown.mean() >= settings.least_object else None


def _half_side(length: int, bounds: Bounds, rng: np.random.Generator) -> int:
    """Half a side in pixels: a truncated Gamma distribution."""
    share = LEAST_HALF + rng.gamma(GAMMA_SHAPE, GAMMA_SCALE)
    return max(1, int(np.clip(share * length, round(bounds[0] * length), round(bounds[1] * length))))


def _rescaled(
    shape: tuple[int, ...], image: tuple[int, ...], settings: NsaSettings, rng: np.random.Generator
) -> tuple[int, int]:
    """Height and width of a patch after rescaling: its aspect is kept as far as the bounds allow."""
    factor = min(max(rng.normal(1.0, SCALE_DEVIATION), settings.scale[0]), settings.scale[1])
    low, high = (round(bound * image[0]) for bound in settings.height)
    left, right = (round(bound * image[1]) for bound in settings.width)
    rows = min(max(factor * shape[0], low), high)
    columns = min(max(int(rows / shape[0] * shape[1]), left), right)
    return min(max(int(columns / shape[1] * shape[0]), low), high), columns


def _place(
    area: npt.NDArray[np.bool_],
    foreground: npt.NDArray[np.bool_],
    settings: NsaSettings,
    rng: np.random.Generator,
) -> tuple[int, int] | None:
    """Row and column of a patch's first pixel where enough of its object meets the image's; None without."""
    room = [length - side for length, side in zip(foreground.shape, area.shape, strict=True)]
    if min(room) < 0:
        return None
    needed = settings.least_overlap * max(1, int(np.count_nonzero(area)))
    for _ in range(ATTEMPTS):
        corner = (int(rng.integers(room[0] + 1)), int(rng.integers(room[1] + 1)))
        if np.count_nonzero(foreground[_window(corner, area.shape)] & area) >= needed:
            return corner
    return None


def _window(corner: tuple[int, int], shape: tuple[int, ...]) -> tuple[slice, slice]:
    return slice(corner[0], corner[0] + shape[0]), slice(corner[1], corner[1] + shape[1])


def _changed(
    before: npt.NDArray[np.uint8], after: npt.NDArray[np.uint8], within: npt.NDArray[np.bool_]
) -> npt.NDArray[np.bool_]:
    """Where channels changed by more than one grey level on average.

    A median filter takes specks away, as published, but none in which a channel changed by 6 levels.
    """
    difference = np.asarray(cv2.absdiff(before, after), np.uint8)
    changed = (difference.mean(axis=2, dtype=np.float32) > CHANGED_LEVELS) & within
    smooth = np.asarray(cv2.medianBlur(changed.astype(np.uint8), MEDIAN), np.uint8) > 0
    visible: npt.NDArray[np.bool_] = (difference.max(axis=2) >= VISIBLE_LEVELS) & within
    return smooth | visible
