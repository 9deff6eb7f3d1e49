from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from realnet_edge.data import DATA_SETS, examine, examine_all, load_category
from realnet_edge.errors import DataError

Copy = Callable[..., Path]


def test_all_categories_are_examined_and_missing_ones_named(tmp_path: Path, published_copy: Copy) -> None:
    for name in ("connector", "metal_plate"):
        entry = DATA_SETS["mpdd"].categories[name]
        published_copy(
            tmp_path, "mvtec", name, (entry.train, entry.test_good, entry.defects), tuple(sorted(entry.kinds))
        )
    published_copy(tmp_path, "btad", "bolt", (40, 5, 4))
    (tmp_path / "notes").mkdir()
    seen: list[str] = []
    found = examine_all(tmp_path, progress=seen.append)
    assert seen == [report.category for report in found.categories] == ["bolt", "connector", "metal_plate"]
    assert [report.complete for report in found.categories] == [None, True, True]
    assert found.missing == {"mpdd": ("bracket_black", "bracket_brown", "bracket_white", "tubes")}
    assert "4 of the 6 categories of MPDD are not in" in found.warnings[0]
    assert found.ok
    document = json.loads(json.dumps(found.to_dict()))
    assert document["categories"][1]["expected"] == {"train good": 128, "test good": 30, "defects": 14}
    assert document["categories"][1]["foreground"] == "mpdd/connector"
    assert document["categories"][0]["foreground"] is None


def test_a_category_that_cannot_be_listed_is_reported_beside_the_others(
    tmp_path: Path, published_copy: Copy
) -> None:
    published_copy(tmp_path, "btad", "bolt", (40, 5, 4))
    (tmp_path / "nut" / "train" / "good").mkdir(parents=True)
    shutil.copytree(tmp_path / "bolt", tmp_path / "my part")
    found = examine_all(tmp_path)
    assert [report.category for report in found.categories] == ["bolt", "my part", "nut"]
    assert [report.ok for report in found.categories] == [True, False, False]
    assert "not a plain name" in found.categories[1].problems[0]
    assert "holds no image" in found.categories[2].problems[0]
    assert [category.name for category in found.usable] == ["bolt"]
    assert not found.ok


def test_a_categorys_own_folder_is_one_category(tmp_path: Path, published_copy: Copy) -> None:
    folder = published_copy(tmp_path, "visa", "pcb1", (40, 5, 4))
    for root in (folder, tmp_path):
        (report,) = examine_all(root).categories
        assert (report.category, report.layout, report.data_set) == ("pcb1", "visa", "visa")


def test_no_category_says_what_is_looked_for(tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    with pytest.raises(DataError, match=r"holds no category; what is looked for") as caught:
        examine_all(tmp_path)
    assert "It holds: notes/" in str(caught.value)
    with pytest.raises(DataError, match="no such folder"):
        examine_all(tmp_path / "gone")


def test_empty_masks_as_published_are_a_warning_and_further_ones_a_problem(
    tmp_path: Path, published_copy: Copy
) -> None:
    folder = published_copy(tmp_path, "btad", "02", (399, 30, 200))
    masks = folder / "ground_truth" / "ko"
    Image.new("L", (8, 8)).save(masks / "0003.png")
    report = examine(load_category(tmp_path, "02"))
    assert report.ok
    assert any("0003.png: no pixel is marked" in warning for warning in report.warnings)
    Image.new("L", (8, 8)).save(masks / "0004.png")
    report = examine(load_category(tmp_path, "02"))
    assert len(report.problems) == 2
    assert all("no pixel is marked" in problem for problem in report.problems)


def test_a_partial_copy_is_ready_but_not_complete(tmp_path: Path, published_copy: Copy) -> None:
    published_copy(tmp_path, "mvtec2", "vial", (40, 35, 105))
    report = examine(load_category(tmp_path, "vial"))
    assert report.ok
    assert report.complete is False
    assert report.found == {"train good": 40, "test good": 35, "defects": 105}
    assert report.expected == {"train good": 332, "test good": 35, "defects": 105}
    assert "40 of 332 train good." in report.warnings[0]
