"""The ten augmentations of a texture, of which three are applied to each (RealNet's published settings)."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt

Image8 = npt.NDArray[np.uint8]


def augment_texture(texture: Image8, rng: np.random.Generator) -> Image8:
    """Apply three different ones of the ten augmentations, in random order, to an (H, W, 3) uint8 image."""
    for index in rng.choice(len(AUGMENTATIONS), size=3, replace=False):
        texture = AUGMENTATIONS[int(index)](texture, rng)
    return texture


def gamma(image: Image8, rng: np.random.Generator) -> Image8:
    """Gamma of 0.5 to 2 for each channel."""
    ramp = np.arange(256, dtype=np.float64) / 255.0
    return _look_up(image, [255.0 * ramp ** rng.uniform(0.5, 2.0) for _ in range(3)])


def brightness(image: Image8, rng: np.random.Generator) -> Image8:
    """Times 0.8 to 1.2, plus -30 to 30."""
    table = np.arange(256, dtype=np.float64) * rng.uniform(0.8, 1.2) + rng.uniform(-30.0, 30.0)
    return _look_up(image, [table] * 3)


def sharpness(image: Image8, rng: np.random.Generator) -> Image8:
    """Mix with a sharpened version: the image plus 0 to 1 times what a 3x3 smoothing removes, thrice."""
    amount = 3.0 * float(rng.uniform(0.0, 1.0))
    smooth = cv2.GaussianBlur(image, (3, 3), 0)
    return np.asarray(cv2.addWeighted(image, 1.0 + amount, smooth, -amount, 0.0), np.uint8)


def hue_saturation(image: Image8, rng: np.random.Generator) -> Image8:
    """Hue and saturation by -50 to 50 on scales of 256."""
    hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV_FULL).astype(np.int16)
    hsv[:, :, 0] = (hsv[:, :, 0] + int(rng.integers(-50, 51))) % 256
    hsv[:, :, 1] = np.clip(hsv[:, :, 1] + int(rng.integers(-50, 51)), 0, 255)
    return np.asarray(cv2.cvtColor(hsv.astype(np.uint8), cv2.COLOR_HSV2RGB_FULL), np.uint8)


def solarise(image: Image8, rng: np.random.Generator) -> Image8:
    """In half of the draws, invert what lies above a threshold of 32 to 128."""
    apply, threshold = rng.random() < 0.5, int(rng.integers(32, 129))
    if not apply:
        return image
    ramp = np.arange(256, dtype=np.float64)
    return _look_up(image, [np.where(ramp >= threshold, 255.0 - ramp, ramp)] * 3)


def posterise(image: Image8, rng: np.random.Generator) -> Image8:
    """Keep the highest 3 to 6 bits."""
    kept = np.uint8(256 - (1 << (8 - int(rng.integers(3, 7)))))
    return np.asarray(image & kept, np.uint8)


def invert(image: Image8, _rng: np.random.Generator) -> Image8:
    """The negative."""
    return 255 - image


def autocontrast(image: Image8, _rng: np.random.Generator) -> Image8:
    """Stretch each channel to 0..255; a flat channel stays."""
    tables = []
    for channel in range(3):
        low, high = int(image[:, :, channel].min()), int(image[:, :, channel].max())
        ramp = np.arange(256, dtype=np.float64)
        tables.append((ramp - low) * (255.0 / (high - low)) if high > low else ramp)
    return _look_up(image, tables)


def equalise(image: Image8, _rng: np.random.Generator) -> Image8:
    """Equalise the histogram of each channel."""
    return np.stack([np.asarray(cv2.equalizeHist(plane)) for plane in cv2.split(image)], axis=2)


def rotation(image: Image8, rng: np.random.Generator) -> Image8:
    """Turn by -45 to 45 degrees about the centre, mirrored at the border."""
    height, width = image.shape[:2]
    centre = ((width - 1) / 2.0, (height - 1) / 2.0)
    matrix = cv2.getRotationMatrix2D(centre, float(rng.uniform(-45.0, 45.0)), 1.0)
    turned = cv2.warpAffine(image, matrix, (width, height), borderMode=cv2.BORDER_REFLECT_101)
    return np.asarray(turned, np.uint8)


def _look_up(image: Image8, tables: list[npt.NDArray[np.float64]]) -> Image8:
    """Map each channel through its own 256-entry table, rounded and clipped."""
    table = np.clip(np.rint(np.stack(tables, axis=1)), 0, 255).astype(np.uint8)[None]
    return np.asarray(cv2.LUT(image, table), np.uint8)


AUGMENTATIONS: tuple[Callable[[Image8, np.random.Generator], Image8], ...] = (
    gamma,
    brightness,
    sharpness,
    hue_saturation,
    solarise,
    posterise,
    invert,
    autocontrast,
    equalise,
    rotation,
)
