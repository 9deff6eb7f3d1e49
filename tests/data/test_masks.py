from __future__ import annotations

from pathlib import Path

import pytest

from realnet_edge.data import load_category
from realnet_edge.errors import DataError


def test_missing_masks_are_listed(mvtec: Path) -> None:
    (mvtec / "nut" / "ground_truth" / "bent" / "2_mask.png").unlink()
    (mvtec / "nut" / "ground_truth" / "cut" / "0_mask.png").unlink()
    with pytest.raises(DataError, match=r"2 of 7 defects have no mask .*bent/2\.png, cut/0\.png\."):
        load_category(mvtec, "nut")


@pytest.mark.parametrize("stray", ["cut/9_mask.png", "cut/1_mask.jpg", "0_mask.png", "bend/0_mask.png"])
def test_masks_without_an_image_are_listed(mvtec: Path, stray: str) -> None:
    path = mvtec / "nut" / "ground_truth" / stray
    path.parent.mkdir(exist_ok=True)
    path.touch()
    with pytest.raises(DataError, match=rf"1 files in .* match no defective image: \S*{path.name}\."):
        load_category(mvtec, "nut")


def test_what_is_no_mask_is_left_alone(mvtec: Path) -> None:
    masks = mvtec / "nut" / "ground_truth"
    (masks / "good").mkdir()
    for name in ("good/0_mask.png", "readme.txt", "cut/.hidden.png"):
        (masks / name).touch()
    assert load_category(mvtec, "nut").has_masks


def test_two_masks_of_one_image(mvtec: Path) -> None:
    (mvtec / "nut" / "ground_truth" / "cut" / "1.png").touch()
    with pytest.raises(DataError, match=r"1\.png has several masks: .*1_mask\.png, .*1\.png\. Keep one"):
        load_category(mvtec, "nut")


def test_two_images_of_one_mask(mvtec: Path) -> None:
    (mvtec / "nut" / "test" / "cut" / "1.jpg").touch()
    with pytest.raises(DataError, match=r"1_mask\.png would be the mask of both .*: rename one"):
        load_category(mvtec, "nut")


def test_long_lists_are_cut(mvtec: Path) -> None:
    for number in range(30):
        (mvtec / "nut" / "ground_truth" / "cut" / f"x{number:02}.png").touch()
    with pytest.raises(DataError, match=r"^30 files .*cut/x19\.png and 10 more\."):
        load_category(mvtec, "nut")
