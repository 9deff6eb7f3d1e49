"""CutPaste (Li et al., CVPR 2021): a patch of the image, jittered, pasted elsewhere on it.

Two forms, each in half of the draws unless one alone is wanted. The rectangle has 2% to 15% of the
foreground's area (of the image's, as published, where the foreground is the whole image) and an aspect
of 0.3 to 3.3. The scar is 2..16 x 10..25 pixels of a 256-pixel image and turned by -45..45 degrees. Both
are cut where the object is and pasted with their centre on it; they may overlap its outline by 3% of the
image, as a burr or a bent tip does.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from realnet_edge.errors import ConfigError
from realnet_edge.synthesis.base import Synthetic, draw_until, where_changed
from realnet_edge.synthesis.jitter import is_grey
from realnet_edge.synthesis.perlin import MIN_PIXELS
from realnet_edge.synthesis.shapes import random_point, unit_length

AREA_RATIO = (0.02, 0.15)
ASPECT = (0.3, 3.3)
SCAR_WIDTH = (2.0, 16.0)
SCAR_LENGTH = (10.0, 25.0)
SCAR_DEGREES = 45.0
JITTER = 0.1
MARGIN_SHARE = 0.03
VISIBLE_LEVELS = 3
ATTEMPTS = 8
FORMS = ("rectangle", "scar")


class CutPasteSource:
    """Pastes a piece of the image over another place of the same image.

    Args:
        form: "rectangle", the paper's CutPaste, or "scar"; empty for both, each in half of the draws.

    Raises:
        ConfigError: another form.
    """

    def __init__(self, form: str = "") -> None:
        """Refuse what is no form."""
        if form not in ("", *FORMS):
            raise ConfigError(f"CutPaste has no form '{form}'. Valid: {', '.join(FORMS)}, or none for both.")
        self.name = f"cutpaste={form}" if form else "cutpaste"
        self._rectangles = {"": 0.5, "rectangle": 1.0, "scar": 0.0}[form]

    def __call__(
        self, image: npt.NDArray[np.uint8], foreground: npt.NDArray[np.bool_], rng: np.random.Generator
    ) -> Synthetic:
        """One anomaly; the mask holds the pasted pixels within 2 pixels of a visible change.

        Draws again up to 8 times while fewer than 4 pixels changed by 3 grey levels; the last draw is
        returned whatever its mask holds (`synthesise` deals with an empty one).
        """
        allowed = _with_margin(foreground)
        grey = is_grey(image)
        return draw_until(
            lambda made: bool(np.count_nonzero(made.mask) >= MIN_PIXELS),
            ATTEMPTS,
            lambda: _paste(image, foreground, allowed, grey, self._rectangles, rng),
        )


def _paste(
    image: npt.NDArray[np.uint8],
    foreground: npt.NDArray[np.bool_],
    allowed: npt.NDArray[np.bool_],
    grey: bool,
    rectangles: float,
    rng: np.random.Generator,
) -> Synthetic:
    """Cut, jitter, turn and paste once: a rectangle with this probability, else a scar."""
    if rng.random() < rectangles:
        (height, width), degrees = _rectangle(foreground, rng), 0.0
    else:
        unit = unit_length(image.shape)
        height = float(rng.uniform(*SCAR_LENGTH)) * unit
        width = float(rng.uniform(*SCAR_WIDTH)) * unit
        degrees = float(rng.uniform(-SCAR_DEGREES, SCAR_DEGREES))
    rows = min(max(2, round(height)), image.shape[0])
    columns = min(max(2, round(width)), image.shape[1])
    cut = _cut(image, random_point(foreground, rng), rows, columns)
    patch, covered = _turn(_jitter(cut, grey, rng), degrees)
    row, column = random_point(foreground, rng)
    pasted = np.zeros(foreground.shape, np.bool_)
    result = image.copy()
    here, there = _overlap(patch.shape, image.shape, (row, column))
    pasted[here] = covered[there] & allowed[here]
    np.copyto(result[here], patch[there], where=pasted[here][:, :, None])
    return Synthetic(result, where_changed(image, result, pasted, VISIBLE_LEVELS))


def _turn(
    patch: npt.NDArray[np.uint8], degrees: float
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.bool_]]:
    """The patch turned on a canvas that holds it whole, and where on that canvas it lies."""
    rows, columns = patch.shape[:2]
    if degrees == 0.0:
        return patch, np.ones((rows, columns), np.bool_)
    side = int(np.ceil(np.hypot(rows, columns))) + 1
    matrix = cv2.getRotationMatrix2D(((columns - 1) / 2.0, (rows - 1) / 2.0), degrees, 1.0)
    matrix[:, 2] += (side - columns) / 2.0, (side - rows) / 2.0
    turned = cv2.warpAffine(patch, matrix, (side, side), borderMode=cv2.BORDER_REPLICATE)
    where = cv2.warpAffine(np.ones((rows, columns), np.uint8), matrix, (side, side), flags=cv2.INTER_NEAREST)
    return np.asarray(turned, np.uint8), np.asarray(where) > 0


def _overlap(
    patch: tuple[int, ...], image: tuple[int, ...], centre: tuple[int, int]
) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Where a patch centred on a pixel lies in the image, and which part of the patch that is."""
    here, there = [], []
    for size, limit, middle in zip(patch[:2], image[:2], centre, strict=True):
        start = middle - size // 2
        low, high = max(start, 0), min(start + size, limit)
        here.append(slice(low, high))
        there.append(slice(low - start, high - start))
    return (here[0], here[1]), (there[0], there[1])


