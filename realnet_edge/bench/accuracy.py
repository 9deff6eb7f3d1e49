"""How well answers fit the ground truth, and how well that is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields

import cv2
import numpy as np
import numpy.typing as npt

from realnet_edge.bench.predictions import Predictions
from realnet_edge.config import SCORE_WINDOW
from realnet_edge.metrics import (
    PixelCounts,
    image_auroc,
    image_auroc_interval,
    image_average_precision,
    image_f1_max,
    image_precision_intervals,
    pixel_intervals,
    pixel_scores,
)

Labels = npt.NDArray[np.int64]
Masks = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Accuracy:
    """Accuracy on labelled images in percent; None where it cannot be computed.

    Where several categories are inspected by one model, each figure is the mean over them: ranks across
    categories say nothing of either.

    Attributes:
        image_auroc: of the scores, by whichever rule; None where the images are all good or all defective.
        pixel_auroc, au_pro: None without masks.
        pro_reference: None without masks, and where the maps are too flat to define it.
        image_auroc_max, image_auroc_avgpool16: by the two rules of `ModelConfig.score_rule`, each applied to
            the maps as they are reported; None as `image_auroc`, or where a map is smaller than the window.
        image_ap, image_f1_max: of the scores; None as `image_auroc`.
        pixel_ap, pixel_f1_max: None without masks.
    """

    image_auroc: float | None
    pixel_auroc: float | None = None
    au_pro: float | None = None
    pro_reference: float | None = None
    image_auroc_max: float | None = None
    image_auroc_avgpool16: float | None = None
    image_ap: float | None = None
    image_f1_max: float | None = None
    pixel_ap: float | None = None
    pixel_f1_max: float | None = None

    def to_dict(self) -> dict[str, float | None]:
        """Name and value of each metric."""
        return asdict(self)


def measure_accuracy(
    labels: Labels, masks: Masks | None, predictions: Predictions, categories: Sequence[str] = ()
) -> Accuracy:
    """All metrics that the ground truth allows.

    Args:
        labels: (N,) 0 good, 1 defect.
        masks: (N, H, W) ground truth, or None.
        predictions: answers on the same images.
        categories: (N,) what each image shows; empty where all show the same.

    Raises:
        DataError: shapes differ or a value is not finite.
    """
    names = sorted(set(categories))
    if len(names) > 1:
        shown = np.array(categories)
        parts = []
        for name in names:
            own = shown == name
            answers = Predictions(predictions.maps[own], predictions.scores[own], None)
            parts.append(measure_accuracy(labels[own], None if masks is None else masks[own], answers))
        return _mean(parts)
    found: dict[str, float | None] = {"image_auroc": None}
    if _both_classes(labels):
        found |= _of_images(labels, predictions)
    if masks is not None and masks.any():
        found |= _of_pixels(masks, predictions.maps)
    return Accuracy(**{name: None if share is None else 100.0 * share for name, share in found.items()})


@dataclass(frozen=True, eq=False)
class Evidence:
    """Answers of one engine, ready for thousands of drawn test sets.

    Attributes:
        labels: (N,) 0 good, 1 defect.
        predictions: answers on these images.
        pixels: None without masks.
    """

    labels: Labels
    predictions: Predictions
    pixels: PixelCounts | None

    @classmethod
    def of(
        cls, labels: Labels, masks: Masks | None, predictions: Predictions, categories: Sequence[str] = ()
    ) -> Evidence | None:
        """From what `measure_accuracy` takes.

        None where images are all good or all defective, or of several categories, whose figures are means.
        """
        if not _both_classes(labels) or len(set(categories)) > 1:
            return None
        pixels = None
        if masks is not None and masks.any():
            pixels = PixelCounts(masks, predictions.maps, labels)
        return cls(labels, predictions, pixels)

    def intervals(self) -> dict[str, float]:
        """Ends of the 95% bootstrap intervals in percent, by the names of `ResultRow`."""
        scores = self.predictions.scores
        precision, f1 = image_precision_intervals(self.labels, scores)
        found = {
            "image_auroc": image_auroc_interval(self.labels, scores),
            "image_ap": precision,
            "image_f1_max": f1,
        }
        if self.pixels is not None:
            pixel = pixel_intervals(self.pixels)
            found |= {"pixel_auroc": pixel.pixel_auroc, "au_pro": pixel.au_pro}
            found |= {"pixel_ap": pixel.average_precision, "pixel_f1_max": pixel.f1_max}
            if pixel.pro_reference is not None:
                found["pro_reference"] = pixel.pro_reference
        return _ends(found)

    def drift_intervals(self, reference: Evidence) -> dict[str, float]:
        """The same for the drift from a reference on the same images, in points; both are drawn together."""
        found = {
            "drift_image_auroc": image_auroc_interval(
                self.labels, self.predictions.scores, reference.predictions.scores
            )
        }
        if self.pixels is not None and reference.pixels is not None:
            pixel = pixel_intervals(self.pixels, reference.pixels)
            found |= {"drift_pixel_auroc": pixel.pixel_auroc, "drift_au_pro": pixel.au_pro}
        return _ends(found)


def _of_images(labels: Labels, predictions: Predictions) -> dict[str, float | None]:
    """Shares in [0, 1] by the names of `Accuracy`."""
    maps, scores = predictions.maps, predictions.scores
    pooled = min(maps.shape[1:]) >= SCORE_WINDOW
    return {
        "image_auroc": image_auroc(labels, scores),
        "image_auroc_max": image_auroc(labels, maps.max(axis=(1, 2))),
        "image_auroc_avgpool16": image_auroc(labels, [_pooled(m) for m in maps]) if pooled else None,
        "image_ap": image_average_precision(labels, scores),
        "image_f1_max": image_f1_max(labels, scores)[0],
    }


def _of_pixels(masks: Masks, maps: npt.NDArray[np.float32]) -> dict[str, float | None]:
    """Shares in [0, 1] by the names of `Accuracy`."""
    found = pixel_scores(masks, maps)
    return {
        "pixel_auroc": found.pixel_auroc,
        "au_pro": found.au_pro,
        "pro_reference": found.pro_reference,
        "pixel_ap": found.average_precision,
        "pixel_f1_max": found.f1_max,
    }


def _pooled(anomaly_map: npt.NDArray[np.float32]) -> float:
    """The largest mean of any window of the official rule that lies wholly inside the map."""
    means = cv2.blur(anomaly_map, (SCORE_WINDOW, SCORE_WINDOW), anchor=(0, 0))
    height, width = anomaly_map.shape
    return float(means[: height - SCORE_WINDOW + 1, : width - SCORE_WINDOW + 1].max())


def _mean(parts: Sequence[Accuracy]) -> Accuracy:
    """The mean of each metric; None where one of the categories has none."""
    found: dict[str, float | None] = {}
    for field in fields(Accuracy):
        values = [getattr(part, field.name) for part in parts]
        found[field.name] = None if None in values else float(np.mean(values))
    return Accuracy(**found)


def _both_classes(labels: Labels) -> bool:
    return len(set(labels.tolist())) == 2


def _ends(found: dict[str, tuple[float, float]]) -> dict[str, float]:
    """Lower and upper ends in percent, a name each."""
    return {
        f"{name}_{end}": 100.0 * share
        for name, interval in found.items()
        for end, share in zip(("low", "high"), interval, strict=True)
    }
