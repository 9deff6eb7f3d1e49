from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from realnet_edge.data import CategoryReport, examine, load_category

Write = Callable[..., list[Path]]


def examined(root: Path) -> CategoryReport:
    return examine(load_category(root, "nut"))


def test_a_sound_category(mvtec: Path) -> None:
    report = examined(mvtec)
    assert report.ok
    assert report.problems == report.warnings == ()
    assert report.counts == {"train good": 40, "test good": 5, "test bent": 4, "test cut": 3}
    assert report.masks == 7
    assert report.splits == {"train": 26, "held out": 9, "calibration": 5}
    assert report.sizes == {"16 x 12": 52}
    assert report.modes == {"L": 52}
    assert json.loads(json.dumps(report.to_dict()))["ok"] is True


def test_broken_images_masks_and_too_few_are_all_reported(mvtec: Path) -> None:
    nut = mvtec / "nut"
    for number in range(20):
        (nut / "train" / "good" / f"{number}.png").unlink()
    (nut / "train" / "good" / "30.png").write_bytes(b"")
    (nut / "test" / "cut" / "0.png").write_bytes(b"x")
    masks = nut / "ground_truth" / "bent"
    (masks / "0_mask.png").write_bytes(b"x")
    Image.new("L", (16, 12)).save(masks / "1_mask.png")
    Image.new("L", (12, 16), 255).save(masks / "2_mask.png")
    report = examined(mvtec)
    assert not report.ok
    expected = ["30.png", "cut/0.png", "0_mask.png", "1_mask.png", "2_mask.png", "needs at least 30"]
    assert len(report.problems) == len(expected)
    for words, problem in zip(expected, report.problems, strict=True):
        assert words in problem
    assert "no pixel is marked" in report.problems[3]
    assert "12 x 16 pixels, but its image 2.png has 16 x 12" in report.problems[4]
    assert report.splits == {}


def test_a_mask_of_another_resolution_is_fine(mvtec: Path) -> None:
    Image.new("L", (32, 24), 255).save(mvtec / "nut" / "ground_truth" / "bent" / "2_mask.png")
    assert examined(mvtec).ok


def test_leaks_and_duplicates_are_warnings(mvtec: Path) -> None:
    nut = mvtec / "nut"
    shutil.copy(nut / "train" / "good" / "1.png", nut / "test" / "good" / "2.png")
    shutil.copy(nut / "train" / "good" / "3.png", nut / "train" / "good" / "4.png")
    report = examined(mvtec)
    assert report.ok
    assert report.warnings == (
        "the same image is trained and tested on: train/good/1.png, test/good/2.png.",
        "the same image several times: train/good/3.png, train/good/4.png.",
    )


def test_unscaled_12_bit_frames_are_warned_of(mvtec: Path) -> None:
    frame = np.random.default_rng(0).integers(0, 4096, (12, 16)).astype(np.uint16)
    Image.fromarray(frame).save(mvtec / "nut" / "train" / "good" / "0.png")
    (warning,) = examined(mvtec).warnings
    assert warning.startswith("1 images are nearly black")
    assert "12-bit camera" in warning


def test_other_shapes_and_modes_are_warned_of(mvtec: Path, write_images: Write) -> None:
    write_images(mvtec / "nut" / "test" / "good", 1, size=(16, 16), mode="RGB")
    aspect, mode = examined(mvtec).warnings
    assert "aspect ratio" in aspect
    assert "stored as RGB, no training image is" in mode


@pytest.mark.parametrize(
    ("gone", "words"),
    [
        (["test", "ground_truth"], "no defective image"),
        (["test/good"], "no good test image"),
        (["ground_truth"], "no masks"),
    ],
)
def test_what_cannot_be_measured_is_said(mvtec: Path, gone: list[str], words: str) -> None:
    for folder in gone:
        shutil.rmtree(mvtec / "nut" / folder)
    report = examined(mvtec)
    assert report.ok
    (warning,) = report.warnings
    assert words in warning
