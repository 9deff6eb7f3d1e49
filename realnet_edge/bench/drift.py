"""How far an engine's answers are from FP32 PyTorch's on the same images, and whether that is allowed."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from realnet_edge.bench.accuracy import Accuracy
from realnet_edge.bench.predictions import Predictions
from realnet_edge.errors import ConfigError, DataError
from realnet_edge.metrics import spearman

# What a verdict asks for. The others follow these, or swing with the few pixels of small defects.
JUDGED = ("image_auroc", "pixel_auroc", "au_pro", "pro_reference")


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


def points(accuracy: float | None, reference: float | None) -> float | None:
    """Accuracy minus the reference's, percentage points; None where either is unknown."""
    return None if accuracy is None or reference is None else accuracy - reference


def verdict(accuracy: Accuracy, reference: Accuracy, budget: float) -> str:
    """Whether every metric of `JUDGED` keeps at least `budget` of the reference's: "pass" or "fail".

    "unmeasured" where none is known on both sides. MLPerf's inference rules judge quantised
    models in the same way, with budgets of 0.99 and 0.999.

    Raises:
        ConfigError: the budget is outside (0, 1].
    """
    if not 0.0 < budget <= 1.0:
        raise ConfigError(f"budget {budget} is outside (0, 1]: give 0.99 or 0.999.")
    pairs = [(getattr(accuracy, name), getattr(reference, name)) for name in JUDGED]
    known = [(ours, theirs) for ours, theirs in pairs if ours is not None and theirs is not None]
    if not known:
        return "unmeasured"
    return "pass" if all(ours >= budget * theirs for ours, theirs in known) else "fail"


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
