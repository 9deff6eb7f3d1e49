from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor

from realnet_edge.config.diffusion import DiffusionModelConfig
from realnet_edge.config.diffusion_training import DiffusionTrainConfig
from realnet_edge.data import CategoryData, load_category, make_splits
from realnet_edge.diffusion.advice import describe_time, few_images_advice
from realnet_edge.diffusion.checkpoint import DIFFUSION, DiffusionCheckpoint
from realnet_edge.diffusion.images import NormalImages
from realnet_edge.diffusion.noised_training import Start
from realnet_edge.diffusion.process import DiffusionProcess
from realnet_edge.diffusion.schedule import Schedule
from realnet_edge.diffusion.step import DiffusionStep
from realnet_edge.diffusion.trainer import train_diffusion
from realnet_edge.diffusion.unet import NoisePredictor
from realnet_edge.errors import CheckpointError, ConfigError
from realnet_edge.training.compute import OutOfMemoryError, choose_compute
from realnet_edge.training.loop import Listeners
from realnet_edge.training.state import Progress
from realnet_edge.workspace import CategoryPaths

MODEL = DiffusionModelConfig(
    image_size=16, patch=2, width=16, multipliers=(1, 2), blocks=1, attention=(4,), head_width=16, groups=4
)
TRAIN = DiffusionTrainConfig(
    steps=6, batch=4, accumulate=2, learning_rate=1e-3, ema=0.9, save_every=2, threads=1, device="cpu"
)


class KilledError(Exception):
    """Stands for a kill: nothing of the training gets to do anything after it."""


def trained(
    category: CategoryData,
    root: Path,
    config: DiffusionTrainConfig = TRAIN,
    start: Start | None = None,
    kill_at: int = 0,
) -> DiffusionCheckpoint:
    def report(progress: Progress, _simple: float, _bound: float) -> None:
        if progress.step == kill_at:
            raise KilledError

    listeners = Listeners(report=report)
    checkpoint = train_diffusion(category, CategoryPaths(root), MODEL, config, start, listeners)
    assert checkpoint is not None
    return checkpoint


def weights(checkpoint: DiffusionCheckpoint) -> dict[str, Tensor]:
    return checkpoint.model.state_dict()


def assert_equal(first: DiffusionCheckpoint, second: DiffusionCheckpoint) -> None:
    for key, tensor in weights(first).items():
        assert torch.equal(tensor, weights(second)[key]), key


@pytest.fixture(scope="module")
def uninterrupted(
    bolt: CategoryData, tmp_path_factory: pytest.TempPathFactory
) -> tuple[DiffusionCheckpoint, Path]:
    root = tmp_path_factory.mktemp("uninterrupted")
    return trained(bolt, root), root


def test_a_training_that_was_killed_ends_as_one_that_was_not(
    bolt: CategoryData, uninterrupted: tuple[DiffusionCheckpoint, Path], tmp_path: Path
) -> None:
    with pytest.raises(KilledError):
        trained(bolt, tmp_path, dataclasses.replace(TRAIN, steps=5), kill_at=5)
    with pytest.raises(CheckpointError, match="step 4"):
        trained(bolt, tmp_path)
    with pytest.raises(CheckpointError, match="batch was 4, is 8"):
        trained(bolt, tmp_path, dataclasses.replace(TRAIN, batch=8), Start(resume=True))
    # That it was to be shorter at first makes no difference.
    assert_equal(trained(bolt, tmp_path, start=Start(resume=True)), uninterrupted[0])
    assert not (tmp_path / "training").exists()


def test_what_was_written_is_what_was_trained(uninterrupted: tuple[DiffusionCheckpoint, Path]) -> None:
    checkpoint, root = uninterrupted
    read = DIFFUSION.load(root / "checkpoint")
    assert_equal(read, checkpoint)
    assert (read.training["steps"], read.training["images"]) == (6, 16)
    assert [entry["step"] for entry in read.training["history"]] == [2, 4, 6]
    with Image.open(root / "grids" / "step-000006.png") as grid:
        assert grid.size == (8 * 128 + 7 * 2, 128)
    (root / "checkpoint" / "diffusion.safetensors").open("ab").write(b"x")
    with pytest.raises(CheckpointError, match="changed or damaged"):
        DIFFUSION.load(root / "checkpoint")


def test_another_seed_is_another_training(
    bolt: CategoryData, uninterrupted: tuple[DiffusionCheckpoint, Path], tmp_path: Path
) -> None:
    other = trained(bolt, tmp_path, dataclasses.replace(TRAIN, seed=1, steps=1))
    assert not torch.equal(
        weights(other)["unet.conv_in.weight"], weights(uninterrupted[0])["unet.conv_in.weight"]
    )


def test_parts_of_a_batch_have_the_gradients_of_the_whole(bolt: CategoryData) -> None:
    found = []
    for accumulate in (1, 2):
        # A processor that computes in bf16 takes that by itself, and its rounding is above these bounds.
        config = dataclasses.replace(TRAIN, accumulate=accumulate, precision="fp32")
        torch.manual_seed(0)
        model = NoisePredictor(MODEL)
        torch.nn.init.normal_(model.unet.conv_out.weight)
        step = DiffusionStep(model, config, choose_compute(config), DiffusionProcess(Schedule.linear()))
        images = NormalImages(bolt.train, [0] * 30, 16, config)
        losses = step(*images.batch(range(4)), 0)
        gradient = model.unet.conv_in.weight.grad
        assert gradient is not None
        found.append((losses, gradient.clone()))
    torch.testing.assert_close(found[0][0], found[1][0])
    torch.testing.assert_close(found[0][1], found[1][1], rtol=1e-4, atol=1e-6)
    # Clipped to a norm of 1, which such a network exceeds by far.
    norm = torch.sqrt(sum((p.grad**2).sum() for p in model.parameters() if p.grad is not None))
    torch.testing.assert_close(norm, torch.tensor(1.0), rtol=1e-3, atol=0.0)


