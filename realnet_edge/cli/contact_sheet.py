"""The contact sheet of `data check`: picks images of each category and finds their foreground.

Commands import this module where they use it: it brings NumPy and OpenCV.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from realnet_edge.cli.pictures import write_picture
from realnet_edge.data import CategoryData, Sample
from realnet_edge.errors import DataError
from realnet_edge.imaging import evenly_spread, load_image, load_mask, preprocess
from realnet_edge.report.contact_sheet import DEFECTS, GOOD, SheetRow, contact_sheet
from realnet_edge.synthesis import PRESETS, foreground_mask, foreground_of_files

# Published foreground rules are for images of this (height, width).
_SIZE = (256, 256)


def write_contact_sheet(path: Path, categories: Sequence[CategoryData]) -> None:
    """Write one row of pictures a category, aside and then renamed to `path`.

    Images that cannot be decoded are left out: the check names them.

    Args:
        path: the picture to write.
        categories: at least one.
    """
    write_picture(path, contact_sheet([_row(category) for category in categories]))


def _row(category: CategoryData) -> SheetRow:
    train, defects = category.train, category.defects
    tested = len(category.test) - len(defects)
    caption = f"{category.name}: {len(train)} good, {tested} good and {len(defects)} defects to test"
    good = _decoded([train[index] for index in evenly_spread(len(train), GOOD)])
    picked = (_shown(defects[index]) for index in evenly_spread(len(defects), DEFECTS))
    marked = tuple(picture for picture in picked if picture is not None)
    if not good:
        return SheetRow(caption, good, marked, None)
    rule, _ = foreground_of_files(train, _SIZE, "auto", category.foreground)
    origin = "published" if category.foreground in PRESETS else "chosen from the images"
    foreground = (good[0], foreground_mask(good[0], rule))
    return SheetRow(f"{caption}; foreground {rule}, {origin}", good, marked, foreground)


def _decoded(paths: Sequence[Path]) -> tuple[npt.NDArray[np.uint8], ...]:
    """The images of those files that can be decoded."""
    pictures = (_shown(Sample(path, 0, None, "good")) for path in paths)
    return tuple(picture[0] for picture in pictures if picture is not None)


def _shown(sample: Sample) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.bool_] | None] | None:
    """A sample's image and its mask, if it has one; None where either cannot be decoded."""
    try:
        image = preprocess(load_image(sample.path), _SIZE)
        return image, load_mask(sample.mask) if sample.mask else None
    except DataError:
        return None
