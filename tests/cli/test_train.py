"""`realnet-edge train`: every option reaches the setting it names."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from realnet_edge.cli.main import cli
from realnet_edge.cli.train import command
from realnet_edge.config import ModelConfig, SynthesisConfig, TrainConfig
from realnet_edge.experiments.experiment import Change
from realnet_edge.experiments.settings import Settings, changed
from realnet_edge.files import write_json
from realnet_edge.presets import PRESETS


class ReachedError(Exception):
    """Ends the command where training would begin."""


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Calls the command with options and gives what it would have trained with."""
    (tmp_path / "good").mkdir()
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / "good" / "0.png")
    seen: dict[str, Any] = {}

    def spy(category: Any, paths: Any, model: Any, synthesis: Any, config: Any, **rest: Any) -> None:
        seen.update(category=category, paths=paths, model=model, synthesis=synthesis, config=config, **rest)
        raise ReachedError

    monkeypatch.setattr("realnet_edge.training.train", spy)

    def call(*options: str) -> dict[str, Any]:
        arguments = [
            "--data",
            str(tmp_path),
            "--category",
            "part",
            "--workspace",
            str(tmp_path / "ws"),
            *options,
        ]
        result = CliRunner().invoke(command, arguments)
        assert isinstance(result.exception, ReachedError), result.output
        return seen

    return call


MODEL_OPTIONS = [
    # Half of everything.
    ("--planes", "8,16,24", {"planes": (8, 16, 24), "widths": (8, 16, 48), "rrs_max": 12, "rrs_mean": 12}),
    ("--widths", "16,16,24", {"widths": (16, 16, 24)}),
    ("--rrs-max", "5", {"rrs_max": 5}),
    ("--rrs-mean", "7", {"rrs_mean": 7}),
    ("--rrs-order", "score", {"rrs_order": "score"}),
    ("--image-size", "512", {"image_size": 512}),
    ("--score-rule", "max", {"score_rule": "max"}),
    ("--tiles", "2x3", {"tiles": (2, 3), "tile_overlap": 32}),
    ("--tiles", "1x1", {}),
    ("--group-width", "2", {"group_width": 2}),
    ("--selection", "random", {"selection": "random"}),
    ("--attention-limit", "64", {"attention_limit": 64}),
    ("--architecture", "B", {"blocks": (3,), "widths": (144,)}),
    ("--architecture", "1,2", {"blocks": (1, 2), "widths": (16, 128)}),
    ("--no-match-exposure", None, {"match_exposure": False}),
]
SYNTHESIS_OPTIONS = [
    ("--source", "cutpaste:1", {"source": "cutpaste:1"}),
    ("--foreground", "whole", {"foreground": "whole"}),
    ("--rotate", "45", {"rotate": 45.0}),
    ("--flip", None, {"flip": True}),
    ("--light", "0.3", {"light": 0.3}),
    ("--noise", "2.5", {"noise": 2.5}),
]
TRAIN_OPTIONS = [
    ("--steps", "11", {"steps": 11}),
    ("--minutes", "2.5", {"minutes": 2.5}),
    ("--patience", "3", {"patience": 3}),
    ("--batch", "6", {"batch": 6}),
    ("--learning-rate", "0.01", {"learning_rate": 0.01}),
    ("--schedule", "constant", {"schedule": "constant"}),
    ("--warmup", "9", {"warmup": 9}),
    ("--validate-every", "13", {"validate_every": 13}),
    ("--afs-batches", "4", {"afs_batches": 4}),
    ("--statistics-batches", "2", {"statistics_batches": 2}),
    ("--ema", "0.99", {"ema": 0.99}),
    ("--rank-noise", "0.2", {"rank_noise": 0.2}),
    ("--no-joint", None, {"joint": False}),
    ("--seed", "17", {"seed": 17}),
    ("--workers", "3", {"workers": 3}),
    ("--threads", "1", {"threads": 1}),
    ("--precision", "bf16", {"precision": "bf16"}),
]


@pytest.mark.parametrize(
    ("part", "option", "value", "expected"),
    [
        (part, *row)
        for part, rows in (
            ("model", MODEL_OPTIONS),
            ("synthesis", SYNTHESIS_OPTIONS),
            ("config", TRAIN_OPTIONS),
        )
        for row in rows
    ],
)
def test_an_option_changes_its_setting_and_no_other(
    started: Any, part: str, option: str, value: str | None, expected: dict[str, Any]
) -> None:
    plain = {
        name: getattr(PRESETS["edge"], "train" if name == "config" else name)
        for name in ("model", "synthesis", "config")
    }
    seen = started(option, *([] if value is None else [value]))
    for name, base in plain.items():
        assert seen[name] == (dataclasses.replace(base, **expected) if name == part else base)


def test_sources_are_given_together_or_one_by_one(started: Any) -> None:
    seen = started("--source", "nsa=mvtec/screw:0.25", "--source", "cutpaste:0.5,sia=a/b:0.25")
    assert seen["synthesis"].source == "nsa=mvtec/screw:0.25,cutpaste:0.5,sia=a/b:0.25"


