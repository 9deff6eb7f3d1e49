"""Training on real images: same seed same weights, resume after a kill, limits, and what is refused."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from realnet_edge.cli.main import cli
from realnet_edge.config import ModelConfig, SynthesisConfig, TrainConfig
from realnet_edge.data import CategoryData
from realnet_edge.errors import CheckpointError
from realnet_edge.imaging import load_batch
from realnet_edge.model import RealNet
from realnet_edge.model.checkpoint import load_checkpoint
from realnet_edge.training import Listeners, train
from realnet_edge.training.state import Progress
from realnet_edge.workspace import Workspace

MODEL = ModelConfig.for_backbone(
    "tf_efficientnet_lite0",
    image_size=64,
    planes=(8, 16, 16),
    widths=(8, 8, 24),
    rrs_max=8,
    rrs_mean=8,
    match_exposure=True,
)
SYNTHESIS = SynthesisConfig(source="patches:0.25,nsa:0.25,cutpaste=scar:0.25,scratches:0.25", flip=True)
TRAIN = TrainConfig(
    steps=6, batch=4, patience=0, learning_rate=1e-3, validate_every=2, afs_batches=2, workers=0, threads=1
)


def weights(workspace: Path) -> dict[str, torch.Tensor]:
    return load_checkpoint(Workspace(workspace).category("cells").checkpoint).model.state_dict()


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


@pytest.fixture(scope="module")
def trained(category: CategoryData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with a finished training of six steps."""
    workspace = tmp_path_factory.mktemp("workspace")
    train(category, Workspace(workspace).category("cells"), MODEL, SYNTHESIS, TRAIN)
    return workspace


def test_same_seed_same_weights_another_seed_others(
    category: CategoryData, trained: Path, tmp_path: Path
) -> None:
    for name, config in (("again", TRAIN), ("other", dataclasses.replace(TRAIN, seed=1))):
        train(category, Workspace(tmp_path / name).category("cells"), MODEL, SYNTHESIS, config)
    assert same(weights(trained), weights(tmp_path / "again"))
    assert not same(weights(trained), weights(tmp_path / "other"))


def test_afs_can_be_replaced_to_see_what_it_is_worth(
    category: CategoryData, trained: Path, tmp_path: Path
) -> None:
    short = dataclasses.replace(TRAIN, steps=2)
    for selection in ("random", "projection"):
        paths = Workspace(tmp_path / selection).category("cells")
        train(category, paths, dataclasses.replace(MODEL, selection=selection), SYNTHESIS, short)
    chosen = weights(trained)["afs.2.index"]
    assert not torch.equal(weights(tmp_path / "random")["afs.2.index"], chosen)
    projection = weights(tmp_path / "projection")["afs.2.projection"]
    assert projection.shape == (len(chosen), MODEL.tap_channels[2])
    assert len(projection.unique()) == projection.numel()


def test_the_checkpoint_says_what_it_was_made_of(category: CategoryData, trained: Path) -> None:
    checkpoint = load_checkpoint(Workspace(trained).category("cells").checkpoint)
    splits = checkpoint.splits
    parts = [set(splits[name]) for name in ("train", "held_out", "calibration")]
    assert sum(map(len, parts)) == len(set().union(*parts)) == len(category.train)
    assert not any(name.startswith("test/") for part in parts for name in part)
    assert checkpoint.data["layout"] == "mvtec"
    assert checkpoint.foreground["rule"]
    assert [entry["step"] for entry in checkpoint.training["history"]] == [2, 4, 6]
    assert checkpoint.training["stopped"] == "steps"
    assert checkpoint.training["synthesis"] == SYNTHESIS.to_dict()
    paths = [category.root / name for name in splits["train"]]
    mean = load_batch(paths, (64, 64)).mean()
    assert float(checkpoint.model.inputs.reference) == pytest.approx(mean, abs=1e-3)
    # Linear bottlenecks differ in scale by orders of magnitude: standardised, they do not.
    images = torch.from_numpy(
        np.stack([np.asarray(Image.open(p).convert("RGB").resize((64, 64))) for p in category.train[:16]])
    )
    for block in checkpoint.model.select(checkpoint.model.inputs(images)):
        assert 0.5 < block.std() < 2


