from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from realnet_edge.bench.testset import load_test_set, recorded_root, recorded_splits
from realnet_edge.data import Splits
from realnet_edge.errors import CheckpointError, ConfigError, DataError
from realnet_edge.files import write_json


def test_all_images_come_with_labels_and_masks(data_root: Path) -> None:
    test = load_test_set(data_root, "part")
    np.testing.assert_array_equal(test.labels, [0] * 8 + [1] * 8)
    assert test.names[8] == "square/008.png"
    masks = test.masks((24, 24))
    assert masks is not None
    assert masks.shape == (16, 24, 24)
    assert not masks[:8].any()
    assert all(mask.any() for mask in masks[8:])


@pytest.mark.parametrize(
    ("count", "good", "defects"), [(2, 1, 1), (3, 1, 2), (8, 4, 4), (15, 7, 8), (99, 8, 8)]
)
def test_a_part_keeps_both_classes_in_proportion(
    data_root: Path, count: int, good: int, defects: int
) -> None:
    labels = load_test_set(data_root, "part", count).labels
    assert (np.count_nonzero(labels == 0), np.count_nonzero(labels == 1)) == (good, defects)


def test_a_part_is_spread_over_all_images(data_root: Path) -> None:
    names = load_test_set(data_root, "part", 4).names
    assert names == ("good/000.png", "good/004.png", "square/008.png", "square/012.png")


def test_without_masks_there_are_none(data_root: Path) -> None:
    shutil.rmtree(data_root / "part" / "ground_truth")
    assert load_test_set(data_root, "part").masks((8, 8)) is None


def test_the_digest_follows_content_and_choice(data_root: Path) -> None:
    before = load_test_set(data_root, "part").digest()
    assert load_test_set(data_root, "part").digest() == before
    assert load_test_set(data_root, "part", 4).digest() != before
    Image.new("RGB", (64, 64)).save(data_root / "part/test/good/003.png")
    assert load_test_set(data_root, "part").digest() != before


def test_a_category_without_test_images_says_what_to_add(data_root: Path) -> None:
    shutil.rmtree(data_root / "part" / "test")
    shutil.rmtree(data_root / "part" / "ground_truth")
    with pytest.raises(DataError, match="no test images: add test/good"):
        load_test_set(data_root, "part")


def test_a_single_image_is_refused(data_root: Path) -> None:
    with pytest.raises(ConfigError, match="at least 2"):
        load_test_set(data_root, "part", 1)


def test_the_recorded_folder_is_found_and_missed(tmp_path: Path, data_root: Path) -> None:
    with pytest.raises(ConfigError, match="--data"):
        recorded_root(tmp_path / "checkpoint")
    record = tmp_path / "checkpoint" / "checkpoint.json"
    write_json(record, {"data": {"root": str(data_root / "part"), "layout": "mvtec"}})
    assert load_test_set(recorded_root(record.parent), "part").labels.size == 16
    write_json(record, {"data": {"root": str(tmp_path / "gone"), "layout": "mvtec"}})
    with pytest.raises(ConfigError, match="is gone"):
        recorded_root(record.parent)


def test_the_recorded_splits_are_checked_where_there_are_any(tmp_path: Path, data_root: Path) -> None:
    assert recorded_splits(tmp_path / "checkpoint") is None
    record = tmp_path / "checkpoint" / "checkpoint.json"
    # A training image that is not there: the machine may hold the test images alone.
    splits = Splits(("train/good/gone.png",), (), (), 0)
    write_json(record, {"splits": splits.to_dict()})
    assert recorded_splits(record.parent) == splits
    assert load_test_set(data_root, "part", splits=splits).labels.size == 16
    leaked = Splits(("train/good/000.png", "test/good/003.png"), (), (), 0)
    with pytest.raises(DataError, match=r"1 images that .* count as test images now:\n  test/good/003.png\n"):
        load_test_set(data_root, "part", splits=leaked)


@pytest.mark.parametrize("damaged", [{}, [], {"splits": None}, {"splits": {"train": []}}])
def test_a_record_without_splits_is_refused(tmp_path: Path, damaged: object) -> None:
    write_json(tmp_path / "checkpoint.json", damaged)
    with pytest.raises(CheckpointError, match="does not tell which images the model was trained with"):
        recorded_splits(tmp_path)
