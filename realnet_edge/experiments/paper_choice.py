"""Checkpoints chosen on the test set, as the published figures' were. For comparison with these alone.

Source: the official RealNet code validates on the test set every 5 epochs and keeps the model with the best
mean of image AUROC and pixel AUROC. Figures of such a model on the same images are too good, and say nothing
of parts that nobody has seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import torch

from realnet_edge.bench.testset import TestSet, gather_test_set
from realnet_edge.config import CHECKPOINT_BY
from realnet_edge.data import CategoryData
from realnet_edge.errors import DataError
from realnet_edge.export.graph import EngineGraph
from realnet_edge.imaging import load_batch
from realnet_edge.metrics import image_auroc, pixel_auroc, pixel_average_precision
from realnet_edge.model import RealNet
from realnet_edge.training.validation import Choice, Validation


@dataclass(frozen=True)
class OnTestSet(Validation):
    """Accuracy on the test images, in percent; the mean over categories where the model inspects several."""

    on: ClassVar[str] = "TEST SET"

    @property
    def score(self) -> float:
        """What the official code chooses by: the mean of image and pixel AUROC."""
        return (self.image_auroc + self.pixel_auroc) / 2


class PaperJudge:
    """Judges models on the test images of a category; each of its defects has a mask."""

    def __init__(self, category: CategoryData) -> None:
        self._test: TestSet = gather_test_set(category)

    @torch.no_grad()
    def __call__(self, model: RealNet, batch: int) -> OnTestSet:
        """Accuracy on all test images, so many at once. Leaves the model in evaluation mode.

        Raises:
            FloatingPointError: a map is not finite.
        """
        graph = EngineGraph(model.eval(), model.config.score_rule)
        device = model.inputs.scale.device
        size, paths = model.config.input_size, self._test.paths
        maps, scores = [], []
        for start in range(0, len(paths), batch):
            images = torch.from_numpy(load_batch(paths[start : start + batch], size)).to(device)
            predicted, score, _ = graph(images)
            maps.append(predicted.cpu().numpy())
            scores.append(score.cpu().numpy())
        all_maps, all_scores = np.concatenate(maps), np.concatenate(scores)
        if not np.isfinite(all_maps).all():
            raise FloatingPointError("anomaly maps of the test images are not finite")
        found = [self._figures(name, all_maps, all_scores) for name in sorted(set(self._test.categories))]
        image, pixel, precision = (100 * fmean(column) for column in zip(*found, strict=True))
        return OnTestSet(image, pixel, precision)

    def _figures(
        self, name: str, maps: npt.NDArray[np.float32], scores: npt.NDArray[np.float32]
    ) -> tuple[float, float, float]:
        """Image AUROC, pixel AUROC and pixel average precision of one category's images, shares in [0, 1]."""
        own, places = self._test.of_category(name)
        masks = own.masks((maps.shape[1], maps.shape[2]))
        if masks is None:
            raise DataError(f"{name} has defects without masks: a checkpoint cannot be chosen on them.")
        return (
            image_auroc(own.labels, scores[places]),
            pixel_auroc(masks, maps[places]),
            pixel_average_precision(masks, maps[places]),
        )


def paper_choice(category: CategoryData) -> Choice:
    """The paper's way of choosing a category's checkpoint.

    Raises:
        DataError: the category has no test images.
    """
    return Choice(CHECKPOINT_BY[1], PaperJudge(category))