def test_another_backbone_brings_its_own_proportions(started: Any) -> None:
    seen = started("--backbone", "resnet18", "--image-size", "128")
    kept = {"match_exposure": True, "group_width": 0, "attention_limit": 256, "rrs_order": "plane"}
    assert seen["model"] == ModelConfig.for_backbone("resnet18", image_size=128, **kept)
    assert started("--taps", "1,2")["model"].taps == (1, 2)
    grouped = started("--backbone", "resnet18", "--architecture", "C")["model"]
    assert grouped == ModelConfig.for_backbone("resnet18", blocks=(2, 2), **kept)


def test_half_the_planes_make_half_the_published_network(started: Any) -> None:
    """As the paper halves it (Table S4), and as `reproduce` does."""
    halves = ("--preset", "paper", "--planes", "128,256,256,128")
    paper = PRESETS["paper"].model
    expected = changed(Settings(paper, SynthesisConfig(), TrainConfig()), Change(halve=True), None).model
    assert expected.widths == (64, 128, 128, 64)
    assert started(*halves)["model"] == expected
    given = started(*halves, "--widths", "128,256,256,128", "--rrs-max", "9")["model"]
    assert given == dataclasses.replace(expected, widths=(128, 256, 256, 128), rrs_max=9)
    grouped = started(*halves, "--architecture", "B")["model"]
    assert (grouped.blocks, grouped.widths) == ((4,), (384,))


def test_tiles_by_number_and_from_the_images(started: Any, tmp_path: Path) -> None:
    def tiles(*options: str) -> tuple[tuple[int, int], int]:
        model = started(*options)["model"]
        return model.tiles, model.tile_overlap

    assert tiles("--tiles", "1x2", "--tile-overlap", "7") == ((1, 2), 7)
    assert tiles("--tiles", "2x2", "--image-size", "128") == ((2, 2), 16)
    assert tiles("--tiles", "2x1", "--backbone", "resnet18") == ((2, 1), 32)
    # One image of 8 x 8 needs none, and an overlap that was wished for is then no mistake.
    assert tiles("--tiles", "auto", "--tile-overlap", "7") == ((1, 1), 0)
    Image.fromarray(np.zeros((1024, 500, 3), np.uint8)).save(tmp_path / "good" / "0.png")
    assert tiles("--tiles", "auto") == ((3, 2), 32)
    assert tiles("--tiles", "auto", "--image-size", "512", "--tile-overlap", "0") == ((2, 1), 0)


def nails(folder: Path, size: tuple[int, int] = (96, 96)) -> None:
    """Twelve dark nails, each turned by another angle, in place of what lies there."""
    for path in folder.iterdir():
        path.unlink()
    for number in range(12):
        picture = Image.new("RGB", (96, 96), (200, 200, 200))
        picture.paste((60, 60, 60), (16, 38, 32, 58))
        picture.paste((60, 60, 60), (32, 44, 80, 52))
        turned = picture.rotate(30 * number, Image.Resampling.BILINEAR, fillcolor=(200, 200, 200))
        turned.resize(size[::-1]).save(folder / f"{number}.png")


