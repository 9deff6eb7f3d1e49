from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from realnet_edge.cli.main import cli


@pytest.fixture
def parts(tmp_path: Path) -> Path:
    """A folder with the category `nut`: 40 good images in a plain folder."""
    folder = tmp_path / "nut" / "good"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number in range(40):
        Image.fromarray(rng.integers(0, 256, (9, 9), np.uint8)).save(folder / f"{number}.png")
    return tmp_path


def test_check_shows_what_is_there(parts: Path) -> None:
    result = CliRunner().invoke(cli, ["data", "check", "--data", str(parts), "--category", "nut"])
    assert result.exit_code == 0
    assert result.stdout == ""
    for words in (
        "nut (folder layout)",
        "train good",
        "40",
        "split: held out",
        "9 x 9",
        "stored as L",
        "ready.",
    ):
        assert words in result.stderr
    assert "Warning: there is no defective image" in result.stderr


def test_check_json_is_one_document(parts: Path) -> None:
    result = CliRunner().invoke(cli, ["data", "check", "--data", str(parts), "--category", "nut", "--json"])
    document = json.loads(result.stdout)
    assert result.exit_code == 0
    assert document["ok"] is True
    assert document["counts"] == {"train good": 40}
    assert document["splits"] == {"train": 26, "held out": 9, "calibration": 5}


def test_images_that_are_shrunk_far_are_advised_to_be_cut(parts: Path) -> None:
    arguments = ["data", "check", "--data", str(parts), "--category", "nut"]
    assert "pixels are shrunk" not in CliRunner().invoke(cli, arguments).stderr
    _, rate = json.loads(CliRunner().invoke(cli, [*arguments, "--json"]).stdout)["advice"]
    assert rate.startswith("a threshold set on 9 held-out images guarantees a false-positive rate of 10.0%")
    for number in range(40):
        image = np.full((600, 900), 200, np.uint8)
        image[200:400, 300 + number : 500 + number] = 20
        Image.fromarray(image).save(parts / "nut" / "good" / f"{number}.png")
    stderr = CliRunner().invoke(cli, arguments).stderr
    assert "Advice: the images of 900 x 600 pixels are shrunk 3.5 times" in stderr
    assert "--tiles 2x3" in stderr
    assert "covers 7% of the image: cropping" in stderr
    lies, advice, _ = json.loads(CliRunner().invoke(cli, [*arguments, "--json"]).stdout)["advice"]
    assert (
        lies == "parts are not aligned: they have no main axis at 1.00 times as long as wide; 1.3 are needed"
    )
    assert f"Advice: {advice}" in stderr


def test_a_problem_is_named_and_exits_with_1(parts: Path) -> None:
    (parts / "nut" / "good" / "7.png").write_bytes(b"")
    arguments = ["data", "check", "--data", str(parts), "--category", "nut"]
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 1
    assert "Problem: " in result.stderr
    assert "7.png: the file is empty" in result.stderr
    assert "1 problem to mend" in result.stderr
    as_json = CliRunner().invoke(cli, [*arguments, "--json"])
    assert as_json.exit_code == 1
    assert "7.png" in json.loads(as_json.stdout)["problems"][0]


def test_a_missing_category_reads_the_same_way(parts: Path) -> None:
    arguments = ["data", "check", "--data", str(parts), "--category", "bolt"]
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 1
    assert "no category 'bolt'. Categories there: nut" in result.stderr
    as_json = CliRunner().invoke(cli, [*arguments, "--json"])
    assert as_json.exit_code == 1
    document = json.loads(as_json.stdout)
    assert document["ok"] is False
    assert "no category 'bolt'" in document["problems"][0]


@pytest.mark.skipif(
    importlib.util.find_spec("elpv_dataset") is None, reason="needs the Python package elpv-dataset"
)
def test_elpv_writes_both_kinds_once(tmp_path: Path) -> None:
    result = CliRunner().invoke(cli, ["data", "elpv", str(tmp_path), "--seed", "3", "--json"])
    assert result.exit_code == 0
    made = json.loads(result.stdout)
    assert [(entry["name"], entry["train_good"], entry["seed"]) for entry in made] == [
        ("elpv-mono", 300, 3),
        ("elpv-poly", 300, 3),
    ]
    assert "300 good to train, 100 good and 120 defective to test" in result.stderr
    again = CliRunner().invoke(cli, ["data", "elpv", str(tmp_path), "--seed", "3"])
    assert again.stderr.count("(was there already)") == 2
    check = CliRunner().invoke(cli, ["data", "check", "--data", str(tmp_path), "--category", "elpv-poly"])
    assert check.exit_code == 0
    first = CliRunner().invoke(cli, ["data", "elpv", str(tmp_path), "--in-order", "--json"])
    assert [entry["seed"] for entry in json.loads(first.stdout)] == [None, None]


def test_elpv_is_drawn_or_taken_in_order_not_both(tmp_path: Path) -> None:
    result = CliRunner().invoke(cli, ["data", "elpv", str(tmp_path), "--in-order", "--seed", "3"])
    assert result.exit_code == 2
    assert "give one of them" in result.stderr
    assert not list(tmp_path.iterdir())
