"""Where samples are cut from, and the grey level of the image that they are part of."""

from __future__ import annotations

import numpy as np
import pytest

from realnet_edge.synthesis.windows import MIN_FOREGROUND, Window, draw_window, level_with
from realnet_edge.tiles import TileGrid

GRID = TileGrid(2, 3, 32, 8)


def corner(window: Window) -> tuple[int, int]:
    rows, columns = window
    assert rows.stop - rows.start == columns.stop - columns.start == GRID.side
    return rows.start, columns.start


@pytest.mark.parametrize("tile", range(GRID.count))
def test_without_jitter_it_is_the_engines_tile(tile: int) -> None:
    assert corner(draw_window(GRID, tile, 0, np.random.default_rng(0))) == GRID.corners[tile]


def test_jitter_moves_a_tile_a_little_and_never_out_of_the_image() -> None:
    rng = np.random.default_rng(0)
    found = np.array([corner(draw_window(GRID, 1, 3, rng)) for _ in range(200)])
    assert found[:, 0].min() == 0
    assert found[:, 0].max() == 3
    assert set(found[:, 1]) == set(range(21, 28))


def test_one_tile_draws_nothing() -> None:
    rng = np.random.default_rng(0)
    before = rng.bit_generator.state
    assert draw_window(TileGrid(1, 1, 32), 0, 3, rng) == (slice(None), slice(None))
    assert rng.bit_generator.state == before


def test_a_tile_without_the_object_gives_way_to_one_with_it() -> None:
    foreground = np.zeros(GRID.size, np.bool_)
    foreground[-6:, -6:] = True
    assert 36 / GRID.side**2 > MIN_FOREGROUND
    for tile in range(GRID.count):
        window = draw_window(GRID, tile, 0, np.random.default_rng(tile), foreground)
        assert corner(window) == GRID.corners[-1]


def test_where_no_tile_shows_enough_the_best_one_is_taken() -> None:
    foreground = np.zeros(GRID.size, np.bool_)
    foreground[0, 0] = foreground[0, -1] = foreground[1, -1] = True
    assert 2 / GRID.side**2 < MIN_FOREGROUND
    for tile in range(GRID.count):
        window = draw_window(GRID, tile, 0, np.random.default_rng(tile), foreground)
        assert corner(window) == GRID.corners[2]
    nothing = draw_window(GRID, 4, 0, np.random.default_rng(0), np.zeros(GRID.size, np.bool_))
    assert corner(nothing) == GRID.corners[4]


def test_the_level_is_that_of_the_image_with_the_tile_in_it() -> None:
    rng = np.random.default_rng(0)
    whole = rng.integers(0, 256, (*GRID.size, 3), np.uint8)
    window = draw_window(GRID, 4, 3, rng)
    tile = rng.integers(0, 100, (GRID.side, GRID.side, 3), np.uint8)
    changed = whole.copy()
    changed[window] = tile
    assert level_with(whole, window, tile) == pytest.approx(changed.mean(), abs=1e-9)
    assert level_with(whole, window, whole[window]) == pytest.approx(whole.mean(), abs=1e-9)
