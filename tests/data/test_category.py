from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from realnet_edge.data import category_folders, list_images, load_category
from realnet_edge.errors import ConfigError, DataError

Write = Callable[..., list[Path]]


def test_mvtec_layout(mvtec: Path) -> None:
    nut = load_category(mvtec, "nut")
    assert (nut.name, nut.root, nut.layout) == ("nut", mvtec / "nut", "mvtec")
    assert [path.name for path in nut.train] == [f"{i}.png" for i in range(40)]
    assert [sample.kind for sample in nut.test] == ["good"] * 5 + ["bent"] * 4 + ["cut"] * 3
    assert [sample.label for sample in nut.test] == [0] * 5 + [1] * 7
    assert nut.has_masks
    assert nut.test[0].mask is None
    assert nut.test[5].mask == mvtec / "nut" / "ground_truth" / "bent" / "0_mask.png"
    assert nut.relative(nut.train[3]) == "train/good/3.png"


def test_the_category_folder_itself_may_be_given(mvtec: Path) -> None:
    assert load_category(mvtec / "nut", "nut").root == mvtec / "nut"
    assert load_category(mvtec / "nut", "another-name").name == "another-name"


def test_mvtec_layout_without_test_or_masks(mvtec: Path) -> None:
    shutil.rmtree(mvtec / "nut" / "ground_truth")
    assert not load_category(mvtec, "nut").has_masks
    shutil.rmtree(mvtec / "nut" / "test")
    nut = load_category(mvtec, "nut")
    assert nut.test == ()
    assert not nut.has_masks
    assert len(nut.train) == 40


def test_real_screws(mvtec_root: Path) -> None:
    screw = load_category(mvtec_root, "screw")
    assert len(screw.train) == 320
    assert len(screw.defects) == 119
    assert len(screw.test) == 160
    assert screw.has_masks


def test_plain_folder_of_good_images_only(tmp_path: Path, write_images: Write) -> None:
    write_images(tmp_path / "bolt" / "good", 30)
    bolt = load_category(tmp_path, "bolt")
    assert (bolt.layout, len(bolt.train), bolt.test) == ("folder", 30, ())


def test_one_folder_of_images_is_a_category_for_who_names_it(tmp_path: Path, write_images: Write) -> None:
    folder = tmp_path / "bolt"
    write_images(folder, 30)
    bolt = load_category(tmp_path, "bolt")
    assert (bolt.root, bolt.layout, len(bolt.train), bolt.test) == (folder, "folder", 30, ())
    assert bolt.relative(bolt.train[0]) == "0.png"
    # Nobody looks for categories among folders of images.
    with pytest.raises(DataError, match="holds no category"):
        category_folders(tmp_path)
    write_images(folder / "defect", 3)
    write_images(tmp_path / "bolt" / "old" / "good", 2)
    bolt = load_category(tmp_path, "bolt")
    assert (len(bolt.train), len(bolt.defects), bolt.own_split) == (20, 3, True)
    # What a checkpoint records is this folder, and it is found there again.
    assert load_category(folder, "bolt") == bolt
    # With a folder of good ones, what lies beside it is no part of the category.
    write_images(folder / "good", 31)
    assert len(load_category(tmp_path, "bolt").train) == 21


@pytest.mark.parametrize(
    ("root", "category"),
    [
        ("parts", "blot"),
        ("parts/bolt", "blot"),
        ("parts/bolt", "defect"),
        ("parts/bolt", "masks"),
        ("parts/bolt/defect", "dent"),
        ("nut/test", "bent"),
        ("nut/test/bent", "bent"),
        ("nut/test/bent", "nut"),
        (".", "nut"),
    ],
)
def test_folders_of_other_images_are_no_categories(
    root: str, category: str, tmp_path: Path, write_images: Write
) -> None:
    """Stray images, a slip of the pen, defects, masks, and a copy without the images to train on."""
    for place in ("parts", "parts/bolt", "parts/bolt/defect/dent", "parts/bolt/defect", "parts/bolt/masks"):
        write_images(tmp_path / place, 2)
    write_images(tmp_path / "nut", 1)
    write_images(tmp_path / "nut/test/bent", 2)
    with pytest.raises(DataError, match="what is looked for"):
        load_category(tmp_path / root, category)
    shutil.rmtree(tmp_path / "parts/bolt/masks")
    assert len(load_category(tmp_path / "parts", "bolt").defects) == 4


