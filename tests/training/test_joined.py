"""One model for several categories: whose foreground an image has, in samples and in the record."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from realnet_edge.config import ModelConfig, SynthesisConfig, TrainConfig
from realnet_edge.data import CategoryData, load_category
from realnet_edge.model.checkpoint import load_checkpoint
from realnet_edge.training import train
from realnet_edge.training.preparation import prepare
from realnet_edge.workspace import Workspace

MODEL = ModelConfig.for_backbone(
    "tf_efficientnet_lite0", image_size=64, planes=(8, 16, 16), widths=(8, 8, 24), rrs_max=8, rrs_mean=8
)
SYNTHESIS = SynthesisConfig(source="patches:1")
TRAIN = TrainConfig(
    steps=1, batch=4, patience=0, validate_every=1, afs_batches=1, workers=0, threads=1, device="cpu"
)
# Left and right third of the image: what the foreground of each category may cover.
SIDES = {"left": slice(6, 22), "right": slice(42, 58)}


@pytest.fixture
def both(tmp_path: Path) -> CategoryData:
    """Dark squares on the left of bright images, and bright squares on the right of dark ones."""
    rng = np.random.default_rng(0)
    for name, columns in SIDES.items():
        folder = tmp_path / name / "good"
        folder.mkdir(parents=True)
        ground, part = (220, 30) if name == "left" else (30, 220)
        for number in range(30):
            image = np.full((64, 64, 3), ground, np.uint8)
            top = int(rng.integers(8, 30))
            image[top : top + 24, columns] = part + rng.integers(0, 12, (24, 16, 1))
            Image.fromarray(image).save(folder / f"{number}.png")
    return load_category(tmp_path, "all")


def test_every_image_has_the_foreground_of_its_category(both: CategoryData) -> None:
    prepared = prepare(both, MODEL, SYNTHESIS, TRAIN, None, torch.device("cpu"))
    assert "left otsu:dark" in prepared.rule
    assert "right otsu:bright" in prepared.rule
    seen = set()
    for dataset in (prepared.training, prepared.validation):
        dataset.share = 1.0
        for number in range(len(dataset.images)):
            name = dataset.path(number).parent.parent.name
            mask = dataset[number].mask
            inside = np.zeros_like(mask)
            inside[:, SIDES[name]] = True
            # A closing may widen a foreground by a few pixels.
            assert not (mask & ~np.roll(inside, 5, 1) & ~np.roll(inside, -5, 1) & ~inside).any()
            seen.add(name)
    assert seen == {"left", "right"}


def test_it_is_trained_and_recorded_under_its_name(both: CategoryData, tmp_path: Path) -> None:
    paths = Workspace(tmp_path / "workspace").category("all")
    train(both, paths, MODEL, SYNTHESIS, dataclasses.replace(TRAIN, steps=1))
    checkpoint = load_checkpoint(paths.checkpoint)
    assert checkpoint.data == {"root": str(both.root.resolve()), "layout": "joined"}
    assert checkpoint.foreground["rule"].startswith("left otsu:dark")
    assert {name.split("/")[0] for name in checkpoint.splits["train"]} == {"left", "right"}
