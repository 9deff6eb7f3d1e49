"""`realnet-edge synth quality` from folders of pictures to figures, JSON and a picture."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from realnet_edge.cli.main import cli


def write(folder: Path, pictures: list[np.ndarray]) -> None:
    folder.mkdir(parents=True)
    for number, picture in enumerate(pictures):
        Image.fromarray(picture).save(folder / f"{number:02d}.png")


def bars(count: int, seed: int, defect: int = 0) -> list[np.ndarray]:
    """Dark squares on a bright ground, each elsewhere, with a white dot of so many pixels."""
    rng = np.random.default_rng(seed)
    pictures = []
    for _ in range(count):
        picture = np.full((64, 64, 3), 200, np.uint8)
        top, left = rng.integers(0, 32, 2)
        picture[top : top + 30, left : left + 30] = 50
        picture[top + 8 : top + 8 + defect, left + 8 : left + 8 + defect] = 255
        pictures.append(picture)
    return pictures


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A category `bolt` of twelve good images to train, two to test, and eight defects."""
    write(tmp_path / "data/bolt/train/good", bars(12, 0))
    write(tmp_path / "data/bolt/test/good", bars(2, 1))
    write(tmp_path / "data/bolt/test/dot", bars(8, 2, defect=12))
    return tmp_path / "data"


def quality(data: Path, *more: str) -> Result:
    arguments = ["synth", "quality", "--data", str(data), "--category", "bolt", "--size", "64"]
    return CliRunner().invoke(cli, [*arguments, *more])


def test_samples_like_the_defects_are_told_from_others(data: Path, tmp_path: Path) -> None:
    write(tmp_path / "alike/deeper", bars(8, 3, defect=12))
    write(tmp_path / "copied", bars(12, 0))
    found = {}
    for name in ("alike", "copied"):
        out = tmp_path / f"{name}.png"
        result = quality(data, "--samples", str(tmp_path / name), "--out", str(out), "--json")
        assert result.exit_code == 0, result.output
        found[name] = json.loads(result.stdout)
        assert f"Wrote {out}" in result.stderr
        with Image.open(out) as sheet:
            assert sheet.size[0] == 3 * 192 + 2 * 6
    assert found["alike"]["frechet"] < found["copied"]["frechet"]
    # The copies are the training images, so they are as far from the defects as these.
    assert found["copied"]["frechet"] == pytest.approx(found["copied"]["frechet_training"])
    assert found["copied"]["nearest_training"]["share"] == 1.0
    assert found["alike"]["nearest_training"]["share"] == 0.0
    assert (found["alike"]["samples"], found["alike"]["reference"], found["alike"]["training"]) == (8, 8, 12)
    assert not found["alike"]["official_frechet"]
    assert "stand-in" in found["alike"]["features"]


def test_a_source_is_measured_without_a_folder(data: Path) -> None:
    result = quality(data, "--source", "cutpaste", "--count", "7", "--against", "normals", "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert (found["samples"], found["reference"], found["against"]) == (7, 12, "normals")
    assert found["frechet_training"] == pytest.approx(0.0, abs=1e-6)
    assert found["frechet"] > 0.0
    assert "7 samples against 12 normals" in result.stderr


@pytest.mark.parametrize(
    ("more", "code", "named"),
    [
        ((), 2, "either --samples FOLDER or --source"),
        (("--source", "paches"), 2, "paches"),
        (("--source", "nsa", "--out", "pairs.pdf"), 2, ".png"),
    ],
)
def test_mistakes_are_named(data: Path, more: tuple[str, ...], code: int, named: str) -> None:
    result = quality(data, *more)
    assert result.exit_code == code
    assert named in result.stderr


def test_folders_without_what_is_needed_are_named(data: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "holds no images" in quality(data, "--samples", str(tmp_path / "empty")).stderr
    write(tmp_path / "normal/bolt/train/good", bars(4, 0))
    result = quality(tmp_path / "normal", "--source", "nsa")
    assert result.exit_code == 1
    assert "--against normals" in result.stderr
