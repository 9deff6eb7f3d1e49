"""How far an engine's answers are from FP32 PyTorch's on the same images, and whether that is allowed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields

import numpy as np
import numpy.typing as npt

from realnet_edge.bench.predictions import Predictions
from realnet_edge.errors import ConfigError, DataError
from realnet_edge.metrics import image_auroc, image_auroc_interval, pixel_scores, spearman


@dataclass(frozen=True)
class Accuracy:
    """Accuracy on labelled images in percent; None where it cannot be computed.

    Where several categories are inspected by one model, each figure is the mean over them: ranks across
    categories say nothing of either.

    Attributes:
        image_auroc: None where the images are all good or all defective.
        pixel_auroc, au_pro: None without masks.
        pro_reference: None without masks, and where the maps are too flat to define it.
    """

    image_auroc: float | None
    pixel_auroc: float | None = None
    au_pro: float | None = None
    pro_reference: float | None = None

    def to_dict(self) -> dict[str, float | None]:
        """Name and value of each metric."""
        return asdict(self)


@dataclass(frozen=True)
class Drift:
    """Differences between an engine and the FP32 PyTorch reference on the same images.

    Attributes:
        map_max_abs, map_mean_abs: over all pixels of all anomaly maps, in [0, 1].
        score_spearman: rank correlation of the image scores; None where one side's are all equal.
        decisions_flipped: images that fall on the other side of the threshold; None without one.
        rrs_rank_swaps: mean count an image of RRS positions that hold another channel; None where
            either side does not tell its choice.
        rrs_exchanged: mean count an image of channels that the engine chose and the reference did not,
            whatever their ranks: all that counts where RRS hands channels on in plane order.
    """

    map_max_abs: float
    map_mean_abs: float
    score_spearman: float | None
    decisions_flipped: int | None
    rrs_rank_swaps: float | None
    rrs_exchanged: float | None


def measure_accuracy(
    labels: npt.NDArray[np.int64],
    masks: npt.NDArray[np.bool_] | None,
    predictions: Predictions,
    categories: Sequence[str] = (),
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
    image = _percent(image_auroc(labels, predictions.scores)) if _both_classes(labels) else None
    if masks is None or not masks.any():
        return Accuracy(image)
    pixel = pixel_scores(masks, predictions.maps)
    return Accuracy(image, _percent(pixel.pixel_auroc), _percent(pixel.au_pro), _percent(pixel.pro_reference))


def measure_drift(predictions: Predictions, reference: Predictions, threshold: float | None) -> Drift:
    """Compare an engine's answers with the reference's.

    Args:
        predictions: the engine's.
        reference: FP32 PyTorch's on the same images in the same order.
        threshold: the engine's; both sides are decided by it, a score above it being a defect.

    Raises:
        DataError: the two are not of the same images or size.
    """
    if predictions.maps.shape != reference.maps.shape:
        raise DataError(
            f"maps {predictions.maps.shape} cannot be compared with the reference's {reference.maps.shape}: "
            "build the engine again from the present checkpoint."
        )
    # Image by image: the difference of all maps at once would be as large as the maps.
    worst, total = 0.0, 0.0
    for ours, theirs in zip(predictions.maps, reference.maps, strict=True):
        difference = np.abs(ours - theirs)
        worst = max(worst, float(difference.max()))
        total += float(difference.mean(dtype=np.float64))
    return Drift(
        map_max_abs=worst,
        map_mean_abs=total / len(reference.maps),
        score_spearman=_correlation(predictions.scores, reference.scores),
        decisions_flipped=_flipped(predictions.scores, reference.scores, threshold),
        rrs_rank_swaps=_rank_swaps(predictions.rrs_indices, reference.rrs_indices),
        rrs_exchanged=_exchanged(predictions.rrs_indices, reference.rrs_indices),
    )


def auroc_interval(
    labels: npt.NDArray[np.int64],
    predictions: Predictions,
    reference: Predictions | None = None,
    categories: Sequence[str] = (),
) -> tuple[float | None, float | None]:
    """95% bootstrap interval of the image AUROC in percent, or of its drift from the reference in points.

    None twice where the images are all good or all defective, and where they show several categories.
    """
    if not _both_classes(labels) or len(set(categories)) > 1:
        return None, None
    theirs = None if reference is None else reference.scores
    low, high = image_auroc_interval(labels, predictions.scores, theirs)
    return 100.0 * low, 100.0 * high


def points(accuracy: float | None, reference: float | None) -> float | None:
    """Accuracy minus the reference's, percentage points; None where either is unknown."""
    return None if accuracy is None or reference is None else accuracy - reference


def verdict(accuracy: Accuracy, reference: Accuracy, budget: float) -> str:
    """Whether every metric keeps at least `budget` of the reference's: "pass" or "fail".

    "unmeasured" where no metric is known on both sides. MLPerf's inference rules judge quantised
    models in the same way, with budgets of 0.99 and 0.999.

    Raises:
        ConfigError: the budget is outside (0, 1].
    """
    if not 0.0 < budget <= 1.0:
        raise ConfigError(f"budget {budget} is outside (0, 1]: give 0.99 or 0.999.")
    pairs = [(getattr(accuracy, f.name), getattr(reference, f.name)) for f in fields(Accuracy)]
    known = [(ours, theirs) for ours, theirs in pairs if ours is not None and theirs is not None]
    if not known:
        return "unmeasured"
    return "pass" if all(ours >= budget * theirs for ours, theirs in known) else "fail"


def _mean(parts: Sequence[Accuracy]) -> Accuracy:
    """The mean of each metric; None where one of the categories has none."""
    found: dict[str, float | None] = {}
    for field in fields(Accuracy):
        values = [getattr(part, field.name) for part in parts]
        found[field.name] = None if None in values else float(np.mean(values))
    return Accuracy(**found)


def _both_classes(labels: npt.NDArray[np.int64]) -> bool:
    return len(set(labels.tolist())) == 2


def _percent(share: float | None) -> float | None:
    return None if share is None else 100.0 * share


def _correlation(ours: npt.NDArray[np.float32], theirs: npt.NDArray[np.float32]) -> float | None:
    if len(ours) < 2:
        return None
    value = spearman(ours, theirs)
    # Rounding may carry a perfect correlation past 1 by an ulp.
    return None if math.isnan(value) else min(max(value, -1.0), 1.0)


def _flipped(
    ours: npt.NDArray[np.float32], theirs: npt.NDArray[np.float32], threshold: float | None
) -> int | None:
    if threshold is None:
        return None
    return int(np.count_nonzero((ours > threshold) != (theirs > threshold)))


def _rank_swaps(ours: npt.NDArray[np.int32] | None, theirs: npt.NDArray[np.int32] | None) -> float | None:
    if ours is None or theirs is None or ours.shape != theirs.shape:
        return None
    return float(np.count_nonzero(ours != theirs) / len(ours))


def _exchanged(ours: npt.NDArray[np.int32] | None, theirs: npt.NDArray[np.int32] | None) -> float | None:
    if ours is None or theirs is None or len(ours) != len(theirs):
        return None
    # A channel may be chosen twice, by its maximum and by its mean.
    return float(np.mean([len(np.setdiff1d(a, b)) for a, b in zip(ours, theirs, strict=True)]))