class Dead(RealNet):
    """A discriminator whose last hidden layer answers nothing, as some seeds leave it."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        torch.nn.init.constant_(self.discriminator.head[0].bias, -1e3)


def test_a_discriminator_that_died_is_noticed(
    category: CategoryData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: dict[str, list[str]] = {"alive": [], "dead": []}
    config = dataclasses.replace(TRAIN, steps=2)
    for name, lines in said.items():
        paths = Workspace(tmp_path / name).category("cells")
        train(category, paths, MODEL, SYNTHESIS, config, listeners=Listeners(say=lines.append))
        monkeypatch.setattr("realnet_edge.training.preparation.RealNet", Dead)
        monkeypatch.setattr("realnet_edge.training.preparation.keep_head_alive", lambda *_: 0)
    warned = [line for line in said["dead"] if line.startswith("Warning: the map is nearly the same")]
    assert len(warned) == 1
    assert "50 is chance" in warned[0]
    assert "another --seed (now 0)" in warned[0]
    assert not [line for line in said["alive"] if line.startswith("Warning")]


def test_mixed_precision_learns_the_same_in_other_arithmetic(category: CategoryData, tmp_path: Path) -> None:
    losses = {}
    for precision in ("fp32", "bf16"):
        config = dataclasses.replace(TRAIN, steps=2, precision=precision)
        made = train(category, Workspace(tmp_path / precision).category("cells"), MODEL, SYNTHESIS, config)
        assert all(v.dtype != torch.bfloat16 for v in made.model.state_dict().values())
        (entry,) = made.training["history"]
        losses[precision] = np.array([entry["reconstruction"], entry["segmentation"]])
    np.testing.assert_allclose(losses["bf16"], losses["fp32"], rtol=0.03)
    assert not np.array_equal(losses["bf16"], losses["fp32"])


def test_curves_are_a_picture(trained: Path) -> None:
    with Image.open(Workspace(trained).category("cells").root / "training-curves.png") as picture:
        assert picture.size[0] > 800


def arguments(category: CategoryData, workspace: Path) -> list[str]:
    """A command line that trains on `cells` and saves a state every second step."""
    settings = {
        "--preset": "demo",
        "--image-size": "64",
        "--planes": "8,16,16",
        "--widths": "8,8,16",
        "--rrs-max": "8",
        "--rrs-mean": "8",
        "--batch": "4",
        "--minutes": "0",
        "--validate-every": "2",
        "--afs-batches": "1",
        "--statistics-batches": "1",
        "--warmup": "0",
        "--workers": "0",
        "--threads": "1",
    }
    places = ["--data", str(category.root.parent), "--category", "cells", "--workspace", str(workspace)]
    return ["train", *places, *(part for pair in settings.items() for part in pair), "--no-flip"]


@pytest.mark.parametrize("saved", [True, False])
def test_ctrl_c_says_what_is_left(category: CategoryData, tmp_path: Path, saved: bool) -> None:
    """A real SIGINT: after the first saved state, or before there can be one."""
    training = Workspace(tmp_path).category("cells").training
    ended = threading.Event()
    # All is imported by now, so three seconds lead to the choice of features or the first steps.
    started = time.monotonic()

    def interrupt() -> None:
        while not ended.wait(0.05):
            if (training / "state.json").exists() or (not saved and time.monotonic() > started + 3):
                os.kill(os.getpid(), signal.SIGINT)
                return

    rest = ["--steps", "1000", *([] if saved else ["--validate-every", "1000"])]
    watcher = threading.Thread(target=interrupt)
    # A shell starts what runs in its background with SIGINT ignored, and the tests perhaps with it.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        watcher.start()
        result = CliRunner().invoke(cli, [*arguments(category, tmp_path), *rest])
    finally:
        ended.set()
        watcher.join()
        signal.signal(signal.SIGINT, before)
    assert result.exit_code == 1
    wanted = "is saved: go on with the same command and --resume" if saved else "nothing was saved"
    assert wanted in result.stderr
    assert (training / "state.json").exists() == saved


def test_a_killed_training_resumes_to_the_same_weights(category: CategoryData, tmp_path: Path) -> None:
    """The real command, a real SIGKILL after the first saved state, then --resume."""
    paths = Workspace(tmp_path).category("cells")
    options = [*arguments(category, tmp_path), "--steps", "16", "--ema", "0.5", "--rank-noise", "0.3"]
    command = [sys.executable, "-m", "realnet_edge", *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    state = paths.training / "state.json"
    deadline = time.monotonic() + 300
    while not state.exists() and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert 0 < json.loads(state.read_text())["progress"]["step"] < 16
    assert not paths.checkpoint.exists()

    # Processes cost seconds each: one more for what has to be one, the rest in here.
    refused = CliRunner().invoke(cli, options)
    assert refused.exit_code == 1
    assert "--resume" in refused.stderr
    other = CliRunner().invoke(cli, [*options, "--resume", "--seed", "9"])
    assert other.exit_code == 1
    assert "other settings" in other.stderr
    resumed = subprocess.run([*command, "--resume", "--json"], capture_output=True, text=True)
    assert resumed.returncode == 0, resumed.stderr
    assert json.loads(resumed.stdout)["training"]["steps"] == 16

    straight = tmp_path / "straight"
    options[options.index("--workspace") + 1] = str(straight)
    assert CliRunner().invoke(cli, options).exit_code == 0
    assert same(weights(tmp_path), weights(straight))
    assert not paths.training.exists()


def test_without_joint_training_the_segmentation_loss_trains_no_reconstruction(
    category: CategoryData, trained: Path, tmp_path: Path
) -> None:
    config = dataclasses.replace(TRAIN, joint=False)
    model = train(category, Workspace(tmp_path).category("cells"), MODEL, SYNTHESIS, config).model
    apart, joint = model.state_dict(), weights(trained)
    assert not torch.equal(apart["reconstruction.0.out.2.weight"], joint["reconstruction.0.out.2.weight"])
    images = torch.zeros(2, 3, MODEL.image_size, MODEL.image_size).uniform_(-1, 1)
    selected = model.select(images)
    for reaches in (False, True):
        model.zero_grad(set_to_none=True)
        model.from_selected(selected, joint=reaches).logits.square().sum().backward()
        assert all((p.grad is not None) == reaches for p in model.reconstruction.parameters())
        assert all(p.grad is not None for p in model.discriminator.parameters())


def test_noise_on_the_ranks_changes_what_is_learned(
    category: CategoryData, trained: Path, tmp_path: Path
) -> None:
    config = dataclasses.replace(TRAIN, rank_noise=1.0)
    model = train(category, Workspace(tmp_path).category("cells"), MODEL, SYNTHESIS, config).model
    assert model.rrs.rank_factors is None
    name = "discriminator.reduce.0.weight"
    assert not torch.equal(model.state_dict()[name], weights(trained)[name])


def test_a_finished_training_is_not_overwritten_unasked(category: CategoryData, trained: Path) -> None:
    paths = Workspace(trained).category("cells")
    before = weights(trained)
    with pytest.raises(CheckpointError, match="--overwrite"):
        train(category, paths, MODEL, SYNTHESIS, TRAIN)
    with pytest.raises(CheckpointError, match="no unfinished training"):
        train(category, paths, MODEL, SYNTHESIS, TRAIN, resume=True)
    assert same(before, weights(trained))


def test_patience_stops_it_and_the_best_is_kept(category: CategoryData, tmp_path: Path) -> None:
    """With a rate of practically nothing no validation improves on the first one."""
    config = dataclasses.replace(TRAIN, steps=100, patience=2, validate_every=1, learning_rate=1e-12)
    seen: list[Progress] = []
    checkpoint = train(
        category,
        Workspace(tmp_path).category("cells"),
        MODEL,
        SYNTHESIS,
        config,
        listeners=Listeners(report=lambda progress, *_: seen.append(progress)),
    )
    assert checkpoint.training["stopped"] == "patience"
    assert checkpoint.training["steps"] < 100
    history = checkpoint.training["history"]
    scores = [(entry["image_auroc"] + entry["pixel_ap"]) / 2 for entry in history]
    assert checkpoint.training["best_score"] == pytest.approx(max(scores))
    assert seen[-1].step == checkpoint.training["steps"]


def test_minutes_stop_it(category: CategoryData, tmp_path: Path) -> None:
    config = dataclasses.replace(TRAIN, steps=100_000, minutes=0.02, validate_every=100_000)
    checkpoint = train(category, Workspace(tmp_path).category("cells"), MODEL, SYNTHESIS, config)
    assert checkpoint.training["stopped"] == "minutes"


def test_training_learns(category: CategoryData, tmp_path: Path) -> None:
    config = dataclasses.replace(TRAIN, steps=40, validate_every=40)
    losses: list[float] = []
    train(
        category,
        Workspace(tmp_path).category("cells"),
        MODEL,
        SYNTHESIS,
        config,
        listeners=Listeners(report=lambda _, *both: losses.append(sum(both))),
    )
    assert np.mean(losses[-10:]) < 0.5 * np.mean(losses[:5])
