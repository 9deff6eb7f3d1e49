"""Deformed geometry: bent, dented, stretched, twisted or squeezed material.

Nothing is drawn on the part: within a disc the image itself is displaced by a smooth field that fades
to zero at the rim (quartic window), so that threads, edges and outlines come out where they must not
be, sharp as ever. Damage of this kind changes the outline as often as the surface, so it may reach
beyond the foreground by as far as material was moved.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from realnet_edge.synthesis.base import Synthetic, draw_until, visible_difference, where_changed
from realnet_edge.synthesis.perlin import MIN_PIXELS
from realnet_edge.synthesis.shapes import random_point, unit_length

Field = npt.NDArray[np.float32]

RADIUS = (4.0, 28.0)  # pixels of a 256-pixel image, log-uniform
SHIFT = (0.2, 0.6)  # of the radius; more would fold the image over itself
TWIST_DEGREES = (20.0, 80.0)
ZOOM = (0.3, 0.65)  # share of the distance to the centre taken away or added
VISIBLE_LEVELS = 6
CLEAR_LEVELS = 8.0
ATTEMPTS = 8


class BendSource:
    """Displaces the image locally: a shift, a twist, or a zoom in or out about a point of the part."""

    name = "bends"

    def __call__(
        self, image: npt.NDArray[np.uint8], foreground: npt.NDArray[np.bool_], rng: np.random.Generator
    ) -> Synthetic:
        """One anomaly; the mask holds what changed by 6 grey levels and its surroundings of 2 pixels.

        Draws again up to 8 times while fewer than 4 pixels changed, or those by less than 8 grey levels
        on average (a flat area that is bent stays flat); the last draw is returned whatever its mask
        holds (`synthesise` deals with an empty one).
        """
        return draw_until(
            lambda made: is_clear(image, made),
            ATTEMPTS,
            lambda: bend(image, foreground, random_point(foreground, rng), RADIUS, rng),
        )


def is_clear(image: npt.NDArray[np.uint8], made: Synthetic) -> bool:
    """Whether at least 4 pixels changed, and the marked ones by 8 grey levels or more on average."""
    enough = np.count_nonzero(made.mask) >= MIN_PIXELS
    return bool(enough and visible_difference(image, made.image, made.mask) >= CLEAR_LEVELS)


def bend(
    image: npt.NDArray[np.uint8],
    foreground: npt.NDArray[np.bool_],
    point: tuple[int, int],
    radii: tuple[float, float],
    rng: np.random.Generator,
) -> Synthetic:
    """Displace the image once, about that (row, column).

    Args:
        image: (H, W, 3) uint8.
        foreground: (H, W) bool.
        point: centre of the disc.
        radii: its smallest and largest radius, in pixels of a 256-pixel image, log-uniform.
        rng: all randomness comes from it.
    """
    height, width = foreground.shape
    row, column = point
    radius = float(np.exp(rng.uniform(*np.log(radii)))) * unit_length(image.shape)
    rows = slice(max(0, int(row - radius)), min(height, int(row + radius) + 2))
    columns = slice(max(0, int(column - radius)), min(width, int(column + radius) + 2))
    y, x = np.meshgrid(
        np.arange(rows.start, rows.stop, dtype=np.float32) - np.float32(row),
        np.arange(columns.start, columns.stop, dtype=np.float32) - np.float32(column),
        indexing="ij",
    )
    window = np.square(np.clip(1 - (x * x + y * y) / np.float32(radius * radius), 0, None))
    moved_x, moved_y = _displacement(x, y, radius, rng)
    source_x = x + window * moved_x + np.float32(column)
    source_y = y + window * moved_y + np.float32(row)
    # Cubic: a linear one would blur, and the blur rather than the shape would give the anomaly away.
    bent = cv2.remap(image, source_x, source_y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    reach = float(np.max(window * np.hypot(moved_x, moved_y)))
    allowed = _grown(foreground, rows, columns, reach) & (window > 0)
    result = image.copy()
    np.copyto(result[rows, columns], np.asarray(bent, np.uint8), where=allowed[:, :, None])
    touched = np.zeros(foreground.shape, np.bool_)
    touched[rows, columns] = allowed
    return Synthetic(result, where_changed(image, result, touched, VISIBLE_LEVELS))


def _displacement(x: Field, y: Field, radius: float, rng: np.random.Generator) -> tuple[Field, Field]:
    """Where each pixel takes its value from, relative to itself, before the window: (dx, dy)."""
    kind = int(rng.integers(3))
    if kind == 0:
        length, angle = radius * rng.uniform(*SHIFT), rng.uniform(0.0, 2.0 * np.pi)
        return np.full_like(x, length * np.cos(angle)), np.full_like(y, length * np.sin(angle))
    sign = float(rng.choice([-1.0, 1.0]))
    if kind == 1:
        turn = sign * np.radians(rng.uniform(*TWIST_DEGREES))
        cosine, sine = np.float32(np.cos(turn)), np.float32(np.sin(turn))
        return cosine * x - sine * y - x, sine * x + cosine * y - y
    zoom = np.float32(sign * rng.uniform(*ZOOM))
    return zoom * x, zoom * y


def _grown(
    foreground: npt.NDArray[np.bool_], rows: slice, columns: slice, reach: float
) -> npt.NDArray[np.bool_]:
    """A window of the foreground, grown by `reach` pixels in every direction."""
    pad = int(np.ceil(reach))
    top, left = max(0, rows.start - pad), max(0, columns.start - pad)
    part = foreground[top : rows.stop + pad, left : columns.stop + pad].astype(np.uint8)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * pad + 1, 2 * pad + 1))
    grown = np.asarray(cv2.dilate(part, disc), np.uint8) > 0
    size = (rows.stop - rows.start, columns.stop - columns.start)
    return grown[rows.start - top :, columns.start - left :][: size[0], : size[1]]
