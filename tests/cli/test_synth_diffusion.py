from __future__ import annotations

import json
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
    folder = root / "data" / "bolt" / "train" / "good"
    folder.mkdir(parents=True)
    for index in range(30):
        image = np.full((24, 24, 3), 210, np.uint8)
        image[4:20, 2 + index % 10 : 8 + index % 10] = 50
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
        assert sheet.size == (96 + 3 * 16 + 2 * 2, 2 * 16 + 2)


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
