"""CutPaste (Li et al., CVPR 2021): a patch of the image, jittered, pasted elsewhere on it.

Two forms, each in half of the draws. The rectangle has 2% to 15% of the foreground's area (of the
image's, as published, where the foreground is the whole image) and an aspect of 0.3 to 3.3. The
scar is 2..16 x 10..25 pixels of a 256-pixel image and turned by -45..45 degrees. Both are cut where
the object is and pasted with their centre on it; they may overlap its outline by 3% of the image,
as a burr or a bent tip does.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from realnet_edge.synthesis.base import Synthetic
from realnet_edge.synthesis.jitter import is_grey
from realnet_edge.synthesis.shapes import random_point, unit_length

AREA_RATIO = (0.02, 0.15)
ASPECT = (0.3, 3.3)
SCAR_WIDTH = (2.0, 16.0)
SCAR_LENGTH = (10.0, 25.0)
SCAR_DEGREES = 45.0
JITTER = 0.1
MARGIN_SHARE = 0.03
# A pasted pixel that lies this close to what was there is not an anomaly anyone could see.
MIN_LEVELS = 3
ATTEMPTS = 8


class CutPasteSource:
    """Pastes a piece of the image over another place of the same image."""

    name = "cutpaste"

    def __call__(
        self, image: npt.NDArray[np.uint8], foreground: npt.NDArray[np.bool_], rng: np.random.Generator
    ) -> Synthetic:
        """One anomaly; the mask holds the pasted pixels that differ by 3 grey levels or more.

        Draws again up to 8 times while fewer than 4 pixels changed; the mask of the last is returned
        whatever it holds (`synthesise` deals with an empty one).
        """
        allowed = _with_margin(foreground)
        for _ in range(ATTEMPTS):
            result = _paste(image, foreground, allowed, rng)
            if np.count_nonzero(result.mask) >= 4:
                break
        return result


def _paste(
    image: npt.NDArray[np.uint8],
    foreground: npt.NDArray[np.bool_],
    allowed: npt.NDArray[np.bool_],
    rng: np.random.Generator,
) -> Synthetic:
    """Cut, jitter, turn and paste once."""
    if rng.random() < 0.5:
        height, width, degrees = *_rectangle(foreground, rng), 0.0
    else:
        unit = unit_length(image.shape)
        height, width = rng.uniform(*SCAR_LENGTH) * unit, rng.uniform(*SCAR_WIDTH) * unit
        degrees = float(rng.uniform(-SCAR_DEGREES, SCAR_DEGREES))
    rows = min(max(2, round(height)), image.shape[0])
    columns = min(max(2, round(width)), image.shape[1])
    cut = _cut(image, random_point(foreground, rng), rows, columns)
    patch = _jitter(cut, is_grey(image), rng)
    row, column = random_point(foreground, rng)
    matrix = cv2.getRotationMatrix2D(((columns - 1) / 2.0, (rows - 1) / 2.0), degrees, 1.0)
    matrix[:, 2] += column - (columns - 1) / 2.0, row - (rows - 1) / 2.0
    full = (image.shape[1], image.shape[0])
    moved = cv2.warpAffine(patch, matrix, full, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    where = cv2.warpAffine(np.ones((rows, columns), np.uint8), matrix, full, flags=cv2.INTER_NEAREST)
    pasted = (np.asarray(where) > 0) & allowed
    result = np.where(pasted[:, :, None], np.asarray(moved), image).astype(np.uint8)
    changed = np.abs(result.astype(np.int16) - image).max(axis=2) >= MIN_LEVELS
    return Synthetic(result, changed)


def _rectangle(foreground: npt.NDArray[np.bool_], rng: np.random.Generator) -> tuple[float, float]:
    """Height and width of the rectangular patch: the aspect is uniform on either side of a square."""
    area = float(rng.uniform(*AREA_RATIO)) * max(1, np.count_nonzero(foreground))
    low, high = ASPECT
    aspect = float(rng.uniform(low, 1.0) if rng.random() < 0.5 else rng.uniform(1.0, high))
    return float(np.sqrt(area / aspect)), float(np.sqrt(area * aspect))


def _cut(
    image: npt.NDArray[np.uint8], centre: tuple[int, int], rows: int, columns: int
) -> npt.NDArray[np.uint8]:
    """The patch about a centre, moved inwards where it would leave the image."""
    top = min(max(centre[0] - rows // 2, 0), image.shape[0] - rows)
    left = min(max(centre[1] - columns // 2, 0), image.shape[1] - columns)
    return image[top : top + rows, left : left + columns]


def _jitter(patch: npt.NDArray[np.uint8], grey: bool, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Brightness, contrast, saturation and hue by up to 10%, as published; tone alone if grey."""
    values = patch.astype(np.float32) * np.float32(1.0 + rng.uniform(-JITTER, JITTER))
    mean = np.float32(values.mean())
    values = (values - mean) * np.float32(1.0 + rng.uniform(-JITTER, JITTER)) + mean
    toned = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    if grey:
        return toned
    hsv = cv2.cvtColor(toned, cv2.COLOR_RGB2HSV_FULL).astype(np.float32)
    hsv[:, :, 0] = (hsv[:, :, 0] + 256.0 * rng.uniform(-JITTER, JITTER)) % 256.0
    hsv[:, :, 1] = np.clip(hsv[:, :, 1] * (1.0 + rng.uniform(-JITTER, JITTER)), 0, 255)
    return np.asarray(cv2.cvtColor(hsv.astype(np.uint8), cv2.COLOR_HSV2RGB_FULL), np.uint8)


def _with_margin(foreground: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """The foreground grown by 3% of the image."""
    reach = round(MARGIN_SHARE * min(foreground.shape))
    square = np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
    return np.asarray(cv2.dilate(foreground.astype(np.uint8), square)) > 0
