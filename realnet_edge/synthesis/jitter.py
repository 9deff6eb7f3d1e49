"""Photometric and geometric changes that turn normal texture into anomalous texture."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

FloatImage = npt.NDArray[np.float32]


def is_grey(image: npt.NDArray[np.uint8]) -> bool:
    """Whether the image is grey stored as RGB: a colour cast would then mark every anomaly."""
    sample = image[::8, ::8].astype(np.int16)
    return bool(np.abs(sample - sample[:, :, :1]).max() <= 4)


def jitter_tone(patch: FloatImage, grey: bool, rng: np.random.Generator) -> FloatImage:
    """Change contrast by x0.6..1.5 about the mean and brightness by -60..60; colours by up to 15 each.

    The patch, (H, W, 3) float32, is changed in place and returned.
    """
    gain = np.float32(np.exp(rng.uniform(np.log(0.6), np.log(1.5))))
    shift = rng.uniform(-60.0, 60.0) + (np.zeros(3) if grey else rng.uniform(-15.0, 15.0, size=3))
    mean = float(patch.mean())
    patch *= gain
    patch += (mean * (1.0 - gain) + shift).astype(np.float32)
    return patch


def jitter_detail(patch: FloatImage, grey: bool, rng: np.random.Generator) -> FloatImage:
    """Blur, smear along a direction, or add noise: one in five each, else unchanged."""
    kind = int(rng.integers(5))
    if kind == 0:
        return np.asarray(cv2.GaussianBlur(patch, (0, 0), float(rng.uniform(0.8, 2.5))), np.float32)
    if kind == 1:
        return smear(patch, rng)
    if kind == 2:
        return patch + noise(patch.shape, grey, rng)
    return patch


def smear(patch: FloatImage, rng: np.random.Generator) -> FloatImage:
    """Average along a random direction over 5 to 15 pixels, as something dragged across."""
    length = int(rng.integers(5, 16))
    kernel = np.zeros((length, length), np.float32)
    angle = float(rng.uniform(0.0, np.pi))
    reach = (length - 1) / 2.0
    delta = np.array([np.cos(angle), np.sin(angle)]) * reach
    start, end = np.rint(reach - delta).astype(int), np.rint(reach + delta).astype(int)
    cv2.line(kernel, (int(start[0]), int(start[1])), (int(end[0]), int(end[1])), (1.0,), 1)
    return np.asarray(cv2.filter2D(patch, -1, kernel / kernel.sum()), np.float32)


def noise(shape: tuple[int, ...], grey: bool, rng: np.random.Generator) -> FloatImage:
    """Gaussian noise of 4 to 16 grey levels, (H, W, 3) float32, one grain for all channels if grey."""
    channels = 1 if grey else 3
    grain = rng.standard_normal((shape[0], shape[1], channels), dtype=np.float32)
    grain *= np.float32(rng.uniform(4.0, 16.0))
    return np.broadcast_to(grain, (shape[0], shape[1], 3)).astype(np.float32)


def transplant(
    donor: npt.NDArray[np.uint8],
    taken_from: tuple[int, int],
    placed_at: tuple[int, int],
    shape: tuple[int, ...],
    rng: np.random.Generator,
) -> FloatImage:
    """The donor turned, mirrored, rescaled and moved so that one of its points lands on another.

    Args:
        donor: (h, w, 3) uint8.
        taken_from: (row, column) in the donor.
        placed_at: (row, column) in the result.
        shape: (height, width) of the result.
        rng: source of the rotation (any angle), mirroring (half) and scale (0.7 to 1.4).

    Returns:
        (H, W, 3) float32; the donor is mirrored at its borders.
    """
    angle = float(rng.uniform(0.0, 2.0 * np.pi))
    scale = float(np.exp(rng.uniform(np.log(0.7), np.log(1.4))))
    mirror = -1.0 if rng.random() < 0.5 else 1.0
    turn = scale * np.array(
        [[np.cos(angle) * mirror, -np.sin(angle)], [np.sin(angle) * mirror, np.cos(angle)]]
    )
    source, target = np.array(taken_from[::-1], float), np.array(placed_at[::-1], float)
    matrix = np.concatenate([turn, (target - turn @ source)[:, None]], axis=1)
    moved = cv2.warpAffine(
        donor, matrix, (shape[1], shape[0]), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101
    )
    return np.asarray(moved, np.float32)


def distort(image: npt.NDArray[np.uint8], reach: float, rng: np.random.Generator) -> FloatImage:
    """Bend the image: a smooth random displacement of up to `reach` pixels, (H, W, 3) float32."""
    height, width = image.shape[:2]
    cells = int(rng.integers(4, 13))
    coarse = rng.uniform(-reach, reach, size=(cells, cells, 2)).astype(np.float32)
    field = np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC))
    x = field[:, :, 0] + np.arange(width, dtype=np.float32)[None, :]
    y = field[:, :, 1] + np.arange(height, dtype=np.float32)[:, None]
    bent = cv2.remap(image, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    return np.asarray(bent, np.float32)