def _rectangle(foreground: npt.NDArray[np.bool_], rng: np.random.Generator) -> tuple[float, float]:
    """Height and width of the rectangular patch: the aspect is uniform on either side of a square."""
    area = float(rng.uniform(*AREA_RATIO)) * max(1, int(np.count_nonzero(foreground)))
    low, high = ASPECT
    aspect = float(rng.uniform(low, 1.0) if rng.random() < 0.5 else rng.uniform(1.0, high))
    return float(np.sqrt(area / aspect)), float(np.sqrt(area * aspect))


def _cut(
    image: npt.NDArray[np.uint8], centre: tuple[int, int], rows: int, columns: int
) -> npt.NDArray[np.uint8]:
    """The patch about a centre, moved inwards where it would leave the image."""
    top = min(max(centre[0] - rows // 2, 0), image.shape[0] - rows)
    left = min(max(centre[1] - columns // 2, 0), image.shape[1] - columns)
    patch: npt.NDArray[np.uint8] = image[top : top + rows, left : left + columns]
    return patch


def _jitter(patch: npt.NDArray[np.uint8], grey: bool, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Brightness, contrast, saturation and hue by up to 10%, as published; tone alone if grey."""
    values = patch.astype(np.float32) * np.float32(1.0 + rng.uniform(-JITTER, JITTER))
    mean = np.float32(values.mean())
    values = (values - mean) * np.float32(1.0 + rng.uniform(-JITTER, JITTER)) + mean
    toned = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    if grey:
        return np.asarray(toned, np.uint8)
    hsv = cv2.cvtColor(toned, cv2.COLOR_RGB2HSV_FULL).astype(np.float32)
    hsv[:, :, 0] = (hsv[:, :, 0] + 256.0 * rng.uniform(-JITTER, JITTER)) % 256.0
    hsv[:, :, 1] = np.clip(hsv[:, :, 1] * (1.0 + rng.uniform(-JITTER, JITTER)), 0, 255)
    return np.asarray(cv2.cvtColor(hsv.astype(np.uint8), cv2.COLOR_HSV2RGB_FULL), np.uint8)


def _with_margin(foreground: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """The foreground grown by 3% of the image."""
    reach = round(MARGIN_SHARE * min(foreground.shape))
    square = np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
    return np.asarray(cv2.dilate(foreground.astype(np.uint8), square), np.uint8) > 0