def test_plain_folder_with_defects_sets_good_images_aside(tmp_path: Path, write_images: Write) -> None:
    write_images(tmp_path / "good", 400)
    write_images(tmp_path / "defect", 3)
    write_images(tmp_path / "defect" / "dent", 2)
    bolt = load_category(tmp_path, "bolt")
    good = [sample.path for sample in bolt.test if sample.label == 0]
    assert 60 <= len(good) <= 100
    assert set(good).isdisjoint(bolt.train)
    assert len(good) + len(bolt.train) == 400
    assert [sample.kind for sample in bolt.defects] == ["defect"] * 3 + ["dent"] * 2
    # Images added later leave every other one where it was.
    write_images(tmp_path / "good", 450)
    grown = load_category(tmp_path, "bolt")
    assert set(bolt.train) <= set(grown.train)
    assert set(bolt.test) <= set(grown.test)


@pytest.mark.parametrize(("count", "aside"), [(1, 0), (7, 3), (20, 10), (36, 10)])
def test_few_good_images_are_shared_fairly(
    tmp_path: Path, write_images: Write, count: int, aside: int
) -> None:
    write_images(tmp_path / "good", count)
    write_images(tmp_path / "defect", 1)
    bolt = load_category(tmp_path, "bolt")
    assert len(bolt.train) == count - aside


@pytest.mark.parametrize("ending", [".png", "_mask.png", "_mask.bmp", ".tif"])
def test_masks_of_plain_folders(tmp_path: Path, write_images: Write, write_masks: Write, ending: str) -> None:
    write_images(tmp_path / "good", 30)
    flat = write_images(tmp_path / "defect", 3)
    dent = write_images(tmp_path / "defect" / "dent", 2)
    flat_masks = write_masks(tmp_path / "masks", flat, ending)
    dent_masks = write_masks(tmp_path / "masks" / "dent", dent, ending)
    bolt = load_category(tmp_path, "bolt")
    assert bolt.has_masks
    assert [sample.mask for sample in bolt.defects] == [*flat_masks, *dent_masks]


def test_natural_order_and_what_counts_as_an_image(tmp_path: Path) -> None:
    for name in ("b10.PNG", "b9.png", "b09.jpg", "a.tiff", ".hidden.png", "._b9.png", "notes.txt"):
        (tmp_path / name).touch()
    (tmp_path / "folder.png").mkdir()
    assert [path.name for path in list_images(tmp_path)] == ["a.tiff", "b09.jpg", "b9.png", "b10.PNG"]
    assert list_images(tmp_path / "gone") == ()


def test_unknown_category_lists_those_there(mvtec: Path, write_images: Write) -> None:
    write_images(mvtec / "bolt" / "good", 1)
    (mvtec / "notes").mkdir()
    with pytest.raises(
        DataError, match=r"no category 'screw'.*there: bolt, nut; what is looked for"
    ) as caught:
        load_category(mvtec, "screw")
    assert "train/good" in str(caught.value)
    assert "ground_truth" in str(caught.value)


def test_missing_root(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone: no such folder\. Give the folder that holds 'nut'"):
        load_category(tmp_path / "gone", "nut")


def test_neither_layout(tmp_path: Path) -> None:
    (tmp_path / "nut" / "images").mkdir(parents=True)
    with pytest.raises(DataError, match=r"no known layout is there.*") as caught:
        load_category(tmp_path, "nut")
    assert "It holds: images/" in str(caught.value)


def test_no_images(tmp_path: Path) -> None:
    (tmp_path / "nut" / "good" / "monday").mkdir(parents=True)
    with pytest.raises(DataError, match=r"holds no image .*It holds: monday/\. .* not into subfolders"):
        load_category(tmp_path, "nut")


@pytest.mark.parametrize("name", ["", "..", "../nut", "a/b", "/etc"])
def test_names_that_lead_elsewhere(mvtec: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="not a plain name"):
        load_category(mvtec / "nut", name)


@pytest.mark.parametrize("name", ["train", "test", "ground_truth"])
def test_a_folder_inside_a_category_is_no_category(mvtec: Path, name: str) -> None:
    with pytest.raises(DataError, match=f"'{name}' is a folder inside it, no category. Give --category nut,"):
        load_category(mvtec / "nut", name)


def test_a_part_may_be_called_as_a_folder_that_is_not_there(tmp_path: Path, write_images: Write) -> None:
    write_images(tmp_path / "good", 30)
    with pytest.raises(DataError, match="'good' is a folder inside it"):
        load_category(tmp_path, "good")
    assert load_category(tmp_path, "masks").name == "masks"
