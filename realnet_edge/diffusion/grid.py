"""Pictures of many samples: a grid of rows, with a line of text beside each where there is one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from realnet_edge.files import atomic_path

GAP = 2
MARGIN = 96
# Smaller images are enlarged: of 64 pixels a person sees little.
LEAST_SIDE = 128


def sample_grid(rows: Sequence[npt.NDArray[np.uint8]], titles: Sequence[str] = ()) -> npt.NDArray[np.uint8]:
    """Rows of images below each other, small ones enlarged by a whole factor.

    Args:
        rows: (N, S, S, 3) uint8 each, all of one S.
        titles: a text for each row, in a margin at its left; none leaves the margin out.

    Returns:
        (H, W, 3) uint8 RGB on white.
    """
    factor = max(1, LEAST_SIDE // rows[0].shape[1])
    side = factor * rows[0].shape[1]
    width = max(len(row) for row in rows) * (side + GAP) - GAP
    margin = MARGIN if titles else 0
    grid = np.full((len(rows) * (side + GAP) - GAP, margin + width, 3), 255, np.uint8)
    for number, row in enumerate(rows):
        top = number * (side + GAP)
        if titles:
            middle = (4, top + side // 2 + 5)
            cv2.putText(
                grid, titles[number], middle, cv2.FONT_HERSHEY_SIMPLEX, 0.45, (0, 0, 0), 1, cv2.LINE_AA
            )
        for place, image in enumerate(row):
            left = margin + place * (side + GAP)
            grid[top : top + side, left : left + side] = cv2.resize(
                image, (side, side), interpolation=cv2.INTER_CUBIC
            )
    return grid


def write_grid(path: Path, rows: Sequence[npt.NDArray[np.uint8]], titles: Sequence[str] = ()) -> Path:
    """Write a `sample_grid` aside, then rename it to `path`, which is returned."""
    with atomic_path(path) as temporary:
        Image.fromarray(sample_grid(rows, titles)).save(temporary)
    return path
