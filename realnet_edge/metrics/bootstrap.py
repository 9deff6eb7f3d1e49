"""How far image metrics may be off because the test set is one of many that could have been taken."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from realnet_edge.metrics.checks import Bools, Floats, labels_and_scores
from realnet_edge.metrics.precision_recall import average_precision_from, f1_scores_from
from realnet_edge.metrics.resampling import LEVEL, RESAMPLES, Interval, draw_test_sets, interval


def image_auroc_interval(
    labels: npt.ArrayLike,
    scores: npt.ArrayLike,
    reference: npt.ArrayLike | None = None,
    *,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval:
    """Confidence interval of an image AUROC, or of its difference from a reference's on the same images.

    The difference is taken within each resample: both engines saw the same images, so its interval is much
    narrower than those of the two figures. The same seed gives the same interval.

    Args:
        labels: (N,) 0 for good, 1 for defect.
        scores: (N,) image scores; higher means more anomalous.
        reference: (N,) scores of the reference on the same images; None for the AUROC itself.
        level: share of intervals that hold the true value, in (0, 1).
        resamples: test sets drawn, at least 100.
        seed: of the draw.

    Returns:
        Lower and upper end: in [0, 1] for an AUROC, in [-1, 1] for a difference.

    Raises:
        DataError: as `image_auroc`, or a reference of another length.
        ConfigError: level or resamples out of range.
    """
    defects, values = labels_and_scores(labels, scores)
    counts = draw_test_sets(defects, resamples, seed)
    won = _won(defects, values)
    if reference is not None:
        won = won - _won(*labels_and_scores(labels, reference))
    # An AUROC is a mean over pairs, so how often its images are drawn weighs each pair.
    bad, good = counts[:, defects], counts[:, ~defects]
    return interval(np.einsum("bi,bi->b", bad @ won, good) / won.size, level)


def image_precision_intervals(
    labels: npt.ArrayLike,
    scores: npt.ArrayLike,
    *,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> tuple[Interval, Interval]:
    """Confidence intervals of `image_average_precision` and of the F1 of `image_f1_max`, ends in [0, 1].

    Args and errors as `image_auroc_interval`. The best threshold is sought in every resample anew.
    """
    defects, values = labels_and_scores(labels, scores)
    order = np.argsort(-values, kind="stable")
    counts, flags = draw_test_sets(defects, resamples, seed)[:, order], defects[order]
    # Images of equal score are called together.
    first = np.append(0, np.flatnonzero(np.diff(values[order])) + 1)
    bad, good = (np.add.reduceat(counts * kind, first, axis=1) for kind in (flags, ~flags))
    best = f1_scores_from(bad, good).max(axis=1)
    return interval(average_precision_from(bad, good), level), interval(best, level)


def _won(defects: Bools, values: Floats) -> npt.NDArray[np.float64]:
    """(defects, good): 1 where the defect scores higher, one half for a tie."""
    bad, good = values[defects][:, None], values[~defects][None]
    won: npt.NDArray[np.float64] = (bad > good) + 0.5 * (bad == good)
    return won
