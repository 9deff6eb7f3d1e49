"""Test sets drawn anew from the images at hand: what every confidence interval here is read from.

Source: the percentile bootstrap (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13),
good and defective images drawn apart so that no resample lacks either.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from realnet_edge.errors import ConfigError
from realnet_edge.metrics.checks import Bools

LEVEL = 0.95
RESAMPLES = 2000
Interval = tuple[float, float]


@dataclass(frozen=True)
class Draws:
    """How often each image is in each of the drawn test sets.

    Attributes:
        counts: (B, N) float64; each row sums to the number of images.
        level: share of intervals that hold the true value, in (0, 1).
    """

    counts: npt.NDArray[np.float64]
    level: float = LEVEL

    @classmethod
    def of(cls, defects: Bools, level: float = LEVEL, resamples: int = RESAMPLES, seed: int = 0) -> Draws:
        """Draw from (N,) images as many defective ones and as many good ones as there are.

        The same seed draws the same sets.

        Raises:
            ConfigError: level or resamples out of range.
        """
        if not 0.0 < level < 1.0:
            raise ConfigError(f"confidence level {level} is outside (0, 1): 0.95 is the usual one.")
        if resamples < 100:
            raise ConfigError(f"{resamples} resamples say little about the ends: draw at least 100.")
        rng = np.random.default_rng(seed)
        counts = np.zeros((resamples, len(defects)))
        for kind in (defects, ~defects):
            if size := int(kind.sum()):
                counts[:, kind] = rng.multinomial(size, np.full(size, 1 / size), resamples)
        return cls(counts, level)

    def interval(self, values: npt.NDArray[np.float64]) -> Interval:
        """Lower and upper end of a figure that is (B,) in the drawn test sets."""
        low, high = np.quantile(values, [(1 - self.level) / 2, (1 + self.level) / 2])
        return float(low), float(high)
