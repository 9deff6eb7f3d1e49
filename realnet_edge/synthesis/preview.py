"""A contact sheet of synthetic anomalies: look at it before hours of training depend on them."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from realnet_edge.errors import DataError
from realnet_edge.imaging import preprocess
from realnet_edge.synthesis.base import AnomalySource
from realnet_edge.synthesis.foreground import ForegroundRule, foreground_mask
from realnet_edge.synthesis.sources import synthesise
from realnet_edge.synthesis.windows import JITTER_SHARE, Window, draw_window
from realnet_edge.tiles import TileGrid

GAP = 6
HEADER = 24
_PAPER = 255
_GREEN = (0, 200, 80)
_RED = (230, 40, 40)


def preview_sheet(
    images: Sequence[npt.NDArray[np.uint8]],
    rule: ForegroundRule,
    sources: Sequence[AnomalySource],
    rng: np.random.Generator,
    grid: TileGrid | None = None,
) -> npt.NDArray[np.uint8]:
    """Draw a sheet: a row an image; the image, its foreground in green, then two columns a source.

    A source's columns are the anomalous image and the same with the mask's outline in red, so that
    the anomaly can be seen both bare and marked. Where images are cut into tiles a row is what training sees
    of an image: one of its tiles, moved a little from its place and with some of the object in it; a first
    column shows the image whole, the tile outlined in it.

    Args:
        images: normal images, (H, W, 3) uint8 RGB, all of one size: that of `grid`, where there is one.
        rule: the foreground rule.
        sources: what makes the anomalies; `synthesise` is called once for each image and source.
        rng: all randomness comes from it.
        grid: the tiles that images are cut into; None, or one tile alone, shows them whole.

    Returns:
        The sheet, (rows, columns, 3) uint8 RGB, with a header that names the columns.

    Raises:
        DataError: there are no images or no sources, or the images differ in size.
    """
    if not len(images) or not len(sources):
        raise DataError("a preview needs at least one image and one anomaly source.")
    sizes = {image.shape for image in images}
    if len(sizes) > 1:
        raise DataError(
            f"the images of a preview must have one size, got {sorted(sizes)}. Resize them first."
        )
    tiles = grid if grid is not None and grid.count > 1 else None
    titles = [*(["whole image"] if tiles else []), "normal", f"foreground {rule}"]
    for source in sources:
        titles += [source.name, "marked"]
    rows = []
    for image in images:
        foreground = foreground_mask(image, rule)
        cells = []
        if tiles:
            window = _drawn(tiles, foreground, rng)
            cells.append(_located(image, window, tiles.side))
            image, foreground = np.ascontiguousarray(image[window]), foreground[window]
        cells += [image, _tinted(image, foreground, _GREEN)]
        for source in sources:
            made = synthesise(image, foreground, source, rng)
            cells += [made.image, _outlined(made.image, made.mask, _RED)]
        rows.append(_join(cells, axis=1))
    cell = tiles.side if tiles else images[0].shape[1]
    return np.concatenate([_header(titles, cell, rows[0].shape[1]), _join(rows, axis=0)])


def _drawn(grid: TileGrid, foreground: npt.NDArray[np.bool_], rng: np.random.Generator) -> Window:
    """Any of an image's tiles, as training draws those that get an anomaly."""
    return draw_window(grid, int(rng.integers(grid.count)), int(JITTER_SHARE * grid.side), rng, foreground)


def _located(image: npt.NDArray[np.uint8], window: Window, side: int) -> npt.NDArray[np.uint8]:
    """The whole image within a square cell of `side` pixels, a window of it outlined in red."""
    rows, columns = window
    marked: npt.NDArray[np.uint8] = image.copy()
    # So thick that it is still seen where the image is shrunk.
    width = max(1, round(max(image.shape[:2]) / side))
    cv2.rectangle(marked, (columns.start, rows.start), (columns.stop - 1, rows.stop - 1), _RED, 2 * width)
    scale = side / max(image.shape[:2])
    height, length = (max(1, round(scale * extent)) for extent in image.shape[:2])
    cell = np.full((side, side, 3), _PAPER, np.uint8)
    cell[:height, :length] = preprocess(marked, (height, length))
    return cell


def _join(parts: Sequence[npt.NDArray[np.uint8]], axis: int) -> npt.NDArray[np.uint8]:
    """Put pictures side by side (axis 1) or below each other (axis 0) with a gap between them."""
    shape = list(parts[0].shape)
    shape[axis] = GAP
    gap = np.full(shape, _PAPER, np.uint8)
    pieces = [parts[0]]
    for part in parts[1:]:
        pieces += [gap, part]
    return np.concatenate(pieces, axis=axis)


def _header(titles: Sequence[str], cell: int, width: int) -> npt.NDArray[np.uint8]:
    """One line of column titles, each cut to its column."""
    line = np.full((HEADER, width, 3), _PAPER, np.uint8)
    for index, title in enumerate(titles):
        left = index * (cell + GAP)
        field = np.full((HEADER, min(cell, width - left), 3), _PAPER, np.uint8)
        cv2.putText(field, title, (4, HEADER - 8), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (0, 0, 0), 1, cv2.LINE_AA)
        line[:, left : left + field.shape[1]] = field
    return line


def _tinted(
    image: npt.NDArray[np.uint8], mask: npt.NDArray[np.bool_], colour: tuple[int, int, int]
) -> npt.NDArray[np.uint8]:
    """The image with the mask laid over it, half transparent."""
    result: npt.NDArray[np.uint8] = image.copy()
    result[mask] = (image[mask].astype(np.uint16) + np.array(colour, np.uint16)) // 2
    return result


def _outlined(
    image: npt.NDArray[np.uint8], mask: npt.NDArray[np.bool_], colour: tuple[int, int, int]
) -> npt.NDArray[np.uint8]:
    """The image with a line of one pixel around the mask, which itself stays visible."""
    grown = np.asarray(cv2.dilate(mask.astype(np.uint8), np.ones((3, 3), np.uint8)))
    result: npt.NDArray[np.uint8] = image.copy()
    result[(grown > 0) & ~mask] = colour
    return result
