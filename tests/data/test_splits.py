from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from realnet_edge.data import CategoryData, Splits, load_category, make_splits, refuse_leaks
from realnet_edge.data.splits import MIN_CALIBRATION, MIN_GOOD_IMAGES, MIN_HELD_OUT, MIN_TRAIN
from realnet_edge.errors import ConfigError, DataError

Write = Callable[..., list[Path]]
ROOT = Path("/parts/nut")
KNOWN_CALIBRATION = ("008", "010", "013", "026", "032", "038")


def category(count: int) -> CategoryData:
    train = tuple(ROOT / "train" / "good" / f"{number:03}.png" for number in range(count))
    return CategoryData("nut", ROOT, "mvtec", train, ())


def everything(splits: Splits) -> list[str]:
    return [*splits.train, *splits.held_out, *splits.calibration]


@pytest.mark.parametrize("count", [MIN_GOOD_IMAGES, 31, 100, 320])
def test_parts_are_disjoint_and_complete(count: int) -> None:
    splits = make_splits(category(count), seed=0)
    names = everything(splits)
    assert sorted(names) == [f"train/good/{number:03}.png" for number in range(count)]
    assert len(splits.train) >= MIN_TRAIN
    assert len(splits.held_out) == max(MIN_HELD_OUT, round(0.2 * count))
    assert len(splits.calibration) == max(MIN_CALIBRATION, round(0.1 * count))


def test_the_same_whatever_the_order_of_the_files_and_the_place_of_the_folder() -> None:
    first = category(100)
    shuffled = dataclasses.replace(first, train=first.train[::-1])
    moved = dataclasses.replace(
        first, root=Path("/x"), train=tuple(Path("/x") / p.relative_to(ROOT) for p in first.train)
    )
    assert make_splits(first, 3) == make_splits(shuffled, 3) == make_splits(moved, 3)


def test_a_known_split_stays_what_it_is() -> None:
    # Recorded splits must mean the same in every version: these names are fixed for good.
    splits = make_splits(category(40), seed=7, held_out=0.3, calibration=0.15)
    assert splits.calibration == tuple(f"train/good/{n}.png" for n in KNOWN_CALIBRATION)
    assert len(splits.held_out) == 12


def test_seeds_differ() -> None:
    assert make_splits(category(100), 0).held_out != make_splits(category(100), 1).held_out


def test_too_few_images() -> None:
    with pytest.raises(DataError, match=rf"nut needs at least {MIN_GOOD_IMAGES} good images .*, found 29 in"):
        make_splits(category(MIN_GOOD_IMAGES - 1), 0)
    with pytest.raises(DataError, match="found 0"):
        make_splits(category(0), 0)
    with pytest.raises(DataError, match=r"the shares leave 8 of 40 good images .*Lower the shares"):
        make_splits(category(40), 0, held_out=0.4, calibration=0.4)


@pytest.mark.parametrize(
    "shares", [(0, 0.1), (0.2, 0), (1, 0.1), (0.5, 0.5), (-0.1, 0.1), (float("nan"), 0.1)]
)
def test_impossible_shares(shares: tuple[float, float]) -> None:
    with pytest.raises(ConfigError, match="between 0 and 1"):
        make_splits(category(100), 0, *shares)


def test_json_round_trip() -> None:
    splits = make_splits(category(50), 5)
    assert Splits.from_dict(json.loads(json.dumps(splits.to_dict()))) == splits


def test_paths() -> None:
    splits = Splits(("a/1.png",), ("a/2.png",), (), 0)
    assert splits.paths(Path("/x"), "train") == (Path("/x/a/1.png"),)
    assert splits.paths(Path("/x"), "held_out") == (Path("/x/a/2.png"),)
    assert splits.paths(Path("/x"), "calibration") == ()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"train": ["a.png", "b.png"], "held_out": ["a.png"]}, r"twice:\n  a\.png$"),
        ({"train": ["/etc/passwd"]}, "outside the category"),
        ({"train": ["a/../../b.png"]}, "outside the category"),
        ({"train": "a.png"}, "three lists"),
        ({"train": [1]}, "three lists"),
        ({"seed": 1.5}, "whole number"),
        ({"seed": True}, "whole number"),
        ({"more": 1}, "expected"),
    ],
)
def test_damaged_documents(change: dict[str, Any], message: str) -> None:
    document = {"train": [], "held_out": [], "calibration": [], "seed": 0}
    Splits.from_dict(document)
    with pytest.raises(DataError, match=message):
        Splits.from_dict({**document, **change})
    del document["seed"]
    with pytest.raises(DataError, match="expected"):
        Splits.from_dict(document)


def test_training_images_that_are_gone_are_no_leak(mvtec: Path) -> None:
    splits = make_splits(load_category(mvtec, "nut"), 0)
    for name in ("3.png", "7.png"):
        (mvtec / "nut" / "train" / "good" / name).unlink()
    refuse_leaks(splits, load_category(mvtec, "nut"))


def test_training_images_that_became_test_images_are_refused(tmp_path: Path, write_images: Write) -> None:
    write_images(tmp_path / "good", 60)
    before = load_category(tmp_path, "bolt")
    splits = make_splits(before, 0)
    refuse_leaks(splits, before)
    # With the first defects, some of the good images are tested on.
    write_images(tmp_path / "defect", 3)
    with pytest.raises(DataError, match=r"count as test images now:\n  good/.*\n(.*\n)*Train again"):
        refuse_leaks(splits, load_category(tmp_path, "bolt"))


def test_test_images_are_never_in_a_split(mvtec_root: Path) -> None:
    screw = load_category(mvtec_root, "screw")
    names = set(everything(make_splits(screw, 0)))
    assert len(names) == 320
    assert names.isdisjoint(screw.relative(sample.path) for sample in screw.test)
