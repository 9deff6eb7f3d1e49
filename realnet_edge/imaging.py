"""Decoding and resizing: the one preprocess that training, calibration, bench and the camera share.

The engine takes uint8 RGB at a fixed size; normalisation lives inside the graph. The resize is
PIL's bilinear filter, which is antialiased when it shrinks: OpenCV's or a GPU's plain bilinear
gives other pixels and measurable drift. Which files are images, and their order, is settled here too.
"""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError
from PIL.TiffImagePlugin import TiffImageFile

from realnet_edge.errors import DataError

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"})
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
RESIZE_FILTER = "pil-bilinear-antialiased"

# Only these decoders see a file, whatever its suffix claims: Pillow has others that run programs.
_FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "WEBP")
# Modes in which Pillow holds more than 8 bits a channel.
_WIDE_MODES = frozenset({"I", "I;16", "I;16B", "I;16L", "I;16N", "F"})
# What Pillow's decoders raise on damaged bytes: they validate little and trip where they may.
_DAMAGE = (OSError, SyntaxError, ValueError, TypeError, LookupError, ArithmeticError, EOFError, struct.error)
# TIFF 6.0 tag numbers.
_BITS_PER_SAMPLE, _PHOTOMETRIC, _PLANAR_CONFIGURATION = 258, 262, 284
_WHITE_IS_ZERO, _SEPARATE_PLANES = 0, 2


def load_image(path: Path) -> npt.NDArray[np.uint8]:
    """Decode an image file to (H, W, 3) uint8 RGB; see `decode_image`.

    Raises:
        DataError: the file is missing, cut short or not an image.
    """
    return decode_image(_read(path, "image"), str(path))


def decode_image(data: bytes, name: str = "image") -> npt.NDArray[np.uint8]:
    """Decode an encoded image (PNG, JPEG, BMP, TIFF, WebP) to (H, W, 3) uint8 RGB, upright.

    EXIF orientation is applied, palettes are resolved, alpha is dropped, grey is repeated over the
    three channels, and a file of several pages gives its first. Grey of n > 8 bits is scaled by
    255 / (2^n - 1) and rounded, floats by 255; 16-bit colour keeps its high bytes (within 1 of
    that). The scale follows from the file's type, never from its values: a dark image stays dark.

    Args:
        data: the encoded bytes.
        name: what error messages call the image.

    Raises:
        DataError: the bytes are cut short, no image, or an image of a kind that would come out wrong.
    """
    image = _open(data, name, "image")
    try:
        return _wide_to_rgb(image) if image.mode in _WIDE_MODES else _to_rgb(image)
    except ValueError as error:
        raise DataError(f"{name}: cannot be used ({error}). Save it again as 8- or 16-bit PNG.") from error


def image_mode(data: bytes) -> str:
    """Pillow's name for the pixels as they are stored ("L", "RGB", "I;16"); "unknown" where there is none."""
    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as opened:
            return str(opened.mode)
    except (Image.DecompressionBombError, *_DAMAGE):
        return "unknown"


def load_mask(path: Path, size: tuple[int, int] | None = None) -> npt.NDArray[np.bool_]:
    """Ground-truth mask as (H, W) bool, upright: any channel above 0 is defect.

    Args:
        path: a losslessly stored image; alpha is ignored.
        size: (height, width) to resize to first, nearest neighbour; None keeps the file's own.

    Raises:
        DataError: the file is missing, cut short or not an image.
    """
    image = _open(_read(path, "mask"), str(path), "mask")
    # A palette's indices are not its colours; wide grey keeps its depth, or 1 of 65535 would be lost.
    plain = image if image.mode in _WIDE_MODES else _without_palette(image).convert("RGB")
    if size is not None:
        plain = plain.resize((size[1], size[0]), Image.Resampling.NEAREST)
    channels = np.asarray(plain)
    return np.asarray(channels.reshape(*channels.shape[:2], -1).any(axis=2))


