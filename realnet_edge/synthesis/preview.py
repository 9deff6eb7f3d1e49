"""A contact sheet of synthetic anomalies: look at it before hours of training depend on them."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from realnet_edge.errors import DataError
from realnet_edge.imaging import preprocess
from realnet_edge.synthesis.base import AnomalySource, Synthetic, bounding_box
from realnet_edge.synthesis.foreground import ForegroundRule, foreground_mask
from realnet_edge.synthesis.sources import synthesise
from realnet_edge.synthesis.windows import JITTER_SHARE, Window, draw_window
from realnet_edge.tiles import TileGrid

GAP = 6
BAND = 24  # pixels, the height of a line of text
_PAPER = 255
_BLANK = 128
_TEXT = (0, 0, 0)
_GREEN = (0, 200, 80)
_RED = (230, 40, 40)
# A close-up shows the anomaly in a square at least this share of the image's shorter side.
CLOSE_UP = 0.25

Picture = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]


def preview_sheet(
    images: Sequence[Picture],
    rule: ForegroundRule,
    sources: Sequence[AnomalySource],
    rng: np.random.Generator,
    grid: TileGrid | None = None,
) -> Picture:
    """Draw a sheet: a block a source with a row an image, and from left to right what becomes of it.

    The columns are the normal image; the same with its foreground in green; the mask; the anomaly, that is,
    the picture that is blended in or, where a source changes the image itself, what it changed, on grey; the
    blend of both, which training sees; and a close-up of that with the mask's outline in red. Where images
    are cut into tiles a row is what training sees of an image: one of its tiles, moved a little from its
    place and with some of the object in it; a first column shows the image whole, the tile outlined in it.

    Args:
        images: normal images, (H, W, 3) uint8 RGB, all of one size: that of `grid`, where there is one.
        rule: the foreground rule.
        sources: what makes the anomalies; `synthesise` is called once for each image and source.
        rng: all randomness comes from it.
        grid: the tiles that images are cut into; None, or one tile alone, shows them whole.

    Returns:
        The sheet, (rows, columns, 3) uint8 RGB, with the columns' names above and a source's above its rows.

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
    blocks = [[_row(image, rule, source, tiles, rng) for image in images] for source in sources]
    cell = tiles.side if tiles else images[0].shape[1]
    titles = [*(["whole image"] if tiles else []), "normal", "foreground", "mask", "anomaly", "blend"]
    width = blocks[0][0].shape[1]
    parts = [_band([*titles, "close-up"], cell, width)]
    for source, rows in zip(sources, blocks, strict=True):
        parts += [_band([source.name], width, width), _join(rows, axis=0)]
    return np.concatenate(parts)


def _row(
    image: Picture,
    rule: ForegroundRule,
    source: AnomalySource,
    tiles: TileGrid | None,
    rng: np.random.Generator,
) -> Picture:
    """One image with one anomaly of a source, step by step."""
    foreground = foreground_mask(image, rule)
    cells = []
    if tiles:
        window = _drawn(tiles, foreground, rng)
        cells.append(_located(image, window, tiles.side))
        image, foreground = np.ascontiguousarray(image[window]), foreground[window]
    made = synthesise(image, foreground, source, rng)
    mask = np.repeat(made.mask[:, :, None].astype(np.uint8) * np.uint8(255), 3, axis=2)
    tinted = _tinted(image, foreground, _GREEN)
    cells += [image, tinted, mask, _anomaly(made), made.image, _close_up(made)]
    return _join(cells, axis=1)


def _anomaly(made: Synthetic) -> Picture:
    """What was blended in, or else what the mask marks, alone."""
    if made.content is not None:
        return made.content
    return np.where(made.mask[:, :, None], made.image, np.uint8(_BLANK))


def _close_up(made: Synthetic) -> Picture:
    """The surroundings of the anomaly, enlarged to the size of the image, the mask outlined."""
    height, width = made.mask.shape
    rows, columns = bounding_box(made.mask)
    # As wide as the anomaly with a margin of a quarter, in the image's own proportions.
    extent = max((rows.stop - rows.start) / height, (columns.stop - columns.start) / width)
    share = min(1.0, max(1.5 * extent, CLOSE_UP))
    window = (_about(rows, round(share * height), height), _about(columns, round(share * width), width))
    size = (width, height)
    enlarged = cv2.resize(made.image[window], size, interpolation=cv2.INTER_CUBIC)
    mask = cv2.resize(made.mask[window].astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
    return _outlined(np.asarray(enlarged, np.uint8), np.asarray(mask) > 0, _RED)


def _about(extent: slice, length: int, limit: int) -> slice:
    """A window of `length` about the middle of `extent`, moved inwards where it would pass 0 or `limit`."""
    start = min(max((extent.start + extent.stop - length) // 2, 0), limit - length)
    return slice(start, start + length)


def _drawn(grid: TileGrid, foreground: Mask, rng: np.random.Generator) -> Window:
    """Any of an image's tiles, as training draws those that get an anomaly."""
    return draw_window(grid, int(rng.integers(grid.count)), int(JITTER_SHARE * grid.side), rng, foreground)


def _located(image: Picture, window: Window, side: int) -> Picture:
    """The whole image within a square cell of `side` pixels, a window of it outlined in red."""
    rows, columns = window
    marked: Picture = image.copy()
    # So thick that it is still seen where the image is shrunk.
    width = max(1, round(max(image.shape[:2]) / side))
    cv2.rectangle(marked, (columns.start, rows.start), (columns.stop - 1, rows.stop - 1), _RED, 2 * width)
    scale = side / max(image.shape[:2])
    height, length = (max(1, round(scale * extent)) for extent in image.shape[:2])
    cell = np.full((side, side, 3), _PAPER, np.uint8)
    cell[:height, :length] = preprocess(marked, (height, length))
    return cell


def _join(parts: Sequence[Picture], axis: int) -> Picture:
    """Put pictures side by side (axis 1) or below each other (axis 0) with a gap between them."""
    shape = list(parts[0].shape)
    shape[axis] = GAP
    gap = np.full(shape, _PAPER, np.uint8)
    pieces = [parts[0]]
    for part in parts[1:]:
        pieces += [gap, part]
    return np.concatenate(pieces, axis=axis)


def _band(texts: Sequence[str], cell: int, width: int) -> Picture:
    """One line of texts, each cut to its column."""
    line = np.full((BAND, width, 3), _PAPER, np.uint8)
    for index, text in enumerate(texts):
        left = index * (cell + GAP)
        field = np.full((BAND, min(cell, width - left), 3), _PAPER, np.uint8)
        cv2.putText(field, text, (4, BAND - 8), cv2.FONT_HERSHEY_SIMPLEX, 0.42, _TEXT, 1, cv2.LINE_AA)
        line[:, left : left + field.shape[1]] = field
    return line


def _tinted(image: Picture, mask: Mask, colour: tuple[int, int, int]) -> Picture:
    """The image with the mask laid over it, half transparent."""
    result: Picture = image.copy()
    result[mask] = (image[mask].astype(np.uint16) + np.array(colour, np.uint16)) // 2
    return result


def _outlined(image: Picture, mask: Mask, colour: tuple[int, int, int]) -> Picture:
    """The image with a line of one pixel around the mask, which itself stays visible."""
    grown = np.asarray(cv2.dilate(mask.astype(np.uint8), np.ones((3, 3), np.uint8)))
    result: Picture = image.copy()
    result[(grown > 0) & ~mask] = colour
    return result
