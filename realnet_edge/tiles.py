"""Where tiles lie: a grid of overlapping squares that covers an image whole."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

from realnet_edge.errors import ConfigError

# More rows or columns than that are a typing mistake rather than a wish: 256 networks an image.
MAX_TILES = 16


@dataclass(frozen=True)
class TileGrid:
    """Rows and columns of square tiles; neighbours share `overlap` pixels, so that the grid has no gap.

    Attributes:
        rows, columns: tiles from top to bottom and from left to right.
        side: height and width of a tile, in pixels of the engine's input.
        overlap: pixels that neighbours share; 0 where there is one tile alone.

    Raises:
        ConfigError: a number out of range. An overlap of half a tile or more is: three tiles would meet.
    """

    rows: int
    columns: int
    side: int
    overlap: int = 0

    def __post_init__(self) -> None:
        """Refuse what is no grid."""
        if not (1 <= self.rows <= MAX_TILES and 1 <= self.columns <= MAX_TILES):
            raise ConfigError(
                f"tiles is {(self.rows, self.columns)!r}; valid: rows and columns in 1..{MAX_TILES}."
            )
        if self.count == 1 and self.overlap:
            raise ConfigError(
                f"tile_overlap is {self.overlap!r}; valid: 0 for one tile alone. Give --tiles, such as 2x2."
            )
        most = (self.side - 1) // 2
        if not 0 <= self.overlap <= most:
            raise ConfigError(
                f"tile_overlap is {self.overlap!r}; valid: 0..{most}, less than half a tile of {self.side}."
            )

    @property
    def count(self) -> int:
        """Tiles of an image."""
        return self.rows * self.columns

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the image that the grid covers."""
        return self._length(self.rows), self._length(self.columns)

    @property
    def corners(self) -> tuple[tuple[int, int], ...]:
        """(row, column) of every tile's first pixel, row of tiles by row of tiles."""
        step = self.side - self.overlap
        return tuple((r * step, c * step) for r, c in product(range(self.rows), range(self.columns)))

    def _length(self, tiles: int) -> int:
        return tiles * self.side - (tiles - 1) * self.overlap
