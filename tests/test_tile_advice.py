"""When tiles are advised, and how many."""

from __future__ import annotations

import pytest

from realnet_edge.errors import ConfigError
from realnet_edge.tile_advice import (
    choose_tiles,
    describe_choice,
    median_size,
    shrinkage,
    tiling_advice,
)
from realnet_edge.tiles import TileGrid

ONE = TileGrid(1, 1, 256)


@pytest.mark.parametrize(
    ("size", "tiles"),
    [
        ((100, 80), (1, 1)),
        ((256, 256), (1, 1)),
        ((384, 384), (1, 1)),
        ((385, 384), (2, 1)),
        ((512, 512), (2, 2)),
        ((1024, 1024), (3, 3)),
        ((1024, 256), (3, 1)),
        ((1392, 1392), (4, 4)),
        # From here on both axes are shrunk alike.
        ((2048, 2048), (4, 4)),
        ((4096, 1024), (4, 1)),
        ((3000, 4000), (3, 4)),
    ],
)
def test_as_few_tiles_as_keep_two_thirds_of_the_resolution(
    size: tuple[int, int], tiles: tuple[int, int]
) -> None:
    grid = choose_tiles(size, 256, 32)
    assert (grid.rows, grid.columns) == tiles
    assert grid.overlap == (32 if grid.count > 1 else 0)
    if max(size) <= 1392:
        assert shrinkage(size, grid.size) <= 1.5


def test_an_overlap_that_cannot_be_is_refused_even_where_no_tiles_are_needed() -> None:
    with pytest.raises(ConfigError, match="tile_overlap is 200"):
        choose_tiles((100, 100), 256, 200)


def test_the_advice_gives_the_numbers_of_the_rule() -> None:
    advice = tiling_advice((1024, 1024), ONE)
    assert advice is not None
    assert "1024 x 1024 pixels are shrunk 4.0 times to the engine's input of 256 x 256" in advice
    assert "narrower than about 16 of their pixels" in advice
    assert "--tiles 3x3` shrinks them 1.5 times and keeps those of 6" in advice
    assert "9 times as long" in advice
    assert "cropping" not in advice


@pytest.mark.parametrize(
    ("size", "share", "given"),
    [
        ((256, 256), None, False),
        ((500, 500), None, False),
        ((500, 500), 0.5, False),
        ((500, 500), 0.2, True),
        ((512, 512), None, True),
        ((380, 380), 0.1, False),
        ((384, 384), 0.1, True),
        ((256, 512), None, True),
    ],
)
def test_it_comes_where_images_are_shrunk_far_or_the_object_is_small(
    size: tuple[int, int], share: float | None, given: bool
) -> None:
    assert (tiling_advice(size, ONE, share) is not None) == given


def test_a_small_object_is_advised_to_be_cropped_to() -> None:
    advice = tiling_advice((1024, 1024), ONE, 0.06)
    assert advice is not None
    assert "The object covers 6% of the image: cropping" in advice
    # Shrunk by just as much as tiles would leave it: only cropping helps.
    alone = tiling_advice((384, 384), ONE, 0.06)
    assert alone is not None
    assert "--tiles" not in alone


def test_nothing_more_is_advised_than_can_be_had() -> None:
    assert tiling_advice((1024, 1024), TileGrid(3, 3, 256, 32)) is None
    assert tiling_advice((4000, 4000), TileGrid(4, 4, 256, 32)) is None
    more = tiling_advice((1024, 1024), TileGrid(2, 2, 256, 32))
    assert more is not None
    assert "input of 480 x 480" in more
    assert "--tiles 3x3" in more


def test_what_was_chosen_is_said_with_its_cost() -> None:
    assert describe_choice((600, 900), choose_tiles((600, 900), 256, 32)) == (
        "tiles: 2x3 with 32 pixels of overlap, images of 900 x 600 pixels as 704 x 480 instead of 256 x 256; "
        "an image then takes about 6 times as long as without tiles"
    )
    assert describe_choice((90, 90), ONE) == "tiles: none, images of 90 x 90 pixels as 256 x 256"


def test_median_of_each_axis() -> None:
    assert median_size([(100, 50), (300, 70), (200, 60)]) == (200, 60)
