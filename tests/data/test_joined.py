"""All categories of a folder as one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from realnet_edge.data import load_category, make_splits
from realnet_edge.errors import DataError


@pytest.fixture
def two(tmp_path: Path, published_copy: Callable[..., Path]) -> Path:
    """Two categories of MPDD, so small that neither is recognised."""
    published_copy(tmp_path, "mpdd", "tubes", (30, 4, 5))
    published_copy(tmp_path, "mpdd", "metal_plate", (40, 3, 6))
    return tmp_path


def test_it_holds_what_its_parts_hold(two: Path) -> None:
    joined = load_category(two, "all")
    parts = [load_category(two, name) for name in ("metal_plate", "tubes")]
    assert (joined.name, joined.layout, joined.root) == ("all", "joined", two)
    assert [part.name for part in joined.parts] == ["metal_plate", "tubes"]
    assert joined.singles == joined.parts
    assert parts[0].singles == (parts[0],)
    assert set(joined.train) == {path for part in parts for path in part.train}
    assert {s.path for s in joined.test} == {s.path for part in parts for s in part.test}
    assert [s.label for s in joined.test] == [0] * 7 + [1] * 11
    for sample in joined.test:
        assert sample.category in sample.path.parts
        assert sample.kind.startswith(f"{sample.category}/")
    assert joined.has_masks == all(part.has_masks for part in parts)
    splits = make_splits(joined, 0)
    assert all(name.startswith(("metal_plate/", "tubes/")) for name in splits.train)
    assert len(splits.train) + len(splits.held_out) + len(splits.calibration) == 70


def test_a_category_of_that_name_is_itself(two: Path) -> None:
    (two / "tubes").rename(two / "all")
    assert load_category(two, "all").layout == "mvtec"
    assert load_category(two / "all", "all").layout == "mvtec"


def test_one_category_is_nothing_to_join(tmp_path: Path, published_copy: Callable[..., Path]) -> None:
    published_copy(tmp_path, "mpdd", "tubes", (30, 4, 5))
    with pytest.raises(DataError, match="there is here: tubes"):
        load_category(tmp_path, "all")
