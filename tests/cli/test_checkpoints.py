"""Official checkpoints in and out by the command line."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result

from realnet_edge.cli.main import cli
from realnet_edge.config import ModelConfig
from realnet_edge.files import write_json
from realnet_edge.model import RealNet
from realnet_edge.model.checkpoint import load_checkpoint
from realnet_edge.model.official_checkpoint import write_official
from realnet_edge.training.state import Progress

SIZE = 128


@pytest.fixture(scope="module")
def official(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    config = ModelConfig.for_backbone(
        "resnet18", taps=(1, 2), planes=(64, 64), widths=(32, 32), rrs_max=8, rrs_mean=8, image_size=SIZE
    )
    path = tmp_path_factory.mktemp("official") / "ckpt_best.pth.tar"
    write_official(path, RealNet(config).eval())
    return path


def call(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


def test_an_official_checkpoint_can_be_exported_and_goes_back(
    official: Path, mvtec_root: Path, tmp_path: Path
) -> None:
    place = ("--category", "screw", "--workspace", tmp_path)
    made = call("import-checkpoint", official, *place, "--data", mvtec_root, "--image-size", SIZE, "--json")
    assert made.exit_code == 0, made.stderr
    found = json.loads(made.stdout)
    assert (found["model"]["backbone"], found["model"]["image_size"]) == ("resnet18", SIZE)
    assert "threshold from them optimistic" in made.stderr
    checkpoint = load_checkpoint(tmp_path / "screw" / "checkpoint")
    assert checkpoint.training["imported"]["file"] == official.name
    assert len(checkpoint.splits["held_out"]) == 64

    graph = call("export", *place)
    assert graph.exit_code == 0, graph.stderr
    told = " ".join(graph.stderr.split())
    for name in ("fold-batchnorm", "fold-selection", "fuse-attention", "pool-residuals"):
        assert f"{name}: " in told
    assert "nodes, map changed by at most" in told
    back = call("export-checkpoint", *place, "--out", tmp_path / "back.pth")
    assert back.exit_code == 0, back.stderr
    before, after = (torch.load(p, weights_only=True) for p in (official, tmp_path / "back.pth"))
    assert set(before["state_dict"]) == set(after["state_dict"])
    assert all(torch.equal(after["state_dict"][key], value) for key, value in before["state_dict"].items())


def test_an_official_file_is_replaced_only_when_told(official: Path, tmp_path: Path) -> None:
    place = ("--category", "screw", "--workspace", tmp_path)
    assert call("import-checkpoint", official, *place, "--image-size", SIZE).exit_code == 0
    theirs = tmp_path / "ckpt_best.pth.tar"
    theirs.write_bytes(b"the only one")
    refused = call("export-checkpoint", *place, "--out", theirs)
    assert refused.exit_code == 1
    assert f"{theirs} is there already" in refused.stderr
    assert theirs.read_bytes() == b"the only one"
    assert call("export-checkpoint", *place, "--out", theirs, "--overwrite").exit_code == 0
    assert set(torch.load(theirs, weights_only=True)) == {"epoch", "arch", "state_dict", "best_metric"}


def test_without_images_it_says_what_is_missing(official: Path, tmp_path: Path) -> None:
    place = ("--category", "screw", "--workspace", tmp_path)
    assert call("import-checkpoint", official, *place, "--rrs-max", 16).exit_code == 0
    config = load_checkpoint(tmp_path / "screw" / "checkpoint").config
    assert (config.rrs_max, config.rrs_mean, config.image_size) == (16, 0, 256)
    built = call("build", *place, "--precision", "fp32")
    assert built.exit_code == 1
    assert "import it again with --data DIR" in built.stderr


def test_a_checkpoint_is_replaced_only_when_told(official: Path, tmp_path: Path) -> None:
    place = ("--category", "screw", "--workspace", tmp_path)
    assert call("import-checkpoint", official, *place).exit_code == 0
    refused = call("import-checkpoint", official, *place, "--image-size", SIZE)
    assert refused.exit_code == 1
    assert "--overwrite" in refused.stderr
    replaced = call(
        "import-checkpoint", official, *place, "--image-size", SIZE, "--overwrite", "--rrs-mean", 3
    )
    assert replaced.exit_code == 0
    config = load_checkpoint(tmp_path / "screw" / "checkpoint").config
    assert (config.image_size, config.rrs_mean) == (SIZE, 3)


def test_an_unfinished_training_is_given_up_only_when_told(official: Path, tmp_path: Path) -> None:
    place = ("--category", "screw", "--workspace", tmp_path)
    training = tmp_path / "screw" / "training"
    training.mkdir(parents=True)
    write_json(training / "state.json", {"progress": asdict(Progress(step=7)), "settings": {}})
    refused = call("import-checkpoint", official, *place)
    assert refused.exit_code == 1
    assert "unfinished training" in refused.stderr
    assert "step 7" in refused.stderr
    assert call("import-checkpoint", official, *place, "--overwrite").exit_code == 0
    # Resumed later, it would take the imported checkpoint's place.
    assert not training.exists()
