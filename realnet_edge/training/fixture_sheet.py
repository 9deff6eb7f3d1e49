"""Aligned parts as a picture: look at it before hours of training depend on it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from realnet_edge.files import atomic_path
from realnet_edge.imaging import evenly_spread, load_batch
from realnet_edge.model.alignment import PartAlignment
from realnet_edge.training.fixture import strip_of

SHEET_NAME = "alignment.png"
_ROWS = 8
_GAP = 6
_GREEN = (0, 200, 80)

Picture = npt.NDArray[np.uint8]


def write_sheet(path: Path, alignment: PartAlignment, files: Sequence[Path]) -> None:
    """Write a PNG of up to eight images: each with the outline of its strip, and the strip beside it.

    Args:
        alignment: fitted.
        files: good images, of which evenly spaced ones are taken.
    """
    images = load_batch([files[index] for index in evenly_spread(len(files), _ROWS)], alignment.size)
    rows = [np.concatenate(_row(alignment, image), axis=1) for image in images]
    gap = np.full((_GAP, rows[0].shape[1], 3), 255, np.uint8)
    sheet = np.concatenate([part for row in rows for part in (row, gap)][:-1])
    with atomic_path(path) as temporary:
        Image.fromarray(sheet).save(temporary, format="PNG")


def outline(alignment: PartAlignment, image: Picture) -> npt.NDArray[np.float64]:
    """Corners (4, 2) of an image's strip, x and y in pixels of the image, the strip's upper left one first.

    Args:
        image: (H, W, 3) uint8 of the alignment's size.
    """
    pose = alignment.pose(torch.from_numpy(image)[None])
    axis, centre = pose.axis[0].double().numpy(), pose.centre[0].double().numpy()
    scale, first, second = alignment.frame.double().tolist()
    half_height, half_width = (length * scale / 2 for length in alignment.strip)
    signs = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)])
    local = signs * (half_width, half_height) + (first, second)
    turned = local[:, :1] * axis + local[:, 1:] * np.array([-axis[1], axis[0]])
    middle = (np.array(alignment.size[::-1]) - 1) / 2
    return np.asarray(turned + centre + middle)


def _row(alignment: PartAlignment, image: Picture) -> tuple[Picture, Picture, Picture]:
    """The image as high as its strip, a gap, and the strip."""
    strip = strip_of(alignment, image)
    height = max(strip.shape[0], 128)
    factor = height / image.shape[0]
    shown = cv2.resize(image, (round(factor * image.shape[1]), height), interpolation=cv2.INTER_AREA)
    corners = np.rint(outline(alignment, image) * factor).astype(np.int32)
    cv2.polylines(shown, [corners], isClosed=True, color=_GREEN, thickness=1, lineType=cv2.LINE_AA)
    # Where the strip begins: the thick end is on its left.
    cv2.circle(shown, corners[0].tolist(), 3, _GREEN, -1)
    below = np.full((height - strip.shape[0], strip.shape[1], 3), 255, np.uint8)
    gap = np.full((height, _GAP, 3), 255, np.uint8)
    return np.asarray(shown, np.uint8), gap, np.concatenate([strip, below])
