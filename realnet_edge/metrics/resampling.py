"""Test sets drawn anew from the images at hand: what every confidence interval here is read from.

Source: the percentile bootstrap (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13),
good and defective images drawn apart so that no resample lacks either.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from realnet_edge.errors import ConfigError
from realnet_edge.metrics.checks import Bools

LEVEL = 0.95
RESAMPLES = 2000
Interval = tuple[float, float]


def draw_test_sets(defects: Bools, resamples: int = RESAMPLES, seed: int = 0) -> npt.NDArray[np.float64]:
    """(B, N) how often each of N images is in each of B test sets; each row sums to N.

    A test set has as many defective images and as many good ones as there are. The same seed draws the same.

    Raises:
        ConfigError: too few resamples.
    """
    if resamples < 100:
        raise ConfigError(f"{resamples} resamples say little about the ends: draw at least 100.")
    rng = np.random.default_rng(seed)
    counts = np.zeros((resamples, len(defects)))
    for kind in (defects, ~defects):
        if size := int(kind.sum()):
            counts[:, kind] = rng.multinomial(size, np.full(size, 1 / size), resamples)
    return counts


def interval(values: npt.NDArray[np.float64], level: float = LEVEL) -> Interval:
    """Lower and upper end of a figure that is (B,) in the drawn test sets.

    Args:
        level: share of intervals that hold the true value, in (0, 1).

    Raises:
        ConfigError: level out of range.
    """
    if not 0.0 < level < 1.0:
        raise ConfigError(f"confidence level {level} is outside (0, 1): 0.95 is the usual one.")
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