def test_parts_are_aligned_as_wished_or_where_the_images_allow(started: Any, tmp_path: Path) -> None:
    def strip(*options: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
        model = started(*options)["model"]
        return model.align, model.align_from

    assert strip() == ((), ())
    nails(tmp_path / "good")
    assert strip() == strip("--align", "auto") == ((128, 448), (128, 128))
    for left in (("--align", "off"), ("--preset", "demo"), ("--tiles", "1x2"), ("--rotate", "180")):
        assert strip(*left) == ((), ())
    assert strip("--align", "auto", "--tiles", "1x1")[0] == (128, 448)
    assert strip("--preset", "demo", "--align", "auto")[0] == (128, 448)
    assert strip("--align", "192x64") == ((64, 192), (128, 128))
    assert started("--align", "256x128", "--backbone", "resnet18")["model"].align == (128, 256)
    # A smaller square is a smaller strip; larger files are used as far as the strip shows them.
    assert strip("--image-size", "128")[0] == (64, 256)
    nails(tmp_path / "good", (1000, 1000))
    assert strip("--align", "192x64") == ((64, 192), (384, 384))


def test_what_contradicts_alignment_is_said(tmp_path: Path) -> None:
    (tmp_path / "good").mkdir()
    Image.new("RGB", (64, 64), (90, 90, 90)).save(tmp_path / "good" / "0.png")
    arguments = ["train", "--data", str(tmp_path), "--category", "part", "--workspace", str(tmp_path / "ws")]
    for options, message in (
        (["--align", "auto", "--tiles", "2x2"], "--align and --tiles contradict each other"),
        (["--align", "auto"], "nothing stands out from the background in 1 of 1 good images"),
    ):
        result = CliRunner().invoke(cli, [*arguments, *options])
        assert result.exit_code != 0
        assert message in result.output + str(result.exception)


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_presets(started: Any, name: str) -> None:
    seen = started("--preset", name)
    base = PRESETS[name]
    assert (seen["model"], seen["synthesis"], seen["config"]) == (base.model, base.synthesis, base.train)


def test_weights_resume_overwrite_and_folders(started: Any, tmp_path: Path) -> None:
    seen = started("--weights", "w.pth", "--resume")
    assert (seen["weights"], seen["resume"], seen["overwrite"]) == (Path("w.pth"), True, False)
    assert started("--overwrite")["overwrite"] is True
    assert seen["paths"].root == tmp_path / "ws" / "part"
    assert (seen["category"].name, seen["category"].root) == ("part", tmp_path)


def test_the_preset_is_recorded_and_said_where_nobody_named_it(started: Any, tmp_path: Path) -> None:
    unnamed = started()["preset"]
    assert unnamed["name"] == "edge"
    assert "1 good images of 8 x 8 pixels" in unnamed["reason"]
    assert started("--preset", "demo")["preset"] == {"name": "demo", "reason": "named with --preset"}
    # Begun with another one: that goes on, whatever would be taken here.
    training = tmp_path / "ws" / "part" / "training"
    training.mkdir(parents=True)
    write_json(training / "state.json", {"progress": {}, "settings": {"preset": {"name": "demo"}}})
    assert started("--resume")["model"] == PRESETS["demo"].model
    assert started()["model"] == PRESETS["edge"].model
    assert started("--resume", "--preset", "edge")["model"] == PRESETS["edge"].model


def test_every_setting_has_an_option() -> None:
    """A setting that no option reaches would be one that users cannot change."""
    offered = {parameter.name for parameter in command.params}
    settings = {f.name for c in (ModelConfig, SynthesisConfig, TrainConfig) for f in dataclasses.fields(c)}
    # Follow from the backbone and from the images; the paper's half and half.
    assert settings - offered == {"standardise", "align_from", "anomalous_share"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--planes", "8,x"], "8,x"),
        (["--image-size", "100"], "image_size is 100"),
        (["--preset", "huge"], "huge"),
        (["--tiles", "2,2"], "2,2"),
        (["--tiles", "0x2"], "tiles is (0, 2)"),
        (["--tile-overlap", "9"], "Give --tiles"),
        (["--tiles", "2x2", "--tile-overlap", "128"], "tile_overlap is 128"),
        (["--resume", "--overwrite"], "contradict"),
        (["--align", "128"], "'128' is neither auto nor off nor width x height"),
        (["--checkpoint-by", "test-set"], "train never looks at test images"),
    ],
)
def test_wrong_options_are_usage_errors(tmp_path: Path, options: list[str], message: str) -> None:
    arguments = ["train", "--data", str(tmp_path), "--category", "part", *options]
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 2 or (result.exception is not None and result.exception.exit_code == 2)  # type: ignore[attr-defined]  # our errors carry it
    assert message in result.output + str(result.exception)


def test_a_partial_copy_is_warned_of_and_its_published_foreground_is_taken(
    tmp_path: Path, published_copy: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    published_copy(tmp_path, "btad", "01", (400, 20, 49))
    asked: list[Any] = []

    def reached(paths: Any, _size: Any, text: str, published: str | None, _view: Any) -> None:
        asked.extend([text, len(paths), published])
        raise ReachedError

    monkeypatch.setattr("realnet_edge.training.preparation.foreground_of_files", reached)
    arguments = ["--data", str(tmp_path), "--category", "01", "--workspace", str(tmp_path / "ws")]
    result = CliRunner().invoke(command, arguments)
    assert isinstance(result.exception, ReachedError), result.output
    assert asked == ["auto", 280, "btad/01"]
    assert "Warning: the copy of BTAD 01 is incomplete: 20 of 21 test good." in result.stderr


def test_too_few_images_say_how_many_are_needed(tmp_path: Path) -> None:
    (tmp_path / "good").mkdir()
    for number in range(5):
        Image.fromarray(np.full((80, 80, 3), number, np.uint8)).save(tmp_path / "good" / f"{number}.png")
    arguments = ["--data", str(tmp_path), "--category", "part", "--workspace", str(tmp_path / "ws")]
    result = CliRunner().invoke(command, arguments)
    assert "30" in str(result.exception)
    assert "5" in str(result.exception)
    assert not (tmp_path / "ws").exists()


def test_images_set_aside_for_testing_are_counted_apart(tmp_path: Path) -> None:
    for folder, count in (("good", 30), ("defect", 1)):
        (tmp_path / folder).mkdir()
        for number in range(count):
            Image.fromarray(np.full((80, 80, 3), number, np.uint8)).save(tmp_path / folder / f"{number}.png")
    arguments = ["--data", str(tmp_path), "--category", "part", "--workspace", str(tmp_path / "ws")]
    message = str(CliRunner().invoke(command, arguments).exception)
    assert "found 20" in message
    assert "10 more there are set aside to test on" in message
