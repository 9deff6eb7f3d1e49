"""In which order image files come, and which of them stand for all."""

from __future__ import annotations

from pathlib import Path

import pytest

from realnet_edge.imaging import evenly_spread, natural_key


def test_natural_order_counts_runs_of_decimal_digits_alone() -> None:
    # A superscript is a digit to Unicode, but no number to int().
    names = ["a/1²3.png", "a/10.png", "b/0.png", "a/B2.png", "a/9.png", "a/b10.png", "a/09.png"]
    assert sorted(map(Path, names), key=natural_key) == [
        Path(name)
        for name in ("a/1²3.png", "a/09.png", "a/9.png", "a/10.png", "a/B2.png", "a/b10.png", "b/0.png")
    ]


@pytest.mark.parametrize(
    ("length", "count", "expected"),
    [(0, 3, []), (2, 5, [0, 1]), (5, 5, [0, 1, 2, 3, 4]), (9, 3, [0, 4, 8]), (100, 1, [0])],
)
def test_evenly_spread_takes_both_ends_and_no_position_twice(
    length: int, count: int, expected: list[int]
) -> None:
    assert evenly_spread(length, count) == expected
