"""How far an image AUROC may be off because the test set is one of many that could have been taken.

Source: the percentile bootstrap (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13),
good and defective images drawn apart so that no resample lacks either.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from realnet_edge.errors import ConfigError
from realnet_edge.metrics.checks import Bools, Floats, labels_and_scores

LEVEL = 0.95
RESAMPLES = 2000


def image_auroc_interval(
    labels: npt.ArrayLike,
    scores: npt.ArrayLike,
    reference: npt.ArrayLike | None = None,
    *,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> tuple[float, float]:
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
    if not 0.0 < level < 1.0:
        raise ConfigError(f"confidence level {level} is outside (0, 1): 0.95 is the usual one.")
    if resamples < 100:
        raise ConfigError(f"{resamples} resamples say little about the ends: draw at least 100.")
    defects, values = labels_and_scores(labels, scores)
    won = _won(defects, values)
    if reference is not None:
        won = won - _won(*labels_and_scores(labels, reference))
    rng = np.random.default_rng(seed)
    # How often each image is drawn; an AUROC is a mean over pairs, so the counts weigh its pairs.
    bad, good = (rng.multinomial(n, np.full(n, 1 / n), resamples) for n in won.shape)
    drawn = np.einsum("bi,bi->b", bad @ won, good.astype(np.float64)) / won.size
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _won(defects: Bools, values: Floats) -> npt.NDArray[np.float64]:
    """(defects, good): 1 where the defect scores higher, one half for a tie."""
    bad, good = values[defects][:, None], values[~defects][None]
    won: npt.NDArray[np.float64] = (bad > good) + 0.5 * (bad == good)
    return won
