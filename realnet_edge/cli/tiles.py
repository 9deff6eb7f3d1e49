"""Tiles on the command line: how they are written, chosen from the images, and advised."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from realnet_edge.cli.pairs import pair_or
from realnet_edge.config import ModelConfig
from realnet_edge.errors import DataError
from realnet_edge.tile_advice import choose_tiles, default_overlap, median_size, tiling_advice
from realnet_edge.tiles import TileGrid

AUTO = "auto"
_Command = TypeVar("_Command", bound=Callable[..., Any])
# Enough for a median; each is decoded.
_SAMPLE = 16
# Side that images are shrunk to before their foreground is looked for: a share needs no more.
_SIDE = 256


@dataclass(frozen=True)
class SeenImages:
    """What a few of a category's images show.

    Attributes:
        size: median (height, width) in pixels; None where none of them could be decoded.
        object_share: share of an image that the foreground covers; None where it is all of it.
    """

    size: tuple[int, int] | None
    object_share: float | None = None

    def advice(self, grid: TileGrid) -> str | None:
        """See `tiling_advice`."""
        return None if self.size is None else tiling_advice(self.size, grid, self.object_share)


_tiles = click.option(
    "--tiles",
    callback=pair_or((AUTO,), "rows x columns, such as 2x3"),
    metavar="ROWSxCOLUMNS|auto",
    help="Cut images into tiles, for small defects on large images; auto: as many as their size asks for, up "
    "to 4x4. An image takes as many times as long as it has tiles.",
)
_overlap = click.option(
    "--tile-overlap",
    type=int,
    metavar="PIXELS",
    help="Pixels of the input that neighbouring tiles share.  [default: an eighth of a tile]",
)


def tile_options(command: _Command) -> _Command:
    """Add `--tiles` and `--tile-overlap`."""
    return _tiles(_overlap(command))


def see_images(paths: Sequence[Path], foreground: str = "auto") -> SeenImages:
    """Look at up to 16 images, evenly spaced.

    Files that cannot be decoded are passed over: the check of all images names every one of them.

    Args:
        paths: good images.
        foreground: a rule as `resolve_foreground` reads it.

    Raises:
        ConfigError: it is none.
    """
    from realnet_edge.imaging import evenly_spread, load_image, preprocess
    from realnet_edge.synthesis import resolve_foreground
    from realnet_edge.synthesis.foreground_choice import candidate_figures

    sizes, small = [], []
    for index in evenly_spread(len(paths), _SAMPLE):
        with suppress(DataError):
            image = load_image(paths[index])
            sizes.append((image.shape[0], image.shape[1]))
            small.append(preprocess(image, (_SIDE, _SIDE)))
    if not sizes:
        return SeenImages(None)
    rule, _ = resolve_foreground(foreground, small)
    share = None if rule.method == "whole" else candidate_figures(small, rule).area
    return SeenImages(median_size(sizes), share)


def tile_grid(
    side: int, tiles: tuple[int, int] | str | None, overlap: int | None, images: Sequence[Path] = ()
) -> TileGrid:
    """The grid that `--tiles` and `--tile-overlap` ask for.

    Args:
        side: of a tile in pixels of the input.
        tiles: rows and columns; None for the image as a whole; `AUTO` for as many as `images` ask for.
        overlap: pixels that neighbours share; None for the default.
        images: good images, looked at with `AUTO` alone.

    Raises:
        ConfigError: what is no grid.
    """
    if tiles == AUTO:
        size = see_images(images, "whole").size
        return TileGrid(1, 1, side) if size is None else chosen_grid(size, side, overlap)
    rows, columns = tiles if isinstance(tiles, tuple) else (1, 1)
    if overlap is None:
        overlap = default_overlap(side) if (rows, columns) != (1, 1) else 0
    return TileGrid(rows, columns, side, overlap)


def chosen_grid(size: tuple[int, int], side: int, overlap: int | None) -> TileGrid:
    """As many tiles as images of this median (height, width) ask for.

    Raises:
        ConfigError: tiles cannot share so many pixels.
    """
    return choose_tiles(size, side, default_overlap(side) if overlap is None else overlap)


def with_grid(model: ModelConfig, grid: TileGrid) -> ModelConfig:
    """A model whose images are cut into the tiles of a grid."""
    return dataclasses.replace(model, tiles=(grid.rows, grid.columns), tile_overlap=grid.overlap)
