"""The average of the weights against its definition, and that training itself does not notice it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from torch import Tensor

from realnet_edge.config import ModelConfig, SynthesisConfig, TrainConfig
from realnet_edge.data import CategoryData
from realnet_edge.errors import CheckpointError
from realnet_edge.model import RealNet
from realnet_edge.model.checkpoint import load_checkpoint
from realnet_edge.synthesis import ForegroundRule
from realnet_edge.training import Listeners, train
from realnet_edge.training.averaging import WeightAverage
from realnet_edge.training.loop import copy_state
from realnet_edge.training.samples import AnomalyDataset
from realnet_edge.training.state import Progress
from realnet_edge.training.statistics import refresh_statistics
from realnet_edge.training.validation import Choice, Validation
from realnet_edge.workspace import Workspace

MODEL = ModelConfig.for_backbone(
    "tf_efficientnet_lite0", image_size=64, planes=(8, 16, 16), widths=(8, 8, 24), rrs_max=8, rrs_mean=8
)
SYNTHESIS = SynthesisConfig(source="patches:1", foreground="whole")
DECAY = 0.6
TRAIN = TrainConfig(
    steps=4,
    batch=4,
    patience=0,
    learning_rate=1e-2,
    validate_every=1,
    afs_batches=1,
    statistics_batches=1,
    workers=0,
    threads=1,
    device="cpu",
    ema=DECAY,
)


class BrokenOffError(Exception):
    """Ends a training in the middle."""


class Rising:
    """A choice of the checkpoint by which every validation is the best so far; keeps what it was shown."""

    def __init__(self) -> None:
        self.seen: list[dict[str, Tensor]] = []

    def __call__(self, model: RealNet, batch: int) -> Validation:
        self.seen.append(copy_state(model))
        return Validation(50.0 + len(self.seen), 50.0, 50.0)

    @property
    def choice(self) -> Choice:
        return Choice("validation", self)


def averaged(weights: list[Tensor]) -> Tensor:
    """The definition: the newest counts most, and all shares sum to 1."""
    shares = torch.tensor([DECAY**age for age in reversed(range(len(weights)))], dtype=torch.float64)
    stacked = torch.stack([weight.double() for weight in weights])
    return torch.tensordot(shares / shares.sum(), stacked, 1).float()


def random_steps(model: RealNet, average: WeightAverage, count: int) -> list[dict[str, Tensor]]:
    """Weights that each step finds, taken into the average one after the other."""
    seen = []
    for step in range(1, count + 1):
        with torch.no_grad():
            for weight in model.parameters():
                if weight.requires_grad:
                    weight.normal_()
        average.update(step)
        seen.append(copy_state(model))
    return seen


def test_shares_fall_by_the_decay_and_sum_to_one() -> None:
    torch.manual_seed(0)
    model = RealNet(MODEL)
    average = WeightAverage(model, DECAY)
    seen = random_steps(model, average, 4)
    trained = {name for name, weight in model.named_parameters() if weight.requires_grad}
    assert average.state().keys() == trained
    assert not any(name.startswith("backbone.") for name in trained)
    for name, value in average.state().items():
        torch.testing.assert_close(value, averaged([state[name] for state in seen]))


def test_inside_the_model_holds_the_averages_and_afterwards_what_it_held(category: CategoryData) -> None:
    torch.manual_seed(0)
    model = RealNet(MODEL)
    average = WeightAverage(model, DECAY)
    random_steps(model, average, 2)
    raw, averages = copy_state(model), average.state()
    dataset = AnomalyDataset(category.train[:4], 64, SYNTHESIS, ForegroundRule.parse("whole"), seed=1)
    inside: dict[str, Tensor] = {}

    def validation_that_fails() -> None:
        with average.in_place():
            refresh_statistics(model, dataset, 1, 4)
            inside.update(copy_state(model))
            raise FloatingPointError("maps of the validation images are not finite")

    with pytest.raises(FloatingPointError):
        validation_that_fails()
    assert all(torch.equal(inside[name], value) for name, value in averages.items())
    assert not torch.equal(inside["rrs.norm.running_mean"], raw["rrs.norm.running_mean"])
    assert all(torch.equal(value, raw[name]) for name, value in model.state_dict().items())
    assert all(torch.equal(value, averages[name]) for name, value in average.state().items())


def test_training_keeps_averages_with_their_own_statistics(category: CategoryData, tmp_path: Path) -> None:
    """Validations see averages of the weights that a training without them goes through."""
    shown = {}
    for name, config in (("plain", dataclasses.replace(TRAIN, ema=0.0)), ("averaged", TRAIN)):
        judge = Rising()
        paths = Workspace(tmp_path / name).category("cells")
        train(category, paths, MODEL, SYNTHESIS, config, choice=judge.choice)
        shown[name] = judge.seen
    trained = {name for name, weight in RealNet(MODEL).named_parameters() if weight.requires_grad}
    for step in range(1, TRAIN.steps + 1):
        for name in trained:
            wanted = averaged([state[name] for state in shown["plain"][:step]])
            torch.testing.assert_close(shown["averaged"][step - 1][name], wanted, rtol=1e-4, atol=1e-5)
    model = load_checkpoint(Workspace(tmp_path / "averaged").category("cells").checkpoint).model
    kept = copy_state(model)
    last = shown["averaged"][-1]
    assert all(torch.equal(kept[name], value) for name, value in last.items())
    statistic = "discriminator.reduce.1.running_mean"
    assert not torch.allclose(kept[statistic], shown["plain"][-1][statistic], rtol=1e-3)


def test_an_interrupted_training_goes_on_with_its_average(category: CategoryData, tmp_path: Path) -> None:
    config = dataclasses.replace(TRAIN, steps=6, validate_every=2)

    def interrupt(progress: Progress, *_losses: float) -> None:
        if progress.step == 5:
            raise BrokenOffError

    straight, broken = Rising(), Rising()
    whole = Workspace(tmp_path / "straight").category("cells")
    train(category, whole, MODEL, SYNTHESIS, config, choice=straight.choice)
    paths = Workspace(tmp_path / "broken").category("cells")
    with pytest.raises(BrokenOffError):
        train(
            category,
            paths,
            MODEL,
            SYNTHESIS,
            config,
            choice=broken.choice,
            listeners=Listeners(report=interrupt),
        )
    train(category, paths, MODEL, SYNTHESIS, config, choice=broken.choice, resume=True)
    assert len(straight.seen) == len(broken.seen) == 3
    for one, other in zip(straight.seen, broken.seen, strict=True):
        assert all(torch.equal(one[name], value) for name, value in other.items())


def test_an_average_of_other_weights_is_refused() -> None:
    average = WeightAverage(RealNet(MODEL), DECAY)
    state = average.state()
    name = next(iter(state))
    del state[name]
    with pytest.raises(CheckpointError, match=f"no average of {name}"):
        average.load(state)
