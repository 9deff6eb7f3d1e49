"""What happens once before the first step: images, splits, foreground, backbone statistics, AFS."""

from __future__ import annotations

import copy
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from realnet_edge.config import ModelConfig, SynthesisConfig, TrainConfig
from realnet_edge.data import CategoryData, Splits, check_images, make_splits
from realnet_edge.data.splits import MIN_GOOD_IMAGES
from realnet_edge.errors import DataError
from realnet_edge.model import RealNet
from realnet_edge.model.afs import channel_statistics, select_channels
from realnet_edge.model.backbone import load_pretrained
from realnet_edge.model.tiling import cut
from realnet_edge.synthesis import ForegroundRule, View, foreground_of_files
from realnet_edge.synthesis.windows import JITTER_SHARE
from realnet_edge.training.first_draw import keep_head_alive
from realnet_edge.training.fixture import fitted_view
from realnet_edge.training.samples import AnomalyDataset, batches
from realnet_edge.training.validation import Judge, Validation, validate

# Keeps the numbers of AFS samples apart from those of training, which count from 0.
_AFS_FIRST = 1 << 40
# Images that show whether the discriminator's head can learn.
_PROBED = 8


@dataclass(frozen=True)
class Prepared:
    """Everything a training starts from.

    Attributes:
        model: with pretrained backbone, standardisation and AFS in place.
        splits: the good images by use.
        rule: foreground rule, or those of several categories, and `reason` why they were taken.
        foregrounds: the same for people, a line a category.
        training, validation: the two sources of samples.
        weights: where the backbone's weights came from.
        judge: what says how good the model is, and so which checkpoint is kept.
    """

    model: RealNet
    splits: Splits
    rule: str
    reason: str
    foregrounds: tuple[str, ...]
    training: AnomalyDataset
    validation: AnomalyDataset
    weights: str
    judge: Judge


def prepare(
    category: CategoryData,
    model_config: ModelConfig,
    synthesis: SynthesisConfig,
    train: TrainConfig,
    weights: Path | None,
    device: torch.device,
) -> Prepared:
    """Check the images, split them, choose the foreground, and set up the model.

    Raises:
        DataError: images that cannot be decoded, or too few of them.
        CheckpointError: no pretrained weights for the backbone.
    """
    check_images(category.train, MIN_GOOD_IMAGES, f"to train {category.name}{category.set_aside}")
    splits = make_splits(category, train.seed)
    paths = splits.paths(category.root, "train")
    grid = model_config.grid
    torch.manual_seed(train.seed)
    model = RealNet(model_config)
    view, fixture = _fixture(model, category, paths)
    choices = [
        _foreground(part, [path for path in paths if part.root in path.parents], synthesis, grid.size, view)
        for part in category.singles
    ]
    of_train = _rule_of_each(paths, category, choices)
    training = AnomalyDataset(
        paths, grid, synthesis, of_train, train.seed, jitter=int(JITTER_SHARE * grid.side), view=view
    )
    # Validation judges images as they are: no rotation or flips, tiles where the engine cuts them.
    plain = SynthesisConfig(source=synthesis.source, foreground=synthesis.foreground)
    calibration = splits.paths(category.root, "calibration")
    of_validation = _rule_of_each(calibration, category, choices)
    validation = AnomalyDataset(calibration, grid, plain, of_validation, train.seed + 1, share=0.5, view=view)
    origin = load_pretrained(model.backbone, model_config, weights)
    model.to(device)
    rule, reason = _in_words(category, choices)
    names = [f" of {part.name}" for part in category.parts] or [""]
    lines = tuple(f"foreground{name}: {why}" for name, (_, why) in zip(names, choices, strict=True))
    lines = (*fixture, *lines)
    judge: Judge = partial(_validate, validation)
    return Prepared(model, splits, rule, reason, lines, training, validation, origin, judge)


def _validate(dataset: AnomalyDataset, model: RealNet, batch: int) -> Validation:
    return validate(model, dataset, batch)


