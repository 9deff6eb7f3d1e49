"""Rank correlation, to tell whether two engines order the same images in the same way."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from realnet_edge.errors import DataError
from realnet_edge.metrics.checks import finite


def spearman(a: npt.ArrayLike, b: npt.ArrayLike) -> float:
    """Spearman's rank correlation in [-1, 1], ties sharing their mean rank.

    NaN where either input is constant: such an input has no order to compare.

    Args:
        a, b: (N,) values, N at least 2.

    Raises:
        DataError: shapes differ, fewer than two values, or a value is not finite.
    """
    first, second = finite(a, "first values"), finite(b, "second values")
    if first.ndim != 1 or first.shape != second.shape or first.size < 2:
        raise DataError(
            f"rank correlation of {first.shape} and {second.shape}: expected two equal (N,), N at least 2."
        )
    ranks = _ranks(first), _ranks(second)
    centred = [rank - rank.mean() for rank in ranks]
    norm = float(np.sqrt((centred[0] ** 2).sum() * (centred[1] ** 2).sum()))
    return float(np.dot(centred[0], centred[1])) / norm if norm > 0 else float("nan")


def _ranks(values: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Ranks from 0 up; equal values get the mean of the ranks they span."""
    _, group, counts = np.unique(values, return_inverse=True, return_counts=True)
    mean_rank = np.cumsum(counts) - (counts + 1) / 2
    ranks: npt.NDArray[np.float64] = mean_rank[group]
    return ranks
