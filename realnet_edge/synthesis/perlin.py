"""Masks of anomalies: thresholded Perlin noise (Perlin 1985; the recipe is DRAEM's, ICCV 2021).

Noise of a random frequency on each axis is rotated and thresholded. How large the masks come out
(256x256, 2,000 draws): a median of 4.7% of the image, 10th percentile 2.0%, 90th percentile 7.1%,
at most about 40%; 4% of the draws are empty, and more once cut to a small foreground, which is why
masks are drawn through `perlin_mask_within`. Low frequencies give one or two large shapes, high
ones many small specks.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from realnet_edge.errors import ConfigError

MAX_SCALE_POWER = 5
THRESHOLD = 0.5
ROTATION_DEGREES = 90.0
MIN_PIXELS = 4
ATTEMPTS = 10


def perlin_noise(
    shape: tuple[int, int], scales: tuple[int, int], rng: np.random.Generator
) -> npt.NDArray[np.float32]:
    """Two-dimensional Perlin gradient noise.

    Args:
        shape: (height, width) in pixels, any positive numbers.
        scales: lattice cells along the height and along the width, at least 1 each.
        rng: source of the lattice's unit gradients.

    Returns:
        (H, W) float32, about -1 to 1 (scaled by sqrt 2), zero at every lattice point.

    Raises:
        ConfigError: a size or scale below 1.
    """
    if min(shape) < 1 or min(scales) < 1:
        raise ConfigError(f"perlin noise needs sizes and scales of at least 1, got {shape} and {scales}.")
    angles = rng.uniform(0.0, 2.0 * np.pi, size=(scales[0] + 1, scales[1] + 1))
    rows, row_offsets = _lattice_weights(shape[0], scales[0])
    columns, column_offsets = _lattice_weights(shape[1], scales[1])
    # At each pixel four lattice points count: weight x (gradient . offset). Both factors split into
    # a part of the row and a part of the column, so that the sum over the lattice is a matrix product.
    along_rows = row_offsets @ np.sin(angles).astype(np.float32) @ columns.T
    along_columns = rows @ np.cos(angles).astype(np.float32) @ column_offsets.T
    noise: npt.NDArray[np.float32] = (along_rows + along_columns) * np.float32(np.sqrt(2.0))
    return noise


def perlin_mask(shape: tuple[int, int], rng: np.random.Generator) -> npt.NDArray[np.bool_]:
    """One random anomaly mask of `shape` = (height, width), (H, W) bool; it can be empty.

    Scales are 2^0..2^5 cells per axis, the noise is rotated by -90..90 degrees about the centre (what
    turns in from outside the image is not anomalous), and everything above 0.5 is anomalous.
    """
    powers = rng.integers(0, MAX_SCALE_POWER + 1, size=2)
    noise = perlin_noise(shape, (int(2 ** powers[0]), int(2 ** powers[1])), rng)
    angle = float(rng.uniform(-ROTATION_DEGREES, ROTATION_DEGREES))
    centre = ((shape[1] - 1) / 2.0, (shape[0] - 1) / 2.0)
    matrix = cv2.getRotationMatrix2D(centre, angle, 1.0)
    rotated = cv2.warpAffine(noise, matrix, (shape[1], shape[0]), flags=cv2.INTER_LINEAR)
    mask: npt.NDArray[np.bool_] = np.asarray(rotated) > THRESHOLD
    return mask


def perlin_mask_within(
    foreground: npt.NDArray[np.bool_], rng: np.random.Generator
) -> npt.NDArray[np.bool_] | None:
    """Perlin mask times foreground, (H, W) bool with at least 4 pixels.

    Draws again up to 10 times while the product is smaller than that. None when it always was: the
    caller then takes a blob, which lies inside the foreground by construction.
    """
    shape = (foreground.shape[0], foreground.shape[1])
    for _ in range(ATTEMPTS):
        mask = perlin_mask(shape, rng) & foreground
        if np.count_nonzero(mask) >= MIN_PIXELS:
            return mask
    return None


def _lattice_weights(length: int, cells: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Per pixel and lattice point: the fade weight, and the weight times the offset, (length, cells + 1)."""
    position = np.arange(length, dtype=np.float64) * (cells / length)
    cell = np.minimum(position.astype(np.int64), cells - 1)
    fraction = position - cell
    fade = fraction**3 * (fraction * (fraction * 6.0 - 15.0) + 10.0)
    weights = np.zeros((length, cells + 1), np.float32)
    offsets = np.zeros((length, cells + 1), np.float32)
    pixel = np.arange(length)
    weights[pixel, cell] = 1.0 - fade
    weights[pixel, cell + 1] = fade
    offsets[pixel, cell] = (1.0 - fade) * fraction
    offsets[pixel, cell + 1] = fade * (fraction - 1.0)
    return weights, offsets
