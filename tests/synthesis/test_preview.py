from __future__ import annotations

import numpy as np
import pytest

from realnet_edge.errors import DataError
from realnet_edge.synthesis import AnomalySource, CutPasteSource, ForegroundRule, ScratchSource, preview_sheet
from realnet_edge.synthesis.preview import GAP, HEADER
from realnet_edge.tiles import TileGrid


def test_the_sheet_holds_a_row_an_image_and_two_columns_a_source(bar_images: list[np.ndarray]) -> None:
    rule = ForegroundRule.parse("otsu:dark:2:2")
    sources: list[AnomalySource] = [CutPasteSource(), ScratchSource()]
    sheet = preview_sheet(bar_images[:3], rule, sources, np.random.default_rng(0))
    assert sheet.dtype == np.uint8
    assert sheet.shape == (HEADER + 3 * 128 + 2 * GAP, 6 * 96 + 5 * GAP, 3)
    first_row = sheet[HEADER : HEADER + 128]
    cells = [first_row[:, index * (96 + GAP) :][:, :96] for index in range(6)]
    assert np.array_equal(cells[0], bar_images[0])
    assert cells[1][64, 48, 1] > cells[1][64, 48, 0] + 50
    for bare, marked in ((cells[2], cells[3]), (cells[4], cells[5])):
        assert not np.array_equal(bare, bar_images[0])
        changed = (marked != bare).any(axis=2)
        assert changed.any()
        assert (marked[changed] == (230, 40, 40)).all()


def test_nothing_to_show_is_refused(bar_images: list[np.ndarray]) -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(DataError, match="at least one"):
        preview_sheet([], ForegroundRule(), [ScratchSource()], rng)
    with pytest.raises(DataError, match="one size"):
        preview_sheet([bar_images[0], bar_images[1][:50]], ForegroundRule(), [ScratchSource()], rng)


def test_tiles_are_shown_as_training_sees_them() -> None:
    """A dark square in a corner of a large image: the rows are tiles with some of it, outlined in it."""
    grid = TileGrid(2, 2, 64, 8)
    assert grid.size == (120, 120)
    image = np.full((120, 120, 3), 210, np.uint8)
    image[84:108, 84:108] = 40
    rule = ForegroundRule.parse("otsu:dark:2:2")
    sheet = preview_sheet([image] * 4, rule, [ScratchSource()], np.random.default_rng(0), grid)
    assert sheet.shape == (HEADER + 4 * 64 + 3 * GAP, 5 * 64 + 4 * GAP, 3)
    for number in range(4):
        top = HEADER + number * (64 + GAP)
        whole, tile, _, bare, marked = (
            sheet[top : top + 64, left : left + 64] for left in range(0, 5 * (64 + GAP), 64 + GAP)
        )
        # At the image's own scale: the square is as large as it is, wherever the tile lies.
        assert (tile == 40).all(axis=2).sum() == 24 * 24
        assert not np.array_equal(bare, tile)
        assert (marked != bare).any()
        red = (whole[:, :, 0] > 200) & (whole[:, :, 1] < 150)
        # The outline surrounds the lower right tile, the only one with the object in it.
        assert red.any()
        assert red[:24].sum() == red[:, :24].sum() == 0


def test_one_tile_is_the_image_as_a_whole(bar_images: list[np.ndarray]) -> None:
    images = [image[:96, :96] for image in bar_images[:2]]
    sheets = [
        preview_sheet(images, ForegroundRule(), [ScratchSource()], np.random.default_rng(0), grid)
        for grid in (None, TileGrid(1, 1, 96))
    ]
    assert np.array_equal(*sheets)
