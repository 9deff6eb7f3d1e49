"""`realnet-edge reproduce`: options reach what they name, lists, failures and JSON."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from realnet_edge.cli.main import cli
from realnet_edge.cli.reproduce import command
from realnet_edge.presets import PRESETS


class ReachedError(Exception):
    """Ends the command where the plan would be made."""


@pytest.fixture
def part(tmp_path: Path) -> Path:
    """A data folder with a category `part`: 30 good images to train, two good and two bad to test."""
    rng = np.random.default_rng(0)
    for folder, count in (("train/good", 30), ("test/good", 2), ("test/bad", 2)):
        (tmp_path / "data/part" / folder).mkdir(parents=True)
        for number in range(count):
            picture = rng.integers(0, 255, (64, 64, 3)).astype(np.uint8)
            Image.fromarray(picture).save(tmp_path / "data/part" / folder / f"{number}.png")
    return tmp_path / "data"


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Calls the command with options and gives the experiment and what would have been planned."""
    seen: dict[str, Any] = {}

    def spy(experiment: Any, request: Any) -> None:
        seen.update(experiment=experiment, request=request)
        raise ReachedError

    monkeypatch.setattr("realnet_edge.experiments.plan.make_plan", spy)

    def call(*options: str) -> dict[str, Any]:
        result = CliRunner().invoke(command, ["table5a", "--data", str(tmp_path), *options])
        assert isinstance(result.exception, ReachedError), result.output
        return seen

    return call


OPTIONS = [
    ("model", "--image-size", "512", {"image_size": 512}),
    ("synthesis", "--source", "cutpaste:1", {"source": "cutpaste:1"}),
    ("synthesis", "--rotate", "45", {"rotate": 45.0}),
    ("synthesis", "--flip", None, {"flip": True}),
    ("train", "--steps", "11", {"steps": 11}),
    ("train", "--minutes", "2.5", {"minutes": 2.5}),
    ("train", "--patience", "3", {"patience": 3}),
    ("train", "--batch", "6", {"batch": 6}),
    ("train", "--learning-rate", "0.01", {"learning_rate": 0.01}),
    ("train", "--validate-every", "13", {"validate_every": 13}),
    ("train", "--afs-batches", "4", {"afs_batches": 4}),
    ("train", "--statistics-batches", "2", {"statistics_batches": 2}),
    ("train", "--ema", "0", {"ema": 0.0}),
    ("train", "--rank-noise", "0.2", {"rank_noise": 0.2}),
    ("train", "--no-joint", None, {"joint": False}),
    ("train", "--workers", "3", {"workers": 3}),
    ("train", "--threads", "1", {"threads": 1}),
    ("train", "--precision", "bf16", {"precision": "bf16"}),
    ("train", "--device", "cpu", {"device": "cpu"}),
    ("train", "--accumulate", "2", {"accumulate": 2}),
    ("train", "--gradient-checkpointing", None, {"gradient_checkpointing": True}),
]


@pytest.mark.parametrize(("part", "option", "value", "expected"), OPTIONS)
def test_an_option_changes_its_setting_and_no_other(
    asked: Any, part: str, option: str, value: str | None, expected: dict[str, Any]
) -> None:
    base = asked(option, *([] if value is None else [value]))["request"].base
    for name in ("model", "synthesis", "train"):
        plain = getattr(PRESETS["paper"], name)
        assert getattr(base, name) == (dataclasses.replace(plain, **expected) if name == part else plain)


def test_every_setting_option_is_tried() -> None:
    others = {
        "name", "data", "categories", "workspace", "seeds", "preset_name", "textures", "weights",
        "checkpoint_by", "discard_checkpoints", "only_list", "as_json",
        "sia", "inception", "lpips", "lpips_network", "images", "rows",
    }  # fmt: skip
    offered = {parameter.name for parameter in command.params} - others
    assert offered == {name for *_, expected in OPTIONS for name in expected}


def test_the_rest_reaches_the_request(asked: Any, tmp_path: Path) -> None:
    seen = asked(
        *("--category", "a", "--category", "b", "--seeds", "0,5", "--preset", "demo"),
        *(
            "--textures",
            str(tmp_path),
            "--sia",
            str(tmp_path / ".."),
            "--weights",
            "resnet34=w.pth",
            "--weights",
            "resnet18=v.pth",
        ),
    )
    request = seen["request"]
    assert seen["experiment"].name == "table5a"
    assert (request.data, request.categories, request.seeds) == (tmp_path, ("a", "b"), (0, 5))
    assert request.base.model == PRESETS["demo"].model
    assert (request.textures, request.sia) == (tmp_path, {"": tmp_path / ".."})
    assert request.checkpoint_by == "validation"
    assert request.rows == ()
    assert asked("--row", "b", "--row", "a", "--row", "b")["request"].rows == ("b", "a")
    assert asked("--checkpoint-by", "test-set")["request"].checkpoint_by == "test-set"
    assert request.weights == {"resnet34": Path("w.pth"), "resnet18": Path("v.pth")}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["table9"], "table9"),
        (["table1", "--seeds", "0,x"], "0,x"),
        (["table1", "--seeds", "1,1"], "each once"),
        (["table1", "--weights", "vgg=w.pth"], "vgg=w.pth"),
        (["table1", "--image-size", "100"], "image_size is 100"),
    ],
)
def test_wrong_options_are_usage_errors(part: Path, options: list[str], message: str) -> None:
    result = CliRunner().invoke(cli, ["reproduce", *options, "--data", str(part), "--category", "part"])
    assert result.exit_code == 2
    assert message in result.stderr


