"""Pixel formats of industrial cameras, by their names in GenICam's Pixel Format Naming Convention."""

from __future__ import annotations

import re
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from realnet_edge.errors import DataError

# Mono12p and Mono12Packed are Mono12 once they are unpacked.
_FORMAT = re.compile(r"(Mono|BayerRG|BayerGR|BayerGB|BayerBG|RGB|BGR|RGBa|BGRa)(8|10|12|14|16)(?:p|Packed)?")
# GenICam and these names of OpenCV's begin with the first pixel of the first row.
_BAYER = {
    "BayerRG": cv2.COLOR_BayerRGGB2RGB,
    "BayerGR": cv2.COLOR_BayerGRBG2RGB,
    "BayerGB": cv2.COLOR_BayerGBRG2RGB,
    "BayerBG": cv2.COLOR_BayerBGGR2RGB,
}
_CHANNELS = {"RGB": (0, 1, 2), "RGBa": (0, 1, 2), "BGR": (2, 1, 0), "BGRa": (2, 1, 0)}
# 8 bits a sample, or up to 16.
Samples = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]
PREFERRED = ("RGB8", "BGR8", "BayerRG8", "BayerGR8", "BayerGB8", "BayerBG8", "Mono8")


def is_read(pixel_format: str) -> bool:
    """Whether there is a rule for a format."""
    return _FORMAT.fullmatch(pixel_format) is not None


def rgb_of(samples: Samples, pixel_format: str, width: int, height: int) -> npt.NDArray[np.uint8]:
    """A camera's samples as (height, width, 3) uint8 RGB, in memory of its own.

    Bayer mosaics are interpolated, grey is repeated over the channels, and n > 8 bits are scaled by
    255 / (2^n - 1) and rounded: by the format, never by the values, so that a dark picture stays dark.

    Args:
        samples: 1-D, row after row, unpacked; rows may be padded at their ends.
        pixel_format: "Mono8", "BayerRG12", "RGB8" and the like.
        width, height: in pixels.

    Raises:
        DataError: a format without a rule, or too few samples.
    """
    found = _FORMAT.fullmatch(pixel_format)
    if found is None:
        raise DataError(
            f"the camera sends {pixel_format}, which is not read here: set its PixelFormat to Mono, BayerRG, "
            "-GR, -GB, -BG, RGB or BGR, of 8 to 16 bits."
        )
    layout, bits = found[1], int(found[2])
    channels = len(layout) if layout in _CHANNELS else 1
    rows = samples[: samples.size // height * height].reshape(height, -1)
    if rows.shape[1] < width * channels:
        raise DataError(f"{samples.size} samples are too few for {width}x{height} {pixel_format}.")
    pixels: npt.NDArray[Any] = np.ascontiguousarray(rows[:, : width * channels])
    picture: npt.NDArray[Any]
    if layout in _BAYER:
        picture = np.asarray(cv2.cvtColor(pixels, _BAYER[layout]))
    elif channels == 1:
        picture = np.repeat(pixels[..., None], 3, axis=2)
    else:
        picture = pixels.reshape(height, width, channels)[..., _CHANNELS[layout]]
    return _as_8_bit(picture, bits)


def _as_8_bit(picture: npt.NDArray[Any], bits: int) -> npt.NDArray[np.uint8]:
    if bits == 8:
        return np.array(picture, np.uint8)
    table = np.rint(np.arange(2**bits) * (255.0 / (2**bits - 1))).astype(np.uint8)
    # A camera may leave something in the bits above.
    return np.asarray(table[np.bitwise_and(picture.astype(np.uint16), 2**bits - 1)], np.uint8)
