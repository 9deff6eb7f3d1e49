from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from realnet_edge.data import load_category, make_splits
from realnet_edge.imaging import load_mask

Copy = Callable[..., Path]
COUNTS = (40, 5, 4)


@pytest.mark.parametrize(
    ("layout", "category", "kind", "train", "mask"),
    [
        ("mvtec", "nut", "bad", "train/good/007.png", "ground_truth/bad/002_mask.png"),
        (
            "mvtec2",
            "vial",
            "bad",
            "train/good/007_regular.png",
            "test_public/ground_truth/bad/002_overexposed_mask.png",
        ),
        ("btad", "01", "ko", "train/ok/0007.bmp", "ground_truth/ko/0002.png"),
        ("visa", "pcb1", "anomaly", "Data/Images/Normal/0007.JPG", "Data/Masks/Anomaly/002.png"),
    ],
)
def test_each_layout_gives_the_same_category(
    tmp_path: Path, published_copy: Copy, layout: str, category: str, kind: str, train: str, mask: str
) -> None:
    folder = published_copy(tmp_path, layout, category, COUNTS)
    for root in (tmp_path, folder):
        loaded = load_category(root, category)
        assert loaded.layout == layout
        assert loaded.root == folder
        assert (len(loaded.train), len(loaded.test), len(loaded.defects)) == (40, 9, 4)
        assert [sample.kind for sample in loaded.test] == ["good"] * 5 + [kind] * 4
        assert [sample.label for sample in loaded.test] == [0] * 5 + [1] * 4
        assert loaded.relative(loaded.train[7]) == train
        assert loaded.defects[2].mask == folder / mask
        assert not loaded.own_split
        assert set(loaded.train).isdisjoint(sample.path for sample in loaded.test)
    # Class numbers are small; any above 0 is defect.
    marked = load_mask(folder / mask)
    assert marked.sum() == 16
    assert marked[:4, :4].all()


@pytest.mark.parametrize("layout", ["mvtec2", "btad", "visa"])
def test_splits_are_disjoint_and_the_same_wherever_the_folder_lies(
    tmp_path: Path, published_copy: Copy, layout: str
) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    first.mkdir()
    second.mkdir()
    splits = []
    for root in (first, second):
        published_copy(root, layout, "part", COUNTS)
        category = load_category(root, "part")
        splits.append(make_splits(category, 0))
        tested = {category.relative(sample.path) for sample in category.test}
        assert tested.isdisjoint([*splits[-1].train, *splits[-1].held_out, *splits[-1].calibration])
    assert splits[0] == splits[1]
    assert len(splits[0].train) + len(splits[0].held_out) + len(splits[0].calibration) == 40


def test_validation_images_of_mvtec_ad_2_are_good_images_to_train_on(
    tmp_path: Path, published_copy: Copy
) -> None:
    folder = published_copy(tmp_path, "mvtec2", "vial", COUNTS)
    for number in range(6):
        path = folder / "validation" / "good" / f"{number:03}_regular.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8), number).save(path)
    for private in ("test_private", "test_private_mixed"):
        (folder / private).mkdir()
        Image.new("L", (8, 8)).save(folder / private / "000_regular.png")
    vial = load_category(tmp_path, "vial")
    assert len(vial.train) == 46
    # The same name lies in both folders; neither may hide the other in a split.
    names = {vial.relative(path) for path in vial.train}
    assert {"train/good/003_regular.png", "validation/good/003_regular.png"} <= names
    splits = make_splits(vial, 0)
    assert {*splits.train, *splits.held_out, *splits.calibration} == names
    assert len(vial.test) == 9


def test_suffixes_may_be_mixed_and_masks_of_good_images_say_nothing(
    tmp_path: Path, published_copy: Copy
) -> None:
    folder = published_copy(tmp_path, "btad", "03", COUNTS)
    Image.new("L", (8, 8), 9).save(folder / "train" / "ok" / "0040.png")
    (folder / "ground_truth" / "ko" / "0001.png").rename(folder / "ground_truth" / "ko" / "0001.bmp")
    (folder / "ground_truth" / "ok").mkdir()
    Image.new("L", (8, 8)).save(folder / "ground_truth" / "ok" / "0000.png")
    loaded = load_category(tmp_path, "03")
    assert len(loaded.train) == 41
    assert loaded.has_masks


def test_a_folder_called_good_among_ok_and_ko_is_not_a_defect(tmp_path: Path, published_copy: Copy) -> None:
    folder = published_copy(tmp_path, "btad", "bolt", COUNTS)
    (folder / "test" / "good").mkdir()
    Image.new("L", (8, 8), 9).save(folder / "test" / "good" / "0.png")
    assert [sample.label for sample in load_category(tmp_path, "bolt").test] == [0] * 6 + [1] * 4


def test_the_copy_of_visa_in_mvtec_layout_lies_a_folder_deeper(tmp_path: Path, published_copy: Copy) -> None:
    folder = published_copy(tmp_path / "1cls", "mvtec", "pcb1", COUNTS)
    assert load_category(tmp_path, "pcb1").root == folder
