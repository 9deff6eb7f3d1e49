"""How good the model is now, judged on set-aside normals and synthetic anomalies, never on test images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch

from realnet_edge.metrics import image_auroc, pixel_auroc, pixel_average_precision
from realnet_edge.model import RealNet, anomaly_map, image_score
from realnet_edge.training.samples import AnomalyDataset, batches

# Repeats of the validation images, or of their tiles, each with another anomaly: one pass decides too little.
ROUNDS = 2


@dataclass(frozen=True)
class Validation:
    """Accuracy in percent, on synthetic anomalies unless a subclass says otherwise.

    Attributes:
        image_auroc: normal images against images with a synthetic anomaly; tiles, where images are cut.
        pixel_auroc: pixels of the anomalous images.
        pixel_ap: average precision over the same pixels; it still moves where AUROC is near 100.
        on: what was judged, for people.
    """

    on: ClassVar[str] = "validation"

    image_auroc: float
    pixel_auroc: float
    pixel_ap: float

    @property
    def score(self) -> float:
        """What the checkpoint is chosen by: the mean of image AUROC and pixel average precision."""
        return (self.image_auroc + self.pixel_ap) / 2


# Judges a model with so many images at once.
Judge = Callable[[RealNet, int], Validation]


@dataclass(frozen=True)
class Choice:
    """What a checkpoint is chosen by, where it is not the usual validation.

    Attributes:
        name: one of `realnet_edge.config.CHECKPOINT_BY`, for the record.
        judge: its `Validation.score` decides.
    """

    name: str
    judge: Judge


@torch.no_grad()
def validate(model: RealNet, dataset: AnomalyDataset, batch: int) -> Validation:
    """Evaluate on `ROUNDS` passes over a dataset whose samples carry an anomaly every second time.

    The samples are numbered from 0, so every call sees the same ones. Leaves the model in evaluation mode.

    Raises:
        FloatingPointError: a map is not finite.
    """
    model.eval()
    maps, scores, masks, labels = [], [], [], []
    for part in batches(dataset, 0, ROUNDS * len(dataset), batch, workers=0):
        output = model(model.inputs(part.images, part.image_levels))
        predicted = anomaly_map(output.logits, part.mask.shape[-2:])
        if not torch.isfinite(predicted).all():
            raise FloatingPointError("anomaly maps of the validation images are not finite")
        scores.append(image_score(predicted, model.config.score_rule).cpu().numpy())
        labels.append(part.carries.numpy())
        maps.append(predicted.cpu()[part.carries].numpy())
        masks.append(part.mask[part.carries].numpy().astype(np.bool_))
    pixels, truth = np.concatenate(maps), np.concatenate(masks)
    return Validation(
        image_auroc=100 * image_auroc(np.concatenate(labels).astype(np.int64), np.concatenate(scores)),
        pixel_auroc=100 * pixel_auroc(truth, pixels),
        pixel_ap=100 * pixel_average_precision(truth, pixels),
    )