def test_a_velocity_stands_for_the_noise_that_it_implies() -> None:
    config = dataclasses.replace(MODEL, predicts="velocity")
    process = DiffusionProcess(Schedule.linear())
    timesteps = torch.tensor([0, 50, 500, 999])
    start, noise = torch.rand(2, 4, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1
    cumulated = torch.from_numpy(process.schedule.alphas_cumprod)[timesteps].float()[:, None, None, None]
    velocity = cumulated.sqrt() * noise - (1 - cumulated).sqrt() * start
    model = NoisePredictor(config)
    # In place of the U-Net, what it is to learn: the velocity in patches, v of 0.
    answer = torch.nn.functional.pixel_unshuffle(torch.cat([velocity, torch.zeros_like(velocity)], dim=1), 2)
    model.unet.forward = lambda *_arguments, **_named: (answer,)
    found = model(process.diffuse(start, timesteps, noise), timesteps, torch.zeros(4, dtype=torch.int64))
    torch.testing.assert_close(found[:, :3], noise, rtol=1e-4, atol=1e-4)
    # A squared error of the velocity is as many times that of the noise.
    torch.testing.assert_close(model.loss_weights(timesteps), 1 / cumulated.flatten())
    assert model.state_dict().keys() == NoisePredictor(MODEL).state_dict().keys()


def test_training_lowers_the_loss(bolt: CategoryData, tmp_path: Path) -> None:
    config = dataclasses.replace(TRAIN, steps=80, accumulate=1, batch=8, save_every=40, learning_rate=3e-3)
    history = trained(bolt, tmp_path, config).training["history"]
    # A network that sees no noise in anything has a loss of 1.
    assert history[0]["simple"] < 0.95
    assert history[1]["simple"] < 0.8 * history[0]["simple"]


def test_one_model_learns_several_categories_apart(data: Path, tmp_path: Path) -> None:
    category = load_category(data, "all")
    checkpoint = trained(category, tmp_path, dataclasses.replace(TRAIN, save_every=6))
    assert checkpoint.model.config.categories == ("bolt", "nut")
    rows = weights(checkpoint)["unet.class_embedding.weight"]
    assert rows.shape[0] == 2
    assert not torch.equal(rows[0], rows[1])
    with Image.open(tmp_path / "grids" / "step-000006.png") as grid:
        assert grid.height == 2 * 128 + 2


def test_images_held_out_for_the_threshold_stay_unseen(
    bolt: CategoryData, uninterrupted: tuple[DiffusionCheckpoint, Path]
) -> None:
    assert uninterrupted[0].training["splits"] == make_splits(bolt, 0).to_dict()


def test_an_estimate_trains_nothing(bolt: CategoryData, tmp_path: Path) -> None:
    said: list[str] = []
    found = train_diffusion(
        bolt, CategoryPaths(tmp_path), MODEL, TRAIN, Start(estimate=True), Listeners(said.append)
    )
    assert found is None
    assert list(tmp_path.iterdir()) == []
    assert any("6 steps take about" in line for line in said)


def test_timing_leaves_the_training_as_it_is(bolt: CategoryData) -> None:
    torch.manual_seed(0)
    step = DiffusionStep(
        NoisePredictor(MODEL), TRAIN, choose_compute(TRAIN), DiffusionProcess(Schedule.linear())
    )
    before = {key: value.clone() for key, value in step.model.state_dict().items()}
    assert step.seconds(*NormalImages(bolt.train, [0] * 30, 16, TRAIN).batch(range(4))) > 0
    assert all(torch.equal(value, before[key]) for key, value in step.model.state_dict().items())
    assert step.optimiser.state_dict()["state"] == {}


def test_few_images_get_a_warning_with_alternatives() -> None:
    assert few_images_advice(150, "bolt") is None
    advice = few_images_advice(149, "bolt")
    assert advice is not None
    for named in ("149 images", "noise", "textures=FOLDER", "sia=FOLDER", "--init"):
        assert named in advice


def test_the_time_follows_from_a_step() -> None:
    config = dataclasses.replace(TRAIN, steps=7200)
    assert "about 4.0 hours" in describe_time(config, 0, 0.0, 2.0, "grids")
    assert "3600 steps take about 2.0 hours" in describe_time(config, 3600, 120.0, 2.0, "grids")
    limited = dataclasses.replace(config, minutes=30)
    assert "--minutes 30 ends it after about 900 steps" in describe_time(limited, 0, 0.0, 2.0, "grids")
    assert "after about 700 steps" in describe_time(limited, 400, 20.0, 2.0, "grids")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"image_size": 18}, "multiple of 4"),
        ({"width": 10}, "groups"),
        ({"categories": ("a", "a")}, "none twice"),
    ],
)
def test_structures_that_cannot_be_built_are_refused(change: dict[str, object], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        dataclasses.replace(MODEL, **change)


def test_a_step_without_memory_names_what_needs_less(
    bolt: CategoryData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(DiffusionStep, "__call__", lambda *_: torch.empty(1 << 60, dtype=torch.uint8))
    with pytest.raises(OutOfMemoryError, match=r"--gradient-checkpointing.*a smaller --batch \(now 4\)"):
        trained(bolt, tmp_path)
