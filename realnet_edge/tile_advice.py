"""When images lose too much by being shrunk to the engine's input, and how many tiles keep it.

The rule. An image of h x w pixels in an input of H x W is shrunk by s, the larger of h / H and w / W. The
finest features that a network compares have a stride of four pixels of the input, so a defect narrower than
4 s pixels of the image is a fraction of one value, and hardly shows. Tiles are advised

- where s is 2 or more: half of all detail is gone;
- where s is 1.5 or more and the object covers less than a quarter of the image: it has fewer pixels than the
  image's size makes believe, and its defects have fewer still.

How many: the fewest rows and columns with which s is at most 1.5 along both axes, but no more than 4 of
either; where that is not enough both axes are shrunk alike, so that the aspect ratio stays as near as whole
tiles allow. What it costs: the network runs once a tile, so time and memory of an image grow with their
number. Where the object covers less than a quarter of the image, cropping the images to it is advised too:
that costs nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median

from realnet_edge.tiles import TileGrid

# Pixels of the input a defect needs, see above.
VISIBLE = 4
FAR_SHRUNK, SHRUNK = 2.0, 1.5
LITTLE = 0.25
MOST_TILES = 4
# What neighbouring tiles share where nothing else is asked for: 32 pixels of 256.
OVERLAP_SHARE = 1 / 8


def default_overlap(side: int) -> int:
    """Pixels that tiles of this side share unless told otherwise."""
    return int(OVERLAP_SHARE * side)


def median_size(sizes: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """Median height and median width of (height, width) pairs, at least one, in whole pixels."""
    heights, widths = zip(*sizes, strict=True)
    return round(median(heights)), round(median(widths))


def shrinkage(size: tuple[int, int], input_size: tuple[int, int]) -> float:
    """How many pixels of an image of `size` become one of `input_size`, along the axis that loses more."""
    return max(length / target for length, target in zip(size, input_size, strict=True))


def choose_tiles(size: tuple[int, int], side: int, overlap: int) -> TileGrid:
    """The grid of tiles that the rule of this module gives for images of `size`; one tile for small ones.

    Args:
        size: (height, width) of the images in pixels.
        side: side of a tile in pixels of the engine's input.
        overlap: what neighbouring tiles share; nothing in a grid of one tile.

    Raises:
        ConfigError: tiles of this side cannot share so many pixels.
    """
    most = TileGrid(MOST_TILES, MOST_TILES, side, overlap).size
    wanted = max(SHRUNK, shrinkage(size, most))
    step = side - overlap
    # The images that need all of them must not get one more by a rounding error.
    rows, columns = (max(1, math.ceil((length / wanted - overlap) / step - 1e-9)) for length in size)
    return TileGrid(rows, columns, side, overlap if rows * columns > 1 else 0)


def tiling_advice(size: tuple[int, int], grid: TileGrid, object_share: float | None = None) -> str | None:
    """What to tell someone whose images lose too much on their way into the engine, by this module's rule.

    Args:
        size: (height, width) of the images in pixels, their median.
        grid: the tiles that are cut at present.
        object_share: share of the image that the object covers, in [0, 1]; None where it is not known or all.

    Returns:
        A few sentences with the numbers, or None where nothing is lost, or no tiles would help.
    """
    shrunk = shrinkage(size, grid.size)
    little = object_share is not None and object_share < LITTLE
    if shrunk < (SHRUNK if little else FAR_SHRUNK):
        return None
    better = choose_tiles(size, grid.side, grid.overlap or default_overlap(grid.side))
    left = shrinkage(size, better.size)
    text = (
        f"the images of {_by(size)} pixels are shrunk {shrunk:.1f} times to the engine's input of "
        f"{_by(grid.size)}: defects narrower than about {math.ceil(VISIBLE * shrunk)} of their pixels hardly "
        "show."
    )
    # One tile more is not worth its time where it changes next to nothing.
    helps = left < 0.9 * shrunk
    if helps:
        text += (
            f" `realnet-edge train --tiles {better.rows}x{better.columns}` shrinks them {left:.1f} times and "
            f"keeps those of {math.ceil(VISIBLE * left)}; {cost(better)}."
        )
    if little:
        text += f" The object covers {object_share:.0%} of the image: cropping images to it costs nothing."
    return text if helps or little else None


def describe_choice(size: tuple[int, int], grid: TileGrid) -> str:
    """One line on tiles chosen for images of `size`, (height, width): what they keep and what they cost."""
    keeps = f"images of {_by(size)} pixels as {_by(grid.size)}"
    if grid.count == 1:
        return f"tiles: none, {keeps}"
    return (
        f"tiles: {grid.rows}x{grid.columns} with {grid.overlap} pixels of overlap, {keeps} "
        f"instead of {_by((grid.side, grid.side))}; {cost(grid)}"
    )


def cost(grid: TileGrid) -> str:
    """What the tiles of a grid cost, in words."""
    return f"an image then takes about {grid.count} times as long as without tiles"


def _by(size: tuple[int, int]) -> str:
    """Width x height, as people and image viewers say it."""
    return f"{size[1]} x {size[0]}"
