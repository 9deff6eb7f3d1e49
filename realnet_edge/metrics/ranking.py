"""The one sort that pixel AUROC, AU-PRO and the official PRO share.

Normal pixels outnumber anomalous ones by far. They are sorted by value once, without their
positions (a value sort runs several times faster than an argsort); every metric then needs only
how many of them lie above given values, which is a binary search.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from realnet_edge.metrics.checks import Bools, Floats


@dataclass(frozen=True)
class NormalPixels:
    """Map values of all normal pixels, ascending."""

    values: Floats

    @classmethod
    def of(cls, masks: Bools, maps: Floats) -> NormalPixels:
        """Collect and sort the values of `maps` where `masks` is False; both (N, H, W)."""
        return cls(np.sort(maps[~masks]))

    @property
    def count(self) -> int:
        return int(self.values.size)

    def above(self, thresholds: Floats) -> npt.NDArray[np.int64]:
        """How many normal pixels are strictly greater than each threshold."""
        return self.count - np.searchsorted(self.values, thresholds, side="right").astype(np.int64)

    def at_least(self, thresholds: Floats) -> npt.NDArray[np.int64]:
        """How many normal pixels are greater than or equal to each threshold."""
        return self.count - np.searchsorted(self.values, thresholds, side="left").astype(np.int64)


def auroc_from_ranks(normal: NormalPixels, anomalous: Floats) -> float:
    """Probability that an anomalous value exceeds a normal one, ties counting one half.

    This is the Mann-Whitney U statistic over the product of the sample sizes, which equals the area
    under the ROC curve; it is summed in integers and therefore exact.
    """
    # Sorted queries walk through the sorted values in order: several times fewer cache misses.
    queries = np.sort(anomalous)
    twice_lost = int(normal.above(queries).sum()) + int(normal.at_least(queries).sum())
    return 1.0 - twice_lost / (2 * normal.count * queries.size)


def area_under(x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]) -> float:
    """Trapezoidal area under the polyline through (x, y), x ascending."""
    return float(np.dot(np.diff(x), (y[1:] + y[:-1]) * 0.5))


def auroc_from_counts(
    anomalous: npt.NDArray[np.float64], normal: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """(...) AUROC from (..., K) counts in bins, highest values first; one half within a bin."""
    total = normal.sum(axis=-1, keepdims=True)
    below = total - np.cumsum(normal, axis=-1)
    won = (anomalous * (below + 0.5 * normal)).sum(axis=-1)
    return np.asarray(won / (total[..., 0] * anomalous.sum(axis=-1)), np.float64)


def area_to(limit: float, x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """(...) area under (..., K) polylines from (0, 0) on up to x = limit, divided by it; interpolated there.

    At most 1 where no y is above 1: rounding may carry the sum of a perfect curve past it by an ulp.
    """
    start = np.zeros((*x.shape[:-1], 1))
    x, y = np.concatenate([start, x], axis=-1), np.concatenate([start, y], axis=-1)
    width = np.diff(x, axis=-1)
    inside = np.clip(limit - x[..., :-1], 0.0, width)
    share = np.divide(inside, width, out=np.zeros_like(width), where=width > 0)
    ends = y[..., :-1] + share * np.diff(y, axis=-1)
    area = (inside * (y[..., :-1] + ends)).sum(axis=-1) / (2.0 * limit)
    return np.asarray(np.minimum(area, np.maximum(1.0, y.max(axis=-1))), np.float64)
