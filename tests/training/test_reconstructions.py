"""A U-Net that has not learned to reconstruct is found and told of."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from realnet_edge.config import ModelConfig, SynthesisConfig, TrainConfig
from realnet_edge.data import CategoryData
from realnet_edge.model.checkpoint import load_checkpoint
from realnet_edge.training import Listeners, train
from realnet_edge.training.preparation import Prepared, fit_features, prepare
from realnet_edge.training.reconstructions import behind, unreconstructed, warning
from realnet_edge.workspace import Workspace

MODEL = ModelConfig.for_backbone(
    "tf_efficientnet_lite0",
    taps=(1, 2),
    planes=(8, 8),
    widths=(8, 8),
    rrs_max=4,
    rrs_mean=4,
    image_size=64,
    standardise=True,
)
SYNTHESIS = SynthesisConfig(source="cutpaste:1")
TRAIN = TrainConfig(steps=2, batch=4, afs_batches=1, validate_every=2, workers=0)


@pytest.fixture
def prepared(category: CategoryData) -> Prepared:
    made = prepare(category, MODEL, SYNTHESIS, TRAIN, None, torch.device("cpu"))
    fit_features(made, TRAIN)
    return made


def test_what_is_left_is_all_at_first_and_nothing_of_a_copy(prepared: Prepared) -> None:
    model = prepared.model
    # The last convolution starts as zero: all of the variance is left, and the square of the mean.
    first, second = unreconstructed(model, prepared.validation, 4)
    assert 0.95 < first < 2.0
    assert 0.95 < second < 2.0
    model.reconstruction[0] = nn.Identity()
    first, second = unreconstructed(model, prepared.validation, 4)
    assert first == 0.0
    assert second > 0.95
    assert behind([first, second]) == [1]


@pytest.mark.parametrize(
    ("shares", "expected"),
    [
        ((0.020, 0.025, 0.504), [2]),
        ((0.023, 0.029, 0.019), []),
        ((0.6, 0.02, 0.5), [0, 2]),
        # All have far to go yet: that says nothing of one of them.
        ((0.8, 0.9, 1.0), []),
        # A small share is good whatever the others leave.
        ((0.001, 0.1), []),
        ((0.7,), []),
    ],
)
def test_a_block_is_behind_where_it_leaves_much_and_others_little(
    shares: tuple[float, ...], expected: list[int]
) -> None:
    assert behind(shares) == expected
    assert (warning(shares) is not None) == bool(expected)


def test_the_warning_names_the_block_and_what_to_do() -> None:
    said = warning((0.020, 0.025, 0.504))
    assert said is not None
    assert "block 3 of 3 (50%)" in said
    assert "leaves 2%" in said
    for way in ("--no-joint", "--seed", "--learning-rate"):
        assert way in said


def test_a_training_records_what_is_left_and_warns(
    category: CategoryData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    paths = Workspace(tmp_path).category("cells")
    monkeypatch.setattr("realnet_edge.training.reconstructions.POOR_RATIO", 0.5)
    train(category, paths, MODEL, SYNTHESIS, TRAIN, listeners=Listeners(say=said.append))
    left = load_checkpoint(paths.checkpoint).training["unreconstructed"]
    assert len(left) == 2
    assert all(share > 0.25 for share in left)
    assert any("the reconstruction leaves much of block 1 of 2" in line for line in said)
