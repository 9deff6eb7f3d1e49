"""Cutting and stitching: the weights add up to one, and seams cannot be seen in what tiles agree on."""

from __future__ import annotations

import pytest
import torch

from realnet_edge.model.tiling import cut, per_image, stitch
from realnet_edge.tiles import TileGrid

GRIDS = [
    TileGrid(1, 1, 16),
    TileGrid(2, 2, 16),
    TileGrid(1, 2, 16, 5),
    TileGrid(2, 1, 16, 7),
    TileGrid(3, 4, 16, 6),
]
TILED = GRIDS[1:]


def weights(grid: TileGrid) -> torch.Tensor:
    """(tiles, H, W): what each tile's map counts at every pixel, one tile after the other set to 1."""
    alone = torch.eye(grid.count)[:, :, None, None].expand(-1, -1, grid.side, grid.side)
    return stitch(alone.reshape(-1, grid.side, grid.side), grid)


@pytest.mark.parametrize("grid", GRIDS)
def test_weights_are_a_partition_of_unity(grid: TileGrid) -> None:
    found = weights(grid)
    torch.testing.assert_close(found.sum(0), torch.ones(grid.size))
    assert found.min() >= 0.0
    for weight, (row, column) in zip(found, grid.corners, strict=True):
        inside = torch.zeros(grid.size, dtype=torch.bool)
        inside[row : row + grid.side, column : column + grid.side] = True
        assert torch.equal(weight > 0, inside)


def test_weights_ramp_linearly_over_the_overlap() -> None:
    left, right = weights(TileGrid(1, 2, 16, 3))[:, 0]
    torch.testing.assert_close(right[12:17], torch.tensor([0.0, 0.25, 0.5, 0.75, 1.0]))
    torch.testing.assert_close(left.flip(0), right)


@pytest.mark.parametrize("grid", GRIDS)
def test_what_is_cut_and_stitched_is_what_was_there(grid: TileGrid) -> None:
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(3, 1, *grid.size, generator=generator)
    tiles = cut(images, grid)
    assert tiles.shape == (3 * grid.count, 1, grid.side, grid.side)
    torch.testing.assert_close(stitch(tiles[:, 0], grid), images[:, 0])


@pytest.mark.parametrize("grid", TILED)
def test_a_constant_stays_the_same_to_the_bit(grid: TileGrid) -> None:
    maps = torch.full((2 * grid.count, grid.side, grid.side), 0.3)
    assert torch.equal(stitch(maps, grid), torch.full((2, *grid.size), 0.3))


@pytest.mark.parametrize("grid", TILED)
def test_a_gradient_has_no_seam(grid: TileGrid) -> None:
    rows = torch.linspace(0, 1, grid.size[0])[:, None]
    image = (rows + torch.linspace(0, 1, grid.size[1])) / 2
    stitched = stitch(cut(image[None, None], grid)[:, 0], grid)[0]
    for axis in (0, 1):
        torch.testing.assert_close(stitched.diff(dim=axis), image.diff(dim=axis), atol=1e-6, rtol=0)


def test_tiles_that_disagree_meet_in_steps_no_larger_than_the_ramps() -> None:
    grid = TileGrid(2, 2, 16, 7)
    maps = torch.tensor([0.0, 1.0, 1.0, 0.0])[:, None, None].expand(-1, 16, 16)
    stitched = stitch(maps, grid)[0]
    for axis in (0, 1):
        assert stitched.diff(dim=axis).abs().max() <= 1 / 8 + 1e-6


def test_one_tile_is_passed_on_untouched() -> None:
    grid = TileGrid(1, 1, 16)
    images = torch.rand(2, 3, 16, 16)
    assert cut(images, grid) is images
    assert torch.equal(stitch(images[:, 0], grid), images[:, 0])


@pytest.mark.parametrize("grid", TILED)
def test_a_network_of_small_reach_sees_the_same_away_from_the_seams(grid: TileGrid) -> None:
    """Two 3x3 convolutions: a tile's border changes its outermost two pixels, where its image goes on."""
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3, padding=1), torch.nn.Conv2d(4, 1, 3, padding=1))
    images = torch.rand(2, 3, *grid.size)
    with torch.no_grad():
        whole = network(images)[:, 0]
        stitched = stitch(network(cut(images, grid))[:, 0], grid)
    reach = torch.ones(grid.size, dtype=torch.bool)
    for row, column in grid.corners:
        if row:
            reach[row - 2 : row + max(grid.overlap, 2) + 2] = False
        if column:
            reach[:, column - 2 : column + max(grid.overlap, 2) + 2] = False
    assert reach.float().mean() > 0.1
    torch.testing.assert_close(stitched[:, reach], whole[:, reach], atol=1e-6, rtol=1e-5)
    assert not torch.allclose(stitched, whole, atol=1e-4)


def test_tiles_of_an_image_lie_together() -> None:
    grid = TileGrid(2, 2, 4)
    images = torch.arange(3.0)[:, None, None, None].expand(3, 1, 8, 8)
    grouped = per_image(cut(images, grid), grid)
    assert grouped.shape == (3, 4, 1, 4, 4)
    assert torch.equal(grouped.amax(dim=(1, 2, 3, 4)), torch.arange(3.0))
    assert torch.equal(grouped.amin(dim=(1, 2, 3, 4)), torch.arange(3.0))
