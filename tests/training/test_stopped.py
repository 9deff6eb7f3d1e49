"""Trainings that cannot go on: what is said, and that nothing looks finished."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from torch import Tensor

from realnet_edge.config import ModelConfig, SynthesisConfig, TrainConfig
from realnet_edge.data import CategoryData, make_splits
from realnet_edge.training import OutOfMemoryError, TrainingDivergedError, train
from realnet_edge.training.samples import Batch
from realnet_edge.training.step import Step
from realnet_edge.workspace import CategoryPaths, Workspace

MODEL = ModelConfig.for_backbone(
    "tf_efficientnet_lite0", image_size=64, planes=(8, 16, 16), widths=(8, 8, 24), rrs_max=8, rrs_mean=8
)
SYNTHESIS = SynthesisConfig(source="patches:0.5,scratches:0.5")
TRAIN = TrainConfig(
    steps=6, batch=4, patience=0, learning_rate=1e-3, validate_every=2, afs_batches=2, workers=0, threads=1
)


@pytest.fixture
def paths(tmp_path: Path) -> CategoryPaths:
    return Workspace(tmp_path).category("cells")


def names_of(batch: Batch, category: CategoryData) -> str:
    """The files that a batch was made of, in its order."""
    files = make_splits(category, TRAIN.seed).paths(category.root, "train")
    return ", ".join(files[position].name for position in batch.positions.tolist())


def test_weights_that_explode_stop_with_advice(category: CategoryData, paths: CategoryPaths) -> None:
    config = dataclasses.replace(TRAIN, steps=2000, learning_rate=0.9, validate_every=10)
    with pytest.raises(TrainingDivergedError, match=r"step \d+: .*\.png.*--learning-rate"):
        train(category, paths, MODEL, SYNTHESIS, config)
    assert not paths.checkpoint.exists()


@pytest.mark.parametrize("where", ["loss", "weights"])
def test_the_step_and_the_images_of_its_own_batch_are_named(
    where: str, category: CategoryData, paths: CategoryPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A loss that is no number shows at once, weights that are none in the validation after the step."""
    steps: list[Batch] = []
    plain = Step.__call__

    def spoilt(self: Step, batch: Batch, rate: float) -> Tensor:
        steps.append(batch)
        found = plain(self, batch, rate)
        if len(steps) == 4 and where == "weights":
            with torch.no_grad():
                self.optimiser.param_groups[0]["params"][0].fill_(float("nan"))
        return found * float("nan") if len(steps) == 4 and where == "loss" else found

    monkeypatch.setattr(Step, "__call__", spoilt)
    with pytest.raises(TrainingDivergedError) as caught:
        train(category, paths, MODEL, SYNTHESIS, TRAIN)
    assert len(steps) == 4
    assert str(caught.value).startswith("step 4: ")
    folder = category.train[0].parent
    assert f"the batch was made of {names_of(steps[3], category)} in {folder}." in str(caught.value)
    assert not paths.checkpoint.exists()


def test_a_step_without_memory_names_what_needs_less(
    category: CategoryData, paths: CategoryPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Step, "__call__", lambda *_: torch.empty(1 << 60, dtype=torch.uint8))
    with pytest.raises(OutOfMemoryError, match=r"--gradient-checkpointing.*a smaller --batch \(now 4\)"):
        train(category, paths, MODEL, SYNTHESIS, TRAIN)
    assert not paths.checkpoint.exists()
