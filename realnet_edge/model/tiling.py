"""Images cut into tiles, and the tiles' anomaly maps put together again, in PyTorch and in what it exports.

Along each axis the map of a tile counts with weight 1 where it lies alone. Over the `overlap` pixels that
it shares with the next one its weight falls linearly while the other's rises: pixel j = 0, 1, ... of the
overlap takes (j + 1) / (overlap + 1) of the later tile and the rest of the earlier one. The weight of a tile
at a pixel is the product of those of both axes, so the weights of all tiles at any pixel add up to 1 (they
are a partition of unity): what all tiles agree on comes out unchanged, and no seam is a jump. The ends, where
a tile knows least of what lies beyond its border, count least.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from realnet_edge.tiles import TileGrid


def cut(images: Tensor, grid: TileGrid) -> Tensor:
    """Images (N, C, H, W) to their tiles (N * tiles, C, side, side), an image's tiles one after the other.

    Args:
        images: of the grid's size; with one tile they come back as they are.
        grid: where the tiles lie.
    """
    if grid.count == 1:
        return images
    side = grid.side
    tiles = [images[:, :, row : row + side, column : column + side] for row, column in grid.corners]
    return torch.stack(tiles, dim=1).flatten(0, 1)


def stitch(maps: Tensor, grid: TileGrid) -> Tensor:
    """Maps of tiles (N * tiles, side, side), in the order of `cut`, to maps of images (N, H, W).

    One map an image, weighted as this module states; with one tile the maps come back as they are.
    """
    if grid.count == 1:
        return maps
    tiles = per_image(maps, grid)
    rows = [
        _joined([tiles[:, row * grid.columns + column] for column in range(grid.columns)], grid.overlap, 2)
        for row in range(grid.rows)
    ]
    return _joined(rows, grid.overlap, 1)


def per_image(values: Tensor, grid: TileGrid) -> Tensor:
    """What was computed tile by tile, (N * tiles, ...), as (N, tiles, ...)."""
    return values.reshape(-1, grid.count, *values.shape[1:])


def _joined(parts: Sequence[Tensor], overlap: int, axis: int) -> Tensor:
    """Neighbouring maps (N, h, w) along an axis, each fading into the next over `overlap` pixels."""
    if not overlap or len(parts) == 1:
        return torch.cat(list(parts), axis)
    shape = [1, 1, 1]
    shape[axis] = overlap
    rising = (torch.arange(1, overlap + 1, device=parts[0].device) / (overlap + 1)).reshape(shape)
    length = parts[0].shape[axis]
    last = len(parts) - 1
    pieces = []
    for number, part in enumerate(parts):
        start, end = overlap * (number > 0), length - overlap * (number < last)
        pieces.append(part.narrow(axis, start, end - start))
        if number < last:
            fading, coming = part.narrow(axis, end, overlap), parts[number + 1].narrow(axis, 0, overlap)
            # Exactly `fading` where both say the same.
            pieces.append(fading + (coming - fading) * rising)
    return torch.cat(pieces, axis)
