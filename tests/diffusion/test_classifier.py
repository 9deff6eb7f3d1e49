from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from realnet_edge.config.diffusion import ClassifierConfig
from realnet_edge.config.diffusion_training import ClassifierTrainConfig
from realnet_edge.data import CategoryData, load_categories, load_category
from realnet_edge.diffusion.accuracy import RANGES
from realnet_edge.diffusion.checkpoint import CLASSIFIER, ClassifierCheckpoint
from realnet_edge.diffusion.classifier_trainer import train_classifier
from realnet_edge.diffusion.noised_training import Start
from realnet_edge.errors import CheckpointError, DataError
from realnet_edge.training.loop import Listeners
from realnet_edge.training.state import Progress
from realnet_edge.workspace import CategoryPaths

MODEL = ClassifierConfig(
    image_size=16, patch=2, width=16, multipliers=(1, 2), blocks=1, attention=(4,), head_width=16, groups=4,
    dropout=0.1,
)  # fmt: skip
TRAIN = ClassifierTrainConfig(
    steps=5, batch=4, accumulate=2, learning_rate=1e-3, save_every=2, threads=1, device="cpu"
)


class KilledError(Exception):
    """Stands for a kill: nothing of the training gets to do anything after it."""


def trained(
    category: CategoryData, root: Path, start: Start | None = None, kill_at: int = 0
) -> ClassifierCheckpoint:
    def report(progress: Progress, _loss: float, accuracy: float) -> None:
        assert 0 <= accuracy <= 1
        if progress.step == kill_at:
            raise KilledError

    made = train_classifier(category, CategoryPaths(root), MODEL, TRAIN, start, Listeners(report=report))
    assert made is not None
    return made


@pytest.fixture(scope="module")
def both(data: Path) -> CategoryData:
    return load_category(data, "all")


def test_a_training_that_was_killed_ends_as_one_that_was_not(both: CategoryData, tmp_path: Path) -> None:
    whole = trained(both, tmp_path / "whole")
    with pytest.raises(KilledError):
        trained(both, tmp_path / "part", kill_at=3)
    with pytest.raises(CheckpointError, match="step 2"):
        trained(both, tmp_path / "part")
    part = trained(both, tmp_path / "part", Start(resume=True))
    read = CLASSIFIER.load(tmp_path / "whole" / "checkpoint")
    for key, tensor in whole.model.state_dict().items():
        assert torch.equal(tensor, part.model.state_dict()[key]), key
        assert torch.equal(tensor, read.model.state_dict()[key]), key
    histories = [[{**entry, "minutes": 0} for entry in c.training["history"]] for c in (whole, part, read)]
    assert histories[0] == histories[1] == histories[2]
    assert [entry["step"] for entry in histories[0]] == [2, 4, 5]
    assert {f"accuracy_{first}_{last}" for first, last in RANGES} < set(histories[0][0])
    assert RANGES == ((0, 249), (250, 499), (500, 749), (750, 999))
    assert not (tmp_path / "part" / "training").exists()


def test_a_missing_classifier_names_its_command(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="synth classifier --data DIR"):
        CLASSIFIER.load(tmp_path)


def test_one_category_leaves_nothing_to_tell(bolt: CategoryData, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="bolt is the only one here"):
        trained(bolt, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_several_names_are_one_category(data: Path, both: CategoryData) -> None:
    chosen = load_categories(data, "nut,bolt")
    assert [part.name for part in chosen.parts] == ["nut", "bolt"]
    assert set(chosen.train) == set(both.train)
    assert load_categories(data, "bolt").parts == ()
    with pytest.raises(DataError, match="one folder twice"):
        load_categories(data, "bolt,bolt")
    with pytest.raises(DataError, match="one folder twice"):
        load_categories(data / "bolt", "bolt,nut")
    with pytest.raises(DataError, match="no category 'gear'"):
        load_categories(data, "bolt,gear")


def test_a_structure_says_what_it_pools() -> None:
    assert MODEL.pooled == 4
    assert ClassifierConfig().pooled == 8
    assert dataclasses.replace(MODEL, patch=1).pooled == 8
