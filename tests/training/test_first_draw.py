"""Draws of the discriminator's head that would die are mended, others are left as they are."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from realnet_edge.config import ModelConfig, SynthesisConfig
from realnet_edge.data import load_category
from realnet_edge.model import RealNet
from realnet_edge.presets import PRESETS
from realnet_edge.training import Listeners, train
from realnet_edge.training.first_draw import keep_head_alive
from realnet_edge.workspace import Workspace

CONFIG = ModelConfig.for_backbone(
    "resnet18", taps=(1, 2), planes=(8, 8), widths=(8, 8), rrs_max=4, rrs_mean=4, image_size=64
)


@pytest.fixture
def model() -> RealNet:
    torch.manual_seed(0)
    return RealNet(CONFIG)


@pytest.fixture
def images() -> Tensor:
    return torch.randn(2, 3, 64, 64)


def _head(model: RealNet) -> tuple[nn.Conv2d, nn.Conv2d]:
    first, _, last = model.discriminator.head
    assert isinstance(first, nn.Conv2d)
    assert isinstance(last, nn.Conv2d)
    return first, last


def _for_anomalies_alone(model: RealNet) -> None:
    """Every channel is active and speaks for "anomalous"."""
    first, last = _head(model)
    nn.init.constant_(first.bias, 50.0)
    with torch.no_grad():
        sums = last.weight.sum(dim=(2, 3))
        swapped = sums[0] > sums[1]
        last.weight[:, swapped] = last.weight[:, swapped].flip(0)


def _silent(model: RealNet) -> None:
    """No channel is active anywhere, and each would speak for "anomalous"."""
    _for_anomalies_alone(model)
    nn.init.constant_(_head(model)[0].bias, -50.0)


def _learns(model: RealNet) -> None:
    """Every channel is active, one speaks for "normal"."""
    _for_anomalies_alone(model)
    _, last = _head(model)
    with torch.no_grad():
        last.weight[:, 2] = last.weight[:, 2].flip(0)


@pytest.mark.parametrize(("spoil", "changes"), [(_for_anomalies_alone, 1), (_silent, 2), (_learns, 0)])
def test_a_draw_that_would_die_is_mended(
    spoil: Callable[[RealNet], None], changes: int, model: RealNet, images: Tensor
) -> None:
    spoil(model)
    before = copy.deepcopy(model)
    assert keep_head_alive(model, images) == changes
    (first, last), (old_first, old_last) = _head(model), _head(before)
    # A draw as likely as the first one: the same numbers, elsewhere or with the other sign.
    assert torch.equal(last.weight.flatten().sort().values, old_last.weight.flatten().sort().values)
    assert torch.equal(first.weight.abs(), old_first.weight.abs())
    if changes:
        assert not torch.equal(last.weight, old_last.weight)
        # What it has mended needs nothing more.
        assert keep_head_alive(model, images) == 0
    else:
        assert all(
            torch.equal(ours, theirs)
            for ours, theirs in zip(model.state_dict().values(), before.state_dict().values(), strict=True)
        )


def test_all_else_stays_as_it_is(model: RealNet, images: Tensor) -> None:
    _silent(model)
    before = copy.deepcopy(model)
    before.eval()
    model.eval()
    keep_head_alive(model, images)
    assert not model.training
    for (name, ours), theirs in zip(model.state_dict().items(), before.state_dict().values(), strict=True):
        assert torch.equal(ours, theirs) or name.startswith("discriminator.head"), name


@pytest.mark.slow
def test_a_seed_that_died_on_screws_learns(mvtec_root: Path, tmp_path: Path) -> None:
    """Left as it was drawn, the segmentation loss was at 0.79 after 40 steps, and at 0.69 after 400."""
    preset = PRESETS["demo"]
    losses: list[float] = []
    train(
        load_category(mvtec_root, "screw"),
        Workspace(tmp_path).category("screw"),
        dataclasses.replace(preset.model, image_size=128),
        SynthesisConfig(source="cutpaste", rotate=180),
        dataclasses.replace(preset.train, steps=40, minutes=0, validate_every=40, seed=2),
        listeners=Listeners(
            report=lambda progress, reconstruction, segmentation: losses.append(segmentation)
        ),
    )
    assert losses[-1] < 0.2