def test_names_are_read_in_any_case(part: Path, tmp_path: Path) -> None:
    arguments = ["reproduce", "TABLES4", "--data", str(part), "--category", "part", "--list"]
    result = CliRunner().invoke(cli, [*arguments, "--workspace", str(tmp_path / "ws")])
    assert result.exit_code == 0, result.stderr
    assert "to do        C, part, seed 0" in result.stderr


def test_the_ablation_starts_from_its_own_preset(part: Path, tmp_path: Path) -> None:
    arguments = ["reproduce", "ablation", "--data", str(part), "--category", "part", "--list", "--json"]
    arguments += ["--workspace", str(tmp_path / "ws"), "--rotate", "180", "--steps", "7", "--minutes", "3"]
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 0, result.stderr
    assert result.stderr.count("to do ") == 17
    assert "to do        weights averaged, EMA 0.998, part, seed 0" in result.stderr
    # Turned in training, parts are not aligned in any row.
    assert result.stderr.count("not available") == 2
    found = json.loads(result.stdout)
    assert (found["preset"], found["base"]) == ("edge", "base")
    assert found["settings"]["synthesis"]["rotate"] == 180
    assert (found["settings"]["train"]["steps"], found["settings"]["train"]["minutes"]) == (7, 3)


def test_rows_that_are_not_wanted_are_neither_listed_nor_run(part: Path, tmp_path: Path) -> None:
    arguments = ["reproduce", "table1", "--data", str(part), "--category", "part", "--preset", "demo"]
    arguments += ["--workspace", str(tmp_path / "ws"), "--image-size", "64", "--row", "cutpaste"]
    listed = CliRunner().invoke(cli, [*arguments, "--list"])
    assert "to do        CutPaste, part, seed 0  (row cutpaste, " in listed.stderr
    assert listed.stderr.count("to do ") == 1
    assert "not available" not in listed.stderr
    # Weights that are not there end each run that is started.
    weights = ["--weights", f"tf_efficientnet_lite0={tmp_path / 'gone.pth'}"]
    result = CliRunner().invoke(cli, [*arguments, *weights])
    assert "0 of 1 runs are done" in result.stderr
    assert "1 runs failed" in result.stderr
    assert "- CutPaste, part, seed 0: " in result.stderr


def test_list_runs_and_writes_nothing(part: Path, tmp_path: Path) -> None:
    arguments = ["reproduce", "table1", "--data", str(part), "--category", "part", "--category", "gone"]
    result = CliRunner().invoke(cli, [*arguments, "--workspace", str(tmp_path / "ws"), "--list", "--json"])
    assert result.exit_code == 0, result.stderr
    assert "to do        CutPaste, part, seed 0" in result.stderr
    assert "not available  SIA: it needs a folder of SIA images" in result.stderr
    assert "Left out: gone: " in result.stderr
    found = json.loads(result.stdout)
    assert [row["name"] for row in found["rows"] if row["pending"]] == ["nsa", "cutpaste", "own"]
    assert found["skipped"][0].startswith("gone: ")
    assert not (tmp_path / "ws").exists()


def test_runs_that_fail_are_named_after_the_table_is_written(part: Path, tmp_path: Path) -> None:
    arguments = ["reproduce", "table1", "--data", str(part), "--category", "part", "--preset", "demo"]
    arguments += ["--workspace", str(tmp_path / "ws"), "--image-size", "64", "--json"]
    arguments += ["--weights", f"tf_efficientnet_lite0={tmp_path / 'gone.pth'}"]
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 1
    assert "3 runs failed" in result.stderr
    assert "gone.pth" in result.stderr
    assert len(json.loads(result.stdout)["failed"]) == 3
    text = (tmp_path / "ws/_reproduce/table1-demo.md").read_text(encoding="utf-8")
    assert "## Failed" in text
    assert "- CutPaste, part, seed 0: " in text


def test_table_s6_measures_the_images_of_each_source(part: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    (tmp_path / "sia").mkdir()
    for number in range(7):
        picture = rng.integers(0, 255, (64, 64, 3)).astype(np.uint8)
        Image.fromarray(picture).save(tmp_path / "sia" / f"{number}.png")
    arguments = ["reproduce", "tableS6", "--data", str(part), "--category", "part", "--image-size", "64"]
    arguments += [
        "--preset",
        "demo",
        "--workspace",
        str(tmp_path / "ws"),
        "--images",
        "6",
        "--seeds",
        "0,1",
        "--json",
    ]
    arguments += ["--sia", str(tmp_path / "sia")]
    listed = CliRunner().invoke(cli, [*arguments, "--list"])
    assert listed.exit_code == 0, listed.stderr
    assert listed.stderr.count("to do ") == 6
    assert not (tmp_path / "ws").exists()
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    assert not found["official_frechet"]
    rows = {row["name"]: row for row in found["rows"]}
    assert "--textures" in rows["dtd"]["not_available"]
    for name in ("cutpaste", "nsa", "sia"):
        assert [(one["seed"], one["samples"]) for one in rows[name]["results"]] == [(0, 6), (1, 6)]
    assert rows["sia"]["results"][0]["copies"] == 0.0
    text = (tmp_path / "ws/_reproduce/tableS6.md").read_text(encoding="utf-8")
    assert "| CutPaste | 77.34 ± 0.09 / 0.11 ± 0.00 |" in text
    assert "do not compare with the paper's" in text
    # What is measured is not measured again.
    again = CliRunner().invoke(cli, arguments)
    assert json.loads(again.stdout)["rows"] == found["rows"]
    assert "seed 1: Frechet distance" in result.stderr
    assert "seed 1: Frechet distance" not in again.stderr
    assert (tmp_path / "ws/_reproduce/images.jsonl").read_bytes().count(b"\n") == 6