def _fixture(
    model: RealNet, category: CategoryData, paths: Sequence[Path]
) -> tuple[View | None, tuple[str, ...]]:
    """What the network sees of an image where parts are aligned, fitted to the training images, and a word.

    Raises:
        DataError: parts cannot be aligned.
    """
    if model.alignment is None:
        return None, ()
    if category.parts:
        raise DataError(
            f"{category.name} is several categories, and parts of one shape alone can be aligned. Leave "
            "--align out, or train each category by itself."
        )
    # The model moves to its device; images are aligned where they are loaded.
    own = copy.deepcopy(model.alignment)
    view, described = fitted_view(own, paths)
    model.alignment.load_state_dict(own.state_dict())
    return view, (f"alignment: {described}",)


def _foreground(
    category: CategoryData,
    paths: Sequence[Path],
    synthesis: SynthesisConfig,
    size: tuple[int, int],
    view: View | None,
) -> tuple[ForegroundRule, str]:
    """A single category's foreground rule, and why it was taken."""
    if not paths:
        raise DataError(f"no image of {category.name} is among those to train on: it needs more good images.")
    return foreground_of_files(paths, size, synthesis.foreground, category.foreground, view)


def _rule_of_each(
    paths: Sequence[Path], category: CategoryData, choices: Sequence[tuple[ForegroundRule, str]]
) -> list[ForegroundRule]:
    """The foreground rule of each image: that of the category whose folder it lies in."""
    by_folder = {part.root: rule for part, (rule, _) in zip(category.singles, choices, strict=True)}
    return [next(by_folder[folder] for folder in path.parents if folder in by_folder) for path in paths]


def _in_words(category: CategoryData, choices: Sequence[tuple[ForegroundRule, str]]) -> tuple[str, str]:
    """The rules and the reasons as the checkpoint records them."""
    if not category.parts:
        return str(choices[0][0]), choices[0][1]
    pairs = list(zip(category.parts, choices, strict=True))
    rules = ", ".join(f"{part.name} {rule}" for part, (rule, _) in pairs)
    return rules, "; ".join(f"{part.name}: {reason}" for part, (_, reason) in pairs)


def fit_features(prepared: Prepared, train: TrainConfig) -> None:
    """Exposure, the taps' scale and channels (AFS or its stand-in), a head that learns; in place."""
    model = prepared.model
    model.inputs.reference.fill_(prepared.training.images.mean(dtype=np.float64))
    if model.config.standardise:
        _standardise(model, prepared.training, train.batch)
    _choose_channels(prepared, train)
    with closing(_afs_batches(model, prepared.training, train)) as pairs:
        anomalous, _, _ = next(pairs)
    keep_head_alive(model, anomalous[:_PROBED])


def _choose_channels(prepared: Prepared, train: TrainConfig) -> None:
    model = prepared.model
    if model.config.selection != "afs":
        generator = torch.Generator().manual_seed(train.seed)
        for selection in model.selections():
            selection.draw(generator)
        return
    pairs = _afs_batches(model, prepared.training, train)
    chosen = select_channels(model.backbone, pairs, model.config.planes)
    for selection, index in zip(model.selections(), chosen, strict=True):
        selection.index.copy_(index)


def _standardise(model: RealNet, dataset: AnomalyDataset, batch: int) -> None:
    parts = np.array_split(dataset.images, min(len(dataset.images), max(1, len(dataset) // batch)))
    images = (model.inputs(torch.from_numpy(part)) for part in parts)
    statistics = channel_statistics(model.backbone, (cut(part, dataset.grid) for part in images))
    for selection, (mean, deviation) in zip(model.selections(), statistics, strict=True):
        selection.mean.copy_(mean)
        selection.scale.copy_(1.0 / deviation)


def _afs_batches(
    model: RealNet, dataset: AnomalyDataset, train: TrainConfig
) -> Generator[tuple[Tensor, Tensor, Tensor], None, None]:
    """Synthetic anomalies only, as the official implementation feeds AFS."""
    share = dataset.share
    dataset.share = 1.0
    stop = _AFS_FIRST + train.afs_batches * train.batch
    try:
        for part in batches(dataset, _AFS_FIRST, stop, train.batch, train.workers):
            levels, changed = part.level_parts
            anomalous = model.inputs(part.anomalous, changed)
            mask = part.mask[:, None].to(model.inputs.scale.device)
            yield anomalous, model.inputs(part.normal, levels), mask
    finally:
        dataset.share = share
