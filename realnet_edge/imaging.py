"""Decoding and resizing: the one preprocess that training, calibration, bench and the camera share.

The engine takes uint8 RGB at a fixed size; normalisation lives inside the graph. The resize is
PIL's bilinear filter, which is antialiased when it shrinks: OpenCV's or a GPU's plain bilinear
gives other pixels and measurable drift.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from realnet_edge.errors import DataError

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"})
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
RESIZE_FILTER = "pil-bilinear-antialiased"

# Modes in which Pillow holds more than 8 bits a channel.
_WIDE_MODES = frozenset({"I", "I;16", "I;16B", "I;16L", "I;16N", "F"})


def load_image(path: Path) -> npt.NDArray[np.uint8]:
    """Decode an image file to (H, W, 3) uint8 RGB, upright.

    EXIF orientation is applied, palettes are resolved, alpha is dropped, grey is repeated over the
    three channels, and 16-bit values are scaled by 1/257 so that 65535 becomes 255.

    Raises:
        DataError: the file is missing, cut short or not an image.
    """
    try:
        with Image.open(path) as opened:
            opened.load()
            return _to_rgb(ImageOps.exif_transpose(opened))
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such image file.") from error
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(f"{path}: cannot be decoded ({error}). Replace or remove the file.") from error


def load_mask(path: Path, size: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """Ground-truth mask as (H, W) bool at `size` = (height, width): nearest resize, then > 0."""
    try:
        with Image.open(path) as opened:
            opened.load()
            # A palette's indices are not its brightness; everything else keeps its own depth.
            grey = opened.convert("L") if opened.mode not in _WIDE_MODES else opened
            resized = grey.resize((size[1], size[0]), Image.Resampling.NEAREST)
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such mask file.") from error
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        raise DataError(f"{path}: cannot be decoded ({error}). Replace or remove the mask.") from error
    return np.asarray(resized) > 0


def preprocess(image: npt.NDArray[np.uint8], size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """Resize an (H, W, 3) uint8 RGB image to `size` = (height, width), no crop, antialiased bilinear."""
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise DataError(f"expected an (H, W, 3) uint8 RGB image, got {image.shape} {image.dtype}.")
    if image.shape[:2] == size:
        return np.ascontiguousarray(image)
    resized = Image.fromarray(image).resize((size[1], size[0]), Image.Resampling.BILINEAR)
    return np.asarray(resized)


def load_batch(paths: Iterable[Path], size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """Decode and preprocess files into one (N, H, W, 3) uint8 batch."""
    return np.stack([preprocess(load_image(path), size) for path in paths])


def _to_rgb(image: Image.Image) -> npt.NDArray[np.uint8]:
    if image.mode in _WIDE_MODES:
        return _wide_to_rgb(image)
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")
    return np.asarray(image.convert("RGB"))


def _wide_to_rgb(image: Image.Image) -> npt.NDArray[np.uint8]:
    """Grey of more than 8 bits to RGB; floats are taken as [0, 1] where they stay in it."""
    values = np.asarray(image).astype(np.float64)
    if not np.isfinite(values).all() or values.min() < 0:
        raise ValueError("pixel values are negative or not finite")
    if image.mode == "F":
        scale = 255.0 if values.max() <= 1.0 else 1.0
    else:
        scale = 1.0 / 257.0
    if values.max() * scale > 255.5:
        raise ValueError(f"pixel values reach {values.max():g}, beyond 16 bits")
    grey = np.rint(values * scale).astype(np.uint8)
    return np.repeat(grey[:, :, None], 3, axis=2)
