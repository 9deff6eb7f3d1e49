"""Which square of a whole image a sample is cut from, and what that square does to the image's exposure."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from realnet_edge.tiles import TileGrid

Window = tuple[slice, slice]

# Training tiles are moved by up to this share of their side from where the engine cuts them, because no
# camera sees a part at the same pixel twice.
JITTER_SHARE = 1 / 16
# A tile carries an anomaly where this share of it is foreground; anomalies lie on the object.
MIN_FOREGROUND = 0.005


def draw_window(
    grid: TileGrid,
    tile: int,
    jitter: int,
    rng: np.random.Generator,
    foreground: npt.NDArray[np.bool_] | None = None,
) -> Window:
    """The rows and columns of a tile, moved a little, or of another one if there is no object in it.

    Args:
        grid: of the tiles; with one tile alone that is taken, and nothing is drawn.
        tile: which one is wanted, 0 to `grid.count` - 1.
        jitter: most pixels that it is moved along each axis, as far as the image reaches.
        rng: all randomness comes from it.
        foreground: (H, W) bool of the whole image, where the tile has to show some of it: if less than
            `MIN_FOREGROUND` of it does, the others are tried in random order, and if none shows as much, the
            one that shows most is taken. None takes the tile that is wanted.
    """
    if grid.count == 1:
        return slice(None), slice(None)
    wanted = _moved(grid, tile, jitter, rng)
    if foreground is None:
        return wanted
    best, most = wanted, float(foreground[wanted].mean())
    for other in rng.permutation(grid.count):
        if most >= MIN_FOREGROUND:
            break
        window = _moved(grid, int(other), jitter, rng)
        share = float(foreground[window].mean())
        if share > most:
            best, most = window, share
    return best


def level_with(whole: npt.NDArray[np.uint8], window: Window, tile: npt.NDArray[np.uint8]) -> float:
    """Mean grey level, 0..255, of a whole image (H, W, 3) with another tile put into one of its windows."""
    change = int(tile.sum(dtype=np.int64)) - int(whole[window].sum(dtype=np.int64))
    return (int(whole.sum(dtype=np.int64)) + change) / whole.size


def _moved(grid: TileGrid, tile: int, jitter: int, rng: np.random.Generator) -> Window:
    shift = rng.integers(-jitter, jitter + 1, size=2)
    rows, columns = (
        int(np.clip(start + move, 0, length - grid.side))
        for start, move, length in zip(grid.corners[tile], shift, grid.size, strict=True)
    )
    return slice(rows, rows + grid.side), slice(columns, columns + grid.side)
