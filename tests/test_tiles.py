"""The grid of tiles: nothing of an image is left out, neighbours share what was asked for."""

from __future__ import annotations

import numpy as np
import pytest

from realnet_edge.errors import ConfigError
from realnet_edge.tiles import TileGrid


@pytest.mark.parametrize(
    ("grid", "size"),
    [
        (TileGrid(1, 1, 64), (64, 64)),
        (TileGrid(2, 2, 64), (128, 128)),
        (TileGrid(2, 2, 256, 32), (480, 480)),
        (TileGrid(1, 3, 64, 31), (64, 130)),
    ],
)
def test_tiles_cover_the_image_and_share_the_overlap(grid: TileGrid, size: tuple[int, int]) -> None:
    assert grid.size == size
    assert len(grid.corners) == grid.count
    seen = np.zeros(size, int)
    for row, column in grid.corners:
        window = seen[row : row + grid.side, column : column + grid.side]
        assert window.shape == (grid.side, grid.side)
        window += 1
    assert seen.min() == 1
    assert (seen.max(axis=0) > 1).sum() >= (grid.columns - 1) * grid.overlap
    # Along an edge of the image only neighbours meet.
    assert (seen[0] == 2).sum() == (grid.columns - 1) * grid.overlap
    assert (seen[:, 0] == 2).sum() == (grid.rows - 1) * grid.overlap


def test_tiles_are_counted_row_by_row() -> None:
    assert TileGrid(2, 2, 10, 2).corners == ((0, 0), (0, 8), (8, 0), (8, 8))


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ((0, 1, 64, 0), r"tiles is \(0, 1\)"),
        ((1, 17, 64, 0), r"tiles is \(1, 17\)"),
        ((1, 1, 64, 8), "0 for one tile alone"),
        ((2, 1, 64, 32), "valid: 0..31"),
        ((2, 1, 64, -1), "tile_overlap is -1"),
    ],
)
def test_what_is_no_grid(numbers: tuple[int, int, int, int], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        TileGrid(*numbers)
