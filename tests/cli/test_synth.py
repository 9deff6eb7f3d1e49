from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from realnet_edge.cli.main import cli
from realnet_edge.config import DEFAULT_SOURCE
from realnet_edge.synthesis import PRESETS


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A category `bolt` of ten dark bars on a bright ground."""
    folder = tmp_path / "data" / "bolt" / "train" / "good"
    folder.mkdir(parents=True)
    for index in range(10):
        image = np.full((80, 100, 3), 210, np.uint8)
        image[20:60, 20 + index : 60 + index] = 50
        Image.fromarray(image).save(folder / f"{index:03d}.png")
    return tmp_path / "data"


def preview(data: Path, out: Path, *more: str) -> Result:
    arguments = [
        "synth",
        "preview",
        "--data",
        str(data),
        "--category",
        "bolt",
        "--out",
        str(out),
        "--size",
        "64",
    ]
    return CliRunner().invoke(cli, [*arguments, *more])


def test_preview_writes_a_sheet_and_says_what_it_chose(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "sheets" / "bolt.png"
    result = preview(data, out, "--images", "4", "--json")
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert document["foreground"]["polarity"] == "dark"
    assert document["sources"] == ["patches", "bends", "chips", "cutpaste", "scratches", "nsa"]
    assert document["images"] == 4
    assert "separability" in result.stderr
    with Image.open(out) as sheet:
        assert sheet.size == (6 * 64 + 5 * 6, 24 + 6 * (24 + 4 * 64 + 3 * 6))
    assert list(out.parent.iterdir()) == [out]


def test_the_seed_decides_the_sheet(data: Path, tmp_path: Path) -> None:
    sheets = []
    for index, seed in enumerate(("1", "1", "2")):
        out = tmp_path / f"{index}.png"
        assert (
            preview(data, out, "--seed", seed, "--source", DEFAULT_SOURCE, "--foreground", "whole").exit_code
            == 0
        )
        sheets.append(out.read_bytes())
    assert sheets[0] == sheets[1]
    assert sheets[0] != sheets[2]


def test_sources_can_be_given_one_by_one(data: Path, tmp_path: Path) -> None:
    more = ("--source", "nsa:0.5", "--source", "cutpaste=scar,scratches:2", "--json")
    result = preview(data, tmp_path / "sheet.png", *more)
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["sources"] == ["nsa", "cutpaste=scar", "scratches"]


@pytest.mark.parametrize(
    ("tiles", "expected", "overlap"), [("1x2", [1, 2], 8), ("auto", [1, 2], 8), ("1x1", [1, 1], 0)]
)
def test_tiles_are_shown_in_place_of_images(
    data: Path, tmp_path: Path, tiles: str, expected: list[int], overlap: int
) -> None:
    # Images of 80 x 100 pixels (height x width) on tiles of 64: two of them keep the width.
    result = preview(data, tmp_path / "sheet.png", "--tiles", tiles, "--images", "2", "--json")
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert (document["tiles"], document["tile_overlap"]) == (expected, overlap)
    cells = 6 + (expected != [1, 1])
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.size == (cells * 64 + (cells - 1) * 6, 24 + 6 * (24 + 2 * 64 + 6))


@pytest.mark.parametrize(
    ("more", "named"),
    [
        (("--tile-overlap", "9"), "Give --tiles"),
        (("--source", "paches:1"), "paches"),
        (("--foreground", "otsu"), "METHOD:POLARITY"),
    ],
)
def test_mistakes_are_usage_errors_and_write_nothing(
    more: tuple[str, ...], named: str, data: Path, tmp_path: Path
) -> None:
    out = tmp_path / "sheet.png"
    result = preview(data, out, *more)
    assert result.exit_code == 2
    assert named in result.stderr
    assert not out.exists()


def test_a_picture_needs_a_known_suffix(data: Path, tmp_path: Path) -> None:
    result = preview(data, tmp_path / "sheet.pdf")
    assert result.exit_code == 2
    assert ".png" in result.stderr


def test_a_copy_of_a_published_data_set_gets_its_published_rule(mvtec_root: Path, tmp_path: Path) -> None:
    arguments = ["synth", "preview", "--data", str(mvtec_root), "--category", "screw", "--images", "1"]
    more = ["--size", "64", "--source", "scratches", "--out", str(tmp_path / "sheet.png"), "--json"]
    document = json.loads(CliRunner().invoke(cli, [*arguments, *more]).stdout)
    assert document["foreground"] == PRESETS["mvtec/screw"].to_dict()
    assert "published for mvtec/screw" in document["reason"]


def test_several_categories_as_one_are_previewed_one_by_one(data: Path, tmp_path: Path) -> None:
    shutil.copytree(data / "bolt", data / "nut")
    arguments = [
        "synth",
        "preview",
        "--data",
        str(data),
        "--category",
        "all",
        "--out",
        str(tmp_path / "s.png"),
    ]
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 1
    assert "one of bolt, nut" in result.stderr