def preprocess(image: npt.NDArray[np.uint8], size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """Resize an (H, W, 3) uint8 RGB image to `size` = (height, width), no crop, antialiased bilinear.

    An image already of that size comes back as it is, without a copy where it is contiguous.

    Raises:
        DataError: another shape or dtype, or no pixels.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or image.size == 0:
        raise DataError(f"expected an (H, W, 3) uint8 RGB image, got {image.shape} {image.dtype}.")
    if image.shape[:2] == tuple(size):
        return np.ascontiguousarray(image)
    resized = Image.fromarray(image).resize((size[1], size[0]), Image.Resampling.BILINEAR)
    return np.array(resized)


def load_batch(paths: Iterable[Path], size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """Decode and preprocess files into one (N, H, W, 3) uint8 batch.

    Raises:
        DataError: no path, or a file that cannot be decoded.
    """
    images = [preprocess(load_image(path), size) for path in paths]
    if not images:
        raise DataError("a batch of no images was asked for; give at least one path.")
    return np.stack(images)


def natural_key(path: Path) -> tuple[tuple[tuple[int, int | str], ...], str]:
    """Sort key in which "2.png" comes before "10.png", folder by folder, whatever the case of letters.

    The path itself breaks ties. Only runs of decimal digits are numbers: "²" is a digit too, but no int.
    """
    pieces = re.split(r"(\d+)", path.as_posix().lower())
    return tuple((0, int(p)) if p.isdecimal() else (1, p) for p in pieces), path.as_posix()


def evenly_spread(length: int, count: int) -> list[int]:
    """Positions of at most `count` of `length` images, evenly spaced: names often follow batches or days."""
    picks = np.unique(np.linspace(0, length - 1, min(length, count)).round().astype(int))
    return [int(index) for index in picks]


def _read(path: Path, noun: str) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such {noun} file.") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}).") from error


def _open(data: bytes, name: str, noun: str) -> Image.Image:
    """Decode all pixels of the first page and turn it upright; every failure is a DataError."""
    remedy = f"Replace or remove the {noun}."
    if not data:
        raise DataError(f"{name}: the file is empty. {remedy}")
    try:
        image: Image.Image = Image.open(io.BytesIO(data), formats=_FORMATS)
        _refuse_wide_planes(image)
        image.load()
        ImageOps.exif_transpose(image, in_place=True)
    except UnidentifiedImageError as error:
        raise DataError(f"{name}: no PNG, JPEG, BMP, TIFF or WebP that can be decoded. {remedy}") from error
    except Image.DecompressionBombError as error:
        raise DataError(
            f"{name}: too large, or its header is wrong ({str(error).rstrip('.')}). Crop the {noun} or cut "
            "it into tiles."
        ) from error
    except _DAMAGE as error:
        raise DataError(f"{name}: cannot be decoded ({error}). {remedy}") from error
    return image


def _tag(image: Image.Image, number: int) -> int | None:
    """The first value of a TIFF tag; None in other formats and where there is no such whole number."""
    if not isinstance(image, TiffImageFile):
        return None
    value = image.tag_v2.get(number)
    first = value[0] if isinstance(value, tuple) and value else value
    return first if isinstance(first, int) else None


def _refuse_wide_planes(image: Image.Image) -> None:
    """Pillow and OpenCV both read separate planes of more than 8 bits as noise, without an error."""
    if _tag(image, _PLANAR_CONFIGURATION) == _SEPARATE_PLANES and (_tag(image, _BITS_PER_SAMPLE) or 1) > 8:
        raise ValueError("a TIFF with separate colour planes of more than 8 bits; save it interleaved")


def _without_palette(image: Image.Image) -> Image.Image:
    """Palette images with transparency go by way of RGBA: Pillow warns about the direct way."""
    return image.convert("RGBA") if image.mode in ("P", "PA") and "transparency" in image.info else image


def _to_rgb(image: Image.Image) -> npt.NDArray[np.uint8]:
    if image.mode == "L":
        # Grey in one pass: Pillow's conversion and its hand-over to NumPy copy the image three times.
        return cv2.cvtColor(np.asarray(image), cv2.COLOR_GRAY2RGB).astype(np.uint8, copy=False)
    return np.array(_without_palette(image).convert("RGB"))


def _wide_to_rgb(image: Image.Image) -> npt.NDArray[np.uint8]:
    """Grey of more than 8 bits to RGB: integers have 16 bits unless a TIFF says 9 to 15, floats [0, 1]."""
    bits = _tag(image, _BITS_PER_SAMPLE) or 16
    top = 1.0 if image.mode == "F" else float(2 ** (bits if 8 < bits < 16 else 16) - 1)
    values = np.asarray(image).astype(np.float64)
    if not np.isfinite(values).all() or values.min() < 0 or values.max() > top:
        raise ValueError(f"pixel values outside [0, {top:g}]")
    # Pillow inverts white-is-zero TIFFs of 8 bits, but not those of 16.
    values = top - values if _tag(image, _PHOTOMETRIC) == _WHITE_IS_ZERO else values
    grey = np.rint(values * (255.0 / top)).astype(np.uint8)
    return np.repeat(grey[:, :, None], 3, axis=2)
