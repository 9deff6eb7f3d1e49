from __future__ import annotations

import json
import shutil
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from realnet_edge.cli.main import cli

SMALL = (
    "--image-size",
    "16",
    "--patch",
    "2",
    "--width",
    "16",
    "--multipliers",
    "1,2",
    "--attention",
    "4",
    "--head-width",
    "16",
    "--groups",
    "4",
    "--steps",
    "4",
    "--batch",
    "4",
    "--save-every",
    "2",
    "--threads",
    "1",
    "--device",
    "cpu",
    "--precision",
    "fp32",
)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with a diffusion model of bolts, trained by the command."""
    root = tmp_path_factory.mktemp("place")
    for name, level in (("bolt", 50), ("nut", 130)):
        folder = root / "data" / name / "train" / "good"
        folder.mkdir(parents=True)
        for index in range(30):
            image = np.full((24, 24, 3), 210, np.uint8)
            image[4:20, 2 + index % 10 : 8 + index % 10] = level
            image[0, 0] = index
            Image.fromarray(image).save(folder / f"{index:03d}.png")
    common = ("synth", "train", "--data", root / "data", "--category", "bolt", "--workspace", root / "ws")
    result = run(*common, *SMALL, "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["training"]["steps"] == 4
    for told in ("30 good images, 16 of them", "fewer than about 150", "4 steps take about", "noise"):
        assert told in result.stderr
    return root


def test_sample_writes_a_folder_that_training_takes(place: Path) -> None:
    command = ("synth", "sample", "--category", "bolt", "--workspace", place / "ws", "--steps", "3")
    first = run(*command, "--count", 3, "--batch", 2, "--json")
    assert first.exit_code == 0, first.output
    document = json.loads(first.stdout)
    assert (document["made"], document["settings"]["strength"]) == (3, [0.1, 0.2])
    assert document["images_per_second"] > 0
    again = run(*command, "--count", 5, "--batch", 2, "--json")
    assert json.loads(again.stdout)["made"] == 2
    other = run(*command, "--count", 5, "--strength", "0.3")
    assert other.exit_code == 1
    assert "strength was [0.1, 0.2], is [0.3, 0.3]" in other.stderr
    sheet = run(
        "synth", "preview", "--data", place / "data", "--category", "bolt", "--size", 32, "--images", 1,
        "--source", f"sia={place / 'ws' / 'bolt' / 'sia'}", "--out", place / "sheet.png",
    )  # fmt: skip
    assert sheet.exit_code == 0, sheet.output


def test_strengths_makes_a_row_each(place: Path) -> None:
    result = run(
        "synth", "strengths", "--category", "bolt", "--workspace", place / "ws", "--steps", 2, "--columns", 3,
        "--strengths", "0,0.5", "--out", place / "strengths.png",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    with Image.open(place / "strengths.png") as sheet:
        assert sheet.size == (96 + 3 * 128 + 2 * 2, 2 * 128 + 2)


def test_without_a_model_the_command_that_makes_one_is_named(tmp_path: Path) -> None:
    result = run("synth", "sample", "--category", "bolt", "--workspace", tmp_path, "--count", 1)
    assert result.exit_code == 1
    assert "realnet-edge synth train --data DIR --category bolt" in result.stderr


@pytest.mark.parametrize("strength", ["x", "0.1:y", "0.2:0.1"])
def test_a_strength_that_is_none_is_a_usage_error(place: Path, strength: str) -> None:
    result = run(
        "synth",
        "sample",
        "--category",
        "bolt",
        "--workspace",
        place / "ws",
        "--count",
        1,
        "--strength",
        strength,
    )
    assert result.exit_code == 2


@pytest.fixture(scope="module")
def guided(place: Path) -> Path:
    """The same workspace with a classifier of bolts and nuts, trained by the command."""
    result = run(
        "synth", "classifier", "--data", place / "data", "--workspace", place / "ws", *SMALL, "--json"
    )
    assert result.exit_code == 0, result.output
    training = json.loads(result.stdout)["training"]
    assert (training["steps"], training["images"]) == (4, 42)
    assert set(training["history"][0]) > {"cross_entropy", "accuracy", "accuracy_0_249", "accuracy_750_999"}
    for told in ("60 good images of bolt, nut, 42 of them", "right on 6 unseen images", "--guidance 1"):
        assert told in result.stderr
    return place


def sample(place: Path, out: Path, *more: object) -> Result:
    return run(
        "synth", "sample", "--category", "bolt", "--workspace", place / "ws", "--steps", 3, "--count", 2,
        "--out", out, "--json", *more,
    )  # fmt: skip


def test_guided_images_name_their_classifier(guided: Path, tmp_path: Path) -> None:
    result = sample(guided, tmp_path / "sia", "--guidance", "50")
    assert result.exit_code == 0, result.output
    settings = json.loads((tmp_path / "sia" / "manifest.json").read_text())
    weights = guided / "ws" / "all" / "classifier" / "checkpoint" / "classifier.safetensors"
    assert settings["classifier_sha256"] == sha256(weights.read_bytes()).hexdigest()
    assert settings["guidance"] == json.loads(result.stdout)["settings"]["guidance"] == 50.0
    other = sample(guided, tmp_path / "sia")
    assert other.exit_code == 1
    assert "guidance was 50.0, is 0.0" in other.stderr


def test_guidance_of_0_is_none_to_the_bit(guided: Path, tmp_path: Path) -> None:
    found = []
    for name, more in (("plain", ()), ("zero", ("--guidance", "0")), ("guided", ("--guidance", "50"))):
        assert sample(guided, tmp_path / name, *more).exit_code == 0
        found.append((tmp_path / name / "00000" / "000001.png").read_bytes())
    assert found[0] == found[1] != found[2]
    assert json.loads((tmp_path / "zero" / "manifest.json").read_text())["classifier_sha256"] == ""


def test_strengths_can_be_guided(guided: Path, tmp_path: Path) -> None:
    sheets = []
    for scale in ("0", "50"):
        result = run(
            "synth", "strengths", "--category", "bolt", "--workspace", guided / "ws", "--steps", 2,
            "--columns", 2, "--strengths", "0", "--guidance", scale, "--out", tmp_path / f"{scale}.png",
        )  # fmt: skip
        assert result.exit_code == 0, result.output
        sheets.append((tmp_path / f"{scale}.png").read_bytes())
    assert sheets[0] != sheets[1]


def test_guidance_without_a_classifier_names_the_command(place: Path, tmp_path: Path) -> None:
    shutil.copytree(place / "ws" / "bolt" / "diffusion", tmp_path / "ws" / "bolt" / "diffusion")
    result = sample(tmp_path, tmp_path / "sia", "--guidance", "1")
    assert result.exit_code == 1
    assert "realnet-edge synth classifier --data DIR" in result.stderr
    assert not (tmp_path / "sia").exists()


def test_guidance_away_from_the_category_is_refused(guided: Path, tmp_path: Path) -> None:
    result = sample(guided, tmp_path / "sia", "--guidance", "-1")
    assert result.exit_code == 2
    assert "guidance is -1.0; valid: a scale of 0 or more" in result.stderr


def test_a_classifier_says_what_it_needs(place: Path, tmp_path: Path) -> None:
    command = ("synth", "classifier", "--data", place / "data", "--workspace", tmp_path, *SMALL)
    one = run(*command, "--category", "bolt")
    assert one.exit_code == 1
    assert "bolt is the only one here" in one.stderr
    both = run(*command, "--resume", "--overwrite")
    assert "contradict each other" in both.stderr
    estimate = run(*command, "--category", "nut,bolt", "--estimate")
    assert estimate.exit_code == 0, estimate.output
    for told in ("of nut, bolt, 42 of them", "4 steps take about", "without the accuracy on unseen images"):
        assert told in estimate.stderr
    assert list(tmp_path.iterdir()) == []
