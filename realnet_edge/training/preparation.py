"""What happens once before the first step: images, splits, foreground, backbone statistics, AFS."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from realnet_edge.config import ModelConfig, SynthesisConfig, TrainConfig
from realnet_edge.data import CategoryData, Splits, check_images, make_splits
from realnet_edge.data.splits import MIN_GOOD_IMAGES
from realnet_edge.imaging import evenly_spread, load_batch
from realnet_edge.model import RealNet
from realnet_edge.model.afs import channel_statistics, select_channels
from realnet_edge.model.backbone import load_pretrained
from realnet_edge.model.tiling import cut
from realnet_edge.synthesis import ForegroundRule, resolve_foreground
from realnet_edge.synthesis.foreground_choice import MAX_IMAGES
from realnet_edge.training.samples import AnomalyDataset, batches

# Keeps the numbers of AFS samples apart from those of training, which count from 0.
_AFS_FIRST = 1 << 40
# Training tiles are moved by up to this share of their side from where the engine cuts them, because no
# camera sees a part at the same pixel twice.
_JITTER = 1 / 16


@dataclass(frozen=True)
class Prepared:
    """Everything a training starts from.

    Attributes:
        model: with pretrained backbone, standardisation and AFS in place.
        splits: the good images by use.
        rule: foreground rule, and `reason` why it was taken.
        training, validation: the two sources of samples.
        weights: where the backbone's weights came from.
    """

    model: RealNet
    splits: Splits
    rule: ForegroundRule
    reason: str
    training: AnomalyDataset
    validation: AnomalyDataset
    weights: str


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
    sample = load_batch([paths[index] for index in evenly_spread(len(paths), MAX_IMAGES)], grid.size)
    rule, reason = resolve_foreground(synthesis.foreground, list(sample), category.foreground)
    training = AnomalyDataset(paths, grid, synthesis, rule, train.seed, jitter=int(_JITTER * grid.side))
    # Validation judges images as they are: no rotation or flips, tiles where the engine cuts them.
    plain = SynthesisConfig(source=synthesis.source, foreground=synthesis.foreground)
    calibration = splits.paths(category.root, "calibration")
    validation = AnomalyDataset(calibration, grid, plain, rule, train.seed + 1, share=0.5)
    torch.manual_seed(train.seed)
    model = RealNet(model_config)
    origin = load_pretrained(model.backbone, model_config, weights)
    model.to(device)
    return Prepared(model, splits, rule, reason, training, validation, origin)


def fit_features(prepared: Prepared, train: TrainConfig) -> None:
    """Exposure, standardisation of the taps and their choice of channels (AFS or its stand-in), in place."""
    model = prepared.model
    model.inputs.reference.fill_(prepared.training.images.mean(dtype=np.float64))
    if model.config.standardise:
        _standardise(model, prepared.training, train.batch)
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
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
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
