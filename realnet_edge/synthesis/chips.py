"""Damage at the outline: ends broken off or bent over, corners and edges chipped.

Other sources choose their place by area, and the end of a slender part or the crest of a thread is hardly
any. Here a place is the likelier the less of the part lies around it. Two in five anomalies take material
away: what lies outward of a jagged line shows the surroundings instead, often with a darker rim. The others
bend the part at that place.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from realnet_edge.synthesis.base import Synthetic, blend, draw_until, where_changed
from realnet_edge.synthesis.bends import ATTEMPTS, VISIBLE_LEVELS, bend, is_clear
from realnet_edge.synthesis.shapes import random_point, unit_length

MISSING_SHARE = 0.4
# Lengths are pixels of a 256-pixel image.
REACH = 16.0  # of what counts as around a place
SHARPNESS = 6.0
BEND_RADIUS = (6.0, 24.0)
DEPTH = (1.5, 12.0)  # of a cut below its place, log-uniform
JAGGED = 1.2  # highest wave of a cut, of two
WAVE = (3.0, 16.0)
TILT = 0.4  # radians, standard deviation
GROWN = 3.0
SMOOTH = 2.0
RIM_SHARE = 0.5
RIM_LEVELS = (10.0, 60.0)
# What differs less from the surroundings is no material; nor is what differs less than half as much as most.
MATERIAL_LEVELS = 8.0


class ChipSource:
    """Takes away or bends material where the part ends."""

    name = "chips"

    def __call__(
        self, image: npt.NDArray[np.uint8], foreground: npt.NDArray[np.bool_], rng: np.random.Generator
    ) -> Synthetic:
        """One anomaly; the mask holds what changed by 6 grey levels and its surroundings of 2 pixels.

        Draws again up to 8 times while fewer than 4 pixels changed, or those by less than 8 grey levels on
        average. Where the foreground is the whole image, nothing can be missing, and all are bent.
        """
        likelihood = ends(foreground)
        part = _grown(foreground)
        whole = bool(part.all())

        def draw() -> Synthetic:
            point = _weighted_point(foreground, likelihood, rng)
            if rng.random() < MISSING_SHARE and not whole:
                return _missing(image, foreground, part, point, rng)
            return bend(image, foreground, point, BEND_RADIUS, rng)

        return draw_until(lambda made: is_clear(image, made), ATTEMPTS, draw)


def ends(foreground: npt.NDArray[np.bool_]) -> npt.NDArray[np.float32]:
    """How likely damage begins at each pixel: the share of its surroundings that is no part, to the sixth.

    Args:
        foreground: (H, W) bool. What lies outside the image counts as the nearest pixel inside it.

    Returns:
        (H, W) float32 in [0, 1], 0 outside the foreground.
    """
    side = 2 * max(1, round(REACH * unit_length(foreground.shape))) + 1
    around = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)).astype(np.float32)
    share = cv2.filter2D(
        foreground.astype(np.float32), -1, around / around.sum(), borderType=cv2.BORDER_REPLICATE
    )
    empty = np.clip(1.0 - np.asarray(share, np.float32), 0.0, 1.0)
    return np.asarray(empty**SHARPNESS * foreground, np.float32)


def _weighted_point(
    foreground: npt.NDArray[np.bool_], likelihood: npt.NDArray[np.float32], rng: np.random.Generator
) -> tuple[int, int]:
    """A pixel drawn by its likelihood; a uniform one of the foreground where all have none."""
    cumulated = np.cumsum(likelihood, dtype=np.float64)
    # Rounding leaves a little where the foreground is the whole image.
    if cumulated[-1] < 1e-6:
        return random_point(foreground, rng)
    index = int(np.searchsorted(cumulated, rng.random() * cumulated[-1], side="right"))
    return index // foreground.shape[1], index % foreground.shape[1]


def _missing(
    image: npt.NDArray[np.uint8],
    foreground: npt.NDArray[np.bool_],
    part: npt.NDArray[np.bool_],
    point: tuple[int, int],
    rng: np.random.Generator,
) -> Synthetic:
    """Cut the end off across a jagged line and show the surroundings there; `part` is not all True."""
    empty = _surroundings(image, part)
    # Shadow beside the part stays: what is around cannot know how it would fall then.
    difference = np.abs(image - empty).max(axis=2)
    different = difference > max(MATERIAL_LEVELS, 0.5 * float(np.median(difference[foreground])))
    material = _dilated(different, 3).astype(np.float32)
    alpha = _cut(part, point, rng) * np.asarray(cv2.GaussianBlur(material, (0, 0), 0.7))
    result = blend(image, empty, alpha, 1.0)
    touched = alpha > 0.0
    if rng.random() < RIM_SHARE:
        rim = _dilated(touched, 3) & ~touched & part & different
        darker = result - np.float32(rng.uniform(*RIM_LEVELS))
        result = blend(result, darker.astype(np.float32), rim, 1.0)
        touched |= rim
    return Synthetic(result, where_changed(image, result, touched, VISIBLE_LEVELS))


def _grown(foreground: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """The foreground and a little more: what a rough one leaves of an outline would stay behind as specks."""
    return _dilated(foreground, 2 * max(1, round(GROWN * unit_length(foreground.shape))) + 1)


def _dilated(mask: npt.NDArray[np.bool_], side: int) -> npt.NDArray[np.bool_]:
    """The mask grown by a square of that many pixels a side."""
    return np.asarray(cv2.dilate(mask.view(np.uint8), np.ones((side, side), np.uint8))) > 0


def _cut(
    foreground: npt.NDArray[np.bool_], point: tuple[int, int], rng: np.random.Generator
) -> npt.NDArray[np.float32]:
    """What of the foreground near a point lies outward of a line across it: (H, W) float32 in [0, 1]."""
    unit = unit_length(foreground.shape)
    reach = 1.5 * REACH * unit
    y, x = np.ogrid[: foreground.shape[0], : foreground.shape[1]]
    down, right = y - np.float32(point[0]), x - np.float32(point[1])
    near = foreground & (down * down + right * right <= reach * reach)
    rows, columns = np.nonzero(near)
    outward = np.array([point[0] - rows.mean(), point[1] - columns.mean()])
    angle = np.arctan2(outward[0], outward[1]) + rng.normal(0.0, TILT)
    along = right * np.float32(np.cos(angle)) + down * np.float32(np.sin(angle))
    across = down * np.float32(np.cos(angle)) - right * np.float32(np.sin(angle))
    # Two waves make a line jagged enough at these sizes.
    for length in rng.uniform(*WAVE, size=2) * unit:
        height, phase = rng.uniform(0.0, JAGGED) * unit, rng.uniform(0.0, 2.0 * np.pi)
        turns = across * np.float32(2.0 * np.pi / length) + np.float32(phase)
        along = along + np.float32(height) * np.sin(turns)
    depth = float(np.exp(rng.uniform(*np.log(DEPTH)))) * unit
    return np.asarray(np.clip(along + np.float32(depth + 0.5), 0.0, 1.0) * near, np.float32)


def _surroundings(image: npt.NDArray[np.uint8], foreground: npt.NDArray[np.bool_]) -> npt.NDArray[np.float32]:
    """The image with its foreground replaced by what is around it: (H, W, 3) float32 in grey levels.

    Light and shade go on from the nearest pixel of the outline; that alone would be streaks without grain, so
    what is finer is mirrored at the outline.
    """
    height, width = foreground.shape
    _, labels = cv2.distanceTransformWithLabels(
        foreground.view(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    outside = np.flatnonzero(~foreground)
    nearest = np.zeros(int(labels.max()) + 1, np.int64)
    nearest[labels.ravel()[outside]] = outside
    smooth = _smoothed(image, ~foreground)
    rows, columns = np.nonzero(foreground)
    edge_rows, edge_columns = np.divmod(nearest[labels[rows, columns]], width)
    mirrored_rows = np.clip(2 * edge_rows - rows, 0, height - 1)
    mirrored_columns = np.clip(2 * edge_columns - columns, 0, width - 1)
    # Mirrored across a notch it may lie on the part again.
    on_part = foreground[mirrored_rows, mirrored_columns]
    grain_at = np.where(on_part, edge_rows, mirrored_rows), np.where(on_part, edge_columns, mirrored_columns)
    result = image.astype(np.float32)
    result[rows, columns] = smooth[edge_rows, edge_columns] + image[grain_at] - smooth[grain_at]
    return result


def _smoothed(image: npt.NDArray[np.uint8], where: npt.NDArray[np.bool_]) -> npt.NDArray[np.float32]:
    """The image averaged over some pixels' surroundings, of what `where` holds alone."""
    spread = SMOOTH * unit_length(where.shape)
    weight = where.astype(np.float32)
    total = np.asarray(cv2.GaussianBlur(image * weight[:, :, None], (0, 0), spread))
    share = np.asarray(cv2.GaussianBlur(weight, (0, 0), spread))
    return np.asarray(total / np.maximum(share, 1e-3)[:, :, None], np.float32)
