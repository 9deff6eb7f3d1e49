"""Average precision and the best F1: what ranking is worth where defects are rare."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from realnet_edge.metrics.checks import labels_and_scores, masks_and_maps
from realnet_edge.metrics.ranking import NormalPixels

Counts = npt.NDArray[np.float64]


def image_average_precision(labels: npt.ArrayLike, scores: npt.ArrayLike) -> float:
    """Average precision of image scores, in (0, 1]: the mean precision over recalled defects.

    Args:
        labels: (N,) 0 for good, 1 for defect.
        scores: (N,) image scores; images of equal score are called together.

    Raises:
        DataError: one class is missing, shapes differ or a score is not finite.
    """
    return float(average_precision_from(*_counted(*labels_and_scores(labels, scores))[:2]))


def image_f1_max(labels: npt.ArrayLike, scores: npt.ArrayLike) -> tuple[float, float]:
    """The best F1 over all thresholds, in (0, 1], and the smallest score that is then called a defect.

    Args and errors as `image_average_precision`. The threshold is chosen with the labels at hand: the figure
    says how well classes can be parted, not what a threshold set on good parts alone will reach.
    """
    return f1_max_from(*_counted(*labels_and_scores(labels, scores)))


def pixel_average_precision(masks: npt.ArrayLike, maps: npt.ArrayLike) -> float:
    """Average precision over all pixels of all images together, in (0, 1].

    Args:
        masks: (N, H, W) ground truth; non-zero marks an anomalous pixel.
        maps: (N, H, W) anomaly maps.

    Raises:
        DataError: shapes differ, a map is not finite, or the masks mark no pixel or every pixel.
    """
    return float(average_precision_from(*_counted(*masks_and_maps(masks, maps))[:2]))


def pixel_f1_max(masks: npt.ArrayLike, maps: npt.ArrayLike) -> tuple[float, float]:
    """The best F1 over all thresholds of the maps, and the smallest value that is then called anomalous.

    Args and errors as `pixel_average_precision`.
    """
    return f1_max_from(*_counted(*masks_and_maps(masks, maps)))


def average_precision_from(anomalous: Counts, normal: Counts) -> Counts:
    """(...) average precision from (..., K) counts at each distinct value, highest value first."""
    found, called = np.cumsum(anomalous, axis=-1), np.cumsum(anomalous + normal, axis=-1)
    precision = found / np.maximum(called, 1.0)
    return np.asarray((precision * anomalous).sum(axis=-1) / found[..., -1], np.float64)


def f1_scores_from(anomalous: Counts, normal: Counts) -> Counts:
    """(..., K) F1 of calling a value and all above it, from counts at each distinct one, highest first."""
    found, called = np.cumsum(anomalous, axis=-1), np.cumsum(anomalous + normal, axis=-1)
    return np.asarray(2.0 * found / (called + found[..., -1:]), np.float64)


def f1_max_from(anomalous: Counts, normal: Counts, values: npt.NDArray[np.floating]) -> tuple[float, float]:
    """Best F1 and its threshold from (K,) counts at each of `values`, highest first."""
    scores = f1_scores_from(anomalous, normal)
    best = int(np.argmax(scores))
    return float(scores[best]), float(values[best])


def counts_at_anomalous(
    normal: NormalPixels, anomalous: npt.NDArray[np.floating]
) -> tuple[Counts, Counts, npt.NDArray[np.floating]]:
    """Anomalous and normal items at each distinct anomalous value, and these values, highest first.

    Normal items count with the next anomalous value below them: no threshold between is ever better.
    """
    levels, found = np.unique(anomalous, return_counts=True)
    levels = levels[::-1]
    called = normal.at_least(levels)
    return found[::-1].astype(np.float64), np.diff(called, prepend=0).astype(np.float64), levels


def _counted(
    flags: npt.NDArray[np.bool_], values: npt.NDArray[np.floating]
) -> tuple[Counts, Counts, npt.NDArray[np.floating]]:
    """`counts_at_anomalous` of flagged values of any shape."""
    return counts_at_anomalous(NormalPixels.of(flags, values), values[flags])
