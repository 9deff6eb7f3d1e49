from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from realnet_edge.camera import View, ViewedSource, open_source
from realnet_edge.errors import ConfigError

IMAGE = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)


@pytest.mark.parametrize("rotate", [0, 90, 180, 270])
def test_the_region_is_cut_out_and_turned_clockwise(rotate: int) -> None:
    seen = View((1, 2, 3, 2), rotate)(IMAGE)
    expected = IMAGE[2:4, 1:4]
    for _ in range(rotate // 90):
        # Clockwise: the first column, read upwards, becomes the first row.
        expected = expected[::-1].transpose(1, 0, 2)
    np.testing.assert_array_equal(seen, expected)
    assert seen.flags.c_contiguous


@pytest.mark.parametrize(
    ("region", "rotate", "message"),
    [
        ((-1, 0, 2, 2), 0, "region -1,0,2,2: x and y must be at least 0"),
        ((0, 0, 0, 2), 0, "width and height at least 1"),
        (None, 45, "rotation 45: valid are 0, 90, 180, 270 degrees"),
    ],
)
def test_what_no_picture_can_be_seen_through_is_refused(
    region: tuple[int, int, int, int] | None, rotate: int, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        View(region, rotate)


def test_a_picture_that_the_region_does_not_lie_in_is_not_inspected(parts: Path) -> None:
    source = open_source(str(parts))
    height, width = next(iter(open_source(str(parts)).frames())).image.shape[:2]  # type: ignore[union-attr]
    said: list[str] = []
    frames = list(ViewedSource(source, View((1, 0, width, height)), said.append).frames())
    assert len(frames) > 1
    assert all(frame.image is None for frame in frames)
    # Every result says so, the terminal once.
    reason = f"region 1,0,{width},{height} does not lie in a picture of {width}x{height}"
    *whole, damaged = frames
    assert [frame.error for frame in whole] == [reason] * len(whole)
    assert "can be decoded" in str(damaged.error)
    assert said == [reason]
    inside = ViewedSource(open_source(str(parts)), View((1, 0, width - 1, height), 90))
    assert len(inside) == len(source)
    image = next(iter(inside.frames())).image
    assert image is not None
    assert image.shape == (width - 1, height, 3)
