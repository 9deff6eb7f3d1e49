from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from realnet_edge.errors import DataError
from realnet_edge.synthesis import (
    AnomalySource,
    CutPasteSource,
    ForegroundRule,
    ScratchSource,
    Synthetic,
    preview_sheet,
)
from realnet_edge.synthesis.preview import BAND, GAP
from realnet_edge.synthesis.sia import SiaSource
from realnet_edge.tiles import TileGrid


def cells_of(row: np.ndarray, width: int) -> list[np.ndarray]:
    return [row[:, left : left + width] for left in range(0, row.shape[1], width + GAP)]


def test_a_source_is_a_block_of_rows_and_a_row_shows_step_by_step(bar_images: list[np.ndarray]) -> None:
    rule = ForegroundRule.parse("otsu:dark:2:2")
    sources: list[AnomalySource] = [CutPasteSource(), ScratchSource()]
    sheet = preview_sheet(bar_images[:3], rule, sources, np.random.default_rng(0))
    assert sheet.dtype == np.uint8
    block = BAND + 3 * 128 + 2 * GAP
    assert sheet.shape == (BAND + 2 * block, 6 * 96 + 5 * GAP, 3)
    for place in range(2):
        for number in range(3):
            top = BAND + place * block + BAND + number * (128 + GAP)
            normal, foreground, mask, anomaly, blend, close = cells_of(sheet[top : top + 128], 96)
            assert np.array_equal(normal, bar_images[number])
            assert foreground[64, 48, 1] > foreground[64, 48, 0] + 50
            marked = mask.all(axis=2)
            assert marked.any()
            assert (mask[~marked] == 0).all()
            assert np.array_equal(blend[~marked], normal[~marked])
            assert not np.array_equal(blend, normal)
            assert np.array_equal(anomaly[marked], blend[marked])
            assert (anomaly[~marked] == 128).all()
            assert (close == (230, 40, 40)).all(axis=2).any()


def test_what_is_blended_in_is_shown_as_it_is(bar_images: list[np.ndarray], tmp_path: Path) -> None:
    Image.fromarray(np.full((20, 20, 3), (9, 90, 190), np.uint8)).save(tmp_path / "a.png")
    source = SiaSource(tmp_path, (128, 96))
    sheet = preview_sheet(bar_images[:1], ForegroundRule(), [source], np.random.default_rng(0))
    anomaly = cells_of(sheet[2 * BAND :], 96)[3]
    assert (anomaly == (9, 90, 190)).all()


def test_a_close_up_shows_a_small_anomaly_large() -> None:
    """A dot of 4 x 4 pixels at the rim of an image of 64 x 64 covers 16 x 16 of its close-up."""

    class Dot:
        name = "dot"

        def __call__(self, image: np.ndarray, foreground: np.ndarray, rng: np.random.Generator) -> Synthetic:
            made, mask = image.copy(), np.zeros(foreground.shape, bool)
            mask[60:64, 0:4] = True
            made[mask] = 250
            return Synthetic(made, mask)

    image = np.full((64, 64, 3), 50, np.uint8)
    sheet = preview_sheet([image], ForegroundRule(), [Dot()], np.random.default_rng(0))
    close = cells_of(sheet[2 * BAND :], 64)[5]
    assert 200 < (close[:, :, 2] > 150).sum() < 320
    assert close[63, 0, 2] > 200


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
    assert sheet.shape == (2 * BAND + 4 * 64 + 3 * GAP, 7 * 64 + 6 * GAP, 3)
    for number in range(4):
        top = 2 * BAND + number * (64 + GAP)
        whole, tile, _, mask, _, blend, _ = cells_of(sheet[top : top + 64], 64)
        # At the image's own scale: the square is as large as it is, wherever the tile lies.
        assert (tile == 40).all(axis=2).sum() == 24 * 24
        assert not np.array_equal(blend, tile)
        assert mask.any()
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
