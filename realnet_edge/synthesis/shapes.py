"""Masks beside Perlin noise: thin strokes (scratches, cracks) and small blobs (pits, stains, chips)."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from realnet_edge.synthesis.perlin import perlin_mask_within

# Lengths and widths are stated for 256 pixels and grow with the image.
REFERENCE_SIZE = 256.0
_SUBPIXEL_BITS = 4


def random_point(area: npt.NDArray[np.bool_], rng: np.random.Generator) -> tuple[int, int]:
    """A uniformly random True pixel of `area` as (row, column); of the whole image if none is True."""
    candidates = np.flatnonzero(area)
    pick = int(rng.integers(candidates.size or area.size))
    index = int(candidates[pick]) if candidates.size else pick
    return index // area.shape[1], index % area.shape[1]


def blob_alpha(
    foreground: npt.NDArray[np.bool_], rng: np.random.Generator, radius: tuple[float, float] = (1.5, 16.0)
) -> npt.NDArray[np.float32]:
    """An irregular ellipse-like blob centred in the foreground.

    Args:
        foreground: (H, W) bool; the centre lies in it and the blob is cut to it.
        rng: source of place, size and outline.
        radius: smallest and largest mean radius, in pixels of a 256-pixel image, log-uniform.

    Returns:
        (H, W) float32 in [0, 1], antialiased; at least one pixel is 1.
    """
    row, column = random_point(foreground, rng)
    unit = unit_length(foreground.shape)
    mean = float(np.exp(rng.uniform(np.log(radius[0]), np.log(radius[1])))) * unit
    stretch = float(np.exp(rng.uniform(-0.6, 0.6)))
    turn = np.arange(12) * (2.0 * np.pi / 12.0)
    outline = mean * rng.uniform(0.65, 1.35, size=12)
    local = np.stack([outline * np.cos(turn) * stretch, outline * np.sin(turn) / stretch], axis=1)
    angle = float(rng.uniform(0.0, np.pi))
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    points = local @ rotation + np.array([column, row])
    canvas = np.zeros(foreground.shape, np.uint8)
    cv2.fillPoly(canvas, [_fixed_point(points)], 255, lineType=cv2.LINE_AA, shift=_SUBPIXEL_BITS)
    alpha: npt.NDArray[np.float32] = canvas.astype(np.float32) * (foreground / np.float32(255.0))
    # The centre itself always counts, also for a blob thinner than a pixel.
    alpha[row, column] = 1.0
    return alpha


def stroke_alpha(
    foreground: npt.NDArray[np.bool_],
    rng: np.random.Generator,
    width: tuple[float, float] = (1.0, 4.0),
    length: tuple[float, float] = (8.0, 220.0),
) -> npt.NDArray[np.float32]:
    """A thin line, straight or wandering, through a point of the foreground.

    Args:
        foreground: (H, W) bool; the line starts in it and is cut to it.
        rng: source of place, course and width.
        width: smallest and largest width, in pixels of a 256-pixel image, log-uniform.
        length: smallest and largest length, likewise, log-uniform.

    Returns:
        (H, W) float32 in [0, 1], antialiased; at least one pixel is 1.
    """
    row, column = random_point(foreground, rng)
    unit = unit_length(foreground.shape)
    total = float(np.exp(rng.uniform(np.log(length[0]), np.log(length[1])))) * unit
    thickness = max(1, round(float(np.exp(rng.uniform(np.log(width[0]), np.log(width[1])))) * unit))
    steps = max(2, min(24, int(total / (6.0 * unit))))
    wander = 0.0 if rng.random() < 0.5 else float(rng.uniform(0.05, 0.5))
    heading = rng.uniform(0.0, 2.0 * np.pi) + np.cumsum(rng.normal(0.0, 1.0, size=steps) * wander)
    moves = np.stack([np.cos(heading), np.sin(heading)], axis=1) * (total / steps)
    points = np.concatenate([np.zeros((1, 2)), np.cumsum(moves, axis=0)]) + np.array([column, row])
    canvas = np.zeros(foreground.shape, np.uint8)
    cv2.polylines(
        canvas, [_fixed_point(points)], False, 255, thickness, lineType=cv2.LINE_AA, shift=_SUBPIXEL_BITS
    )
    alpha: npt.NDArray[np.float32] = canvas.astype(np.float32) * (foreground / np.float32(255.0))
    alpha[row, column] = 1.0
    return alpha


def mixed_mask(
    foreground: npt.NDArray[np.bool_],
    rng: np.random.Generator,
    weights: tuple[float, float, float],
) -> npt.NDArray[np.bool_]:
    """A mask inside the foreground: Perlin, blob or stroke, with these probabilities in that order.

    A Perlin mask that finds no foreground in its ten draws becomes a blob, so the mask is never empty.
    """
    kind = int(rng.choice(3, p=np.asarray(weights) / sum(weights)))
    mask = perlin_mask_within(foreground, rng) if kind == 0 else None
    if mask is None:
        alpha = stroke_alpha(foreground, rng) if kind == 2 else blob_alpha(foreground, rng)
        mask = alpha > 0.5
    return mask


def feather(mask: npt.NDArray[np.bool_], pixels: float) -> npt.NDArray[np.float32]:
    """The mask with an edge that fades inwards over `pixels` pixels, (H, W) float32 in [0, 1].

    Pixels outside the mask stay 0, so that nothing changes where nothing is labelled. A mask thinner
    than the fade is scaled to reach 1 at its innermost pixel.
    """
    if pixels <= 1.0:
        return mask.astype(np.float32)
    depth = np.asarray(cv2.distanceTransform(mask.view(np.uint8), cv2.DIST_L2, 3), np.float32)
    # The constant keeps an empty mask from dividing by zero; no distance inside a mask is below 0.9.
    reach = np.float32(max(0.5, min(pixels, float(depth.max()))))
    weight: npt.NDArray[np.float32] = np.minimum(depth / reach, np.float32(1.0))
    return weight


def unit_length(shape: tuple[int, ...]) -> float:
    """How many pixels one pixel of a 256-pixel image is here (the shorter side counts)."""
    return min(shape[0], shape[1]) / REFERENCE_SIZE


def _fixed_point(points: npt.NDArray[np.float64]) -> npt.NDArray[np.int32]:
    """(N, 2) x, y in pixels to OpenCV's fixed-point contour, (N, 1, 2) int32."""
    return np.rint(points * (1 << _SUBPIXEL_BITS)).astype(np.int32)[:, None, :]
