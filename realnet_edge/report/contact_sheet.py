"""A contact sheet of data: one look shows whether images, masks and foreground are what they should be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from realnet_edge.errors import DataError
from realnet_edge.imaging import preprocess
from realnet_edge.report.overlay import draw_contour

CELL = 192  # pixels, the side of a picture
GAP = 6
BAND = 24  # pixels, the height of a line of text
GOOD = 3
DEFECTS = 3
COLUMNS = GOOD + DEFECTS + 1
WIDTH = COLUMNS * CELL + (COLUMNS - 1) * GAP
_TITLES = ((0, "good"), (GOOD, "defects, mask outlined"), (GOOD + DEFECTS, "foreground"))
_PAPER = 255
_EMPTY = 228
_TEXT = (0, 0, 0)
_FOREGROUND = (0, 200, 80)

UInt8Image = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class SheetRow:
    """What is shown of one category; images are (H, W, 3) uint8 RGB, masks bool, each of any size.

    Attributes:
        caption: a line above the pictures; letters other than ASCII become question marks.
        good: good images, of which the first three are shown.
        defects: defective images with their masks, None where there is none; the first three are shown.
        foreground: a good image and its foreground, of the same height and width, or None.
    """

    caption: str
    good: tuple[UInt8Image, ...]
    defects: tuple[tuple[UInt8Image, Mask | None], ...]
    foreground: tuple[UInt8Image, Mask] | None


def contact_sheet(rows: Sequence[SheetRow]) -> UInt8Image:
    """Draw the sheet: a line of column titles, then a caption and seven square pictures a category.

    Pictures are squeezed into squares of `CELL` pixels, as a model sees them. Masks get an outline just
    outside what they mark, the foreground is tinted green, and a picture that there is none for is grey.

    Returns:
        (BAND + rows * (BAND + CELL + GAP), WIDTH, 3) uint8 RGB.

    Raises:
        DataError: there are no rows, an image has another shape or type, or a foreground another size.
    """
    if not rows:
        raise DataError("a contact sheet needs at least one category.")
    parts = [_band(_TITLES)]
    for row in rows:
        pictures: list[UInt8Image | None] = [_cell(image) for image in row.good[:GOOD]]
        pictures += [None] * (GOOD - len(pictures))
        pictures += [_outlined(image, mask) for image, mask in row.defects[:DEFECTS]]
        pictures += [None] * (GOOD + DEFECTS - len(pictures))
        pictures.append(None if row.foreground is None else _cell(_tinted(*row.foreground)))
        parts += [_band(((0, row.caption),)), _line(pictures)]
    return np.concatenate(parts)


def _band(texts: Sequence[tuple[int, str]]) -> UInt8Image:
    """One line of text; each text starts at its column."""
    band = np.full((BAND, WIDTH, 3), _PAPER, np.uint8)
    for column, words in texts:
        shown = words.encode("ascii", "replace").decode()
        place = (column * (CELL + GAP) + 2, BAND - 8)
        cv2.putText(band, shown, place, cv2.FONT_HERSHEY_SIMPLEX, 0.45, _TEXT, 1, cv2.LINE_AA)
    return band


def _line(pictures: Sequence[UInt8Image | None]) -> UInt8Image:
    line = np.full((CELL + GAP, WIDTH, 3), _PAPER, np.uint8)
    for column, picture in enumerate(pictures):
        left = column * (CELL + GAP)
        line[:CELL, left : left + CELL] = _EMPTY if picture is None else picture
    return line


def _cell(image: UInt8Image) -> UInt8Image:
    return preprocess(image, (CELL, CELL))


def _outlined(image: UInt8Image, mask: Mask | None) -> UInt8Image:
    cell = _cell(image)
    return cell if mask is None or not mask.any() else draw_contour(cell, mask)


def _tinted(image: UInt8Image, mask: Mask) -> UInt8Image:
    """The image with the mask laid over it, half transparent."""
    if mask.shape != image.shape[:2]:
        raise DataError(f"a foreground of {mask.shape} does not fit an image of {image.shape[:2]}.")
    result: UInt8Image = image.copy()
    result[mask] = (image[mask].astype(np.uint16) + np.array(_FOREGROUND, np.uint16)) // 2
    return result
