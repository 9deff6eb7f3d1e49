"""PRO as the official RealNet evaluation computes it, for comparison with published RealNet figures.

It differs from MVTec's AU-PRO (`realnet_edge.metrics.pro`) in four ways: 1,000 evenly spaced
thresholds instead of every distinct one, regions with their holes filled while the area they are
divided by is not, the curve cut at the last threshold whose false-positive rate is at most 0.3
without interpolating there, and that rate stretched to reach 1. Where a region has holes, its
overlap can therefore exceed 1.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from realnet_edge.errors import DataError
from realnet_edge.metrics.checks import Floats, masks_and_maps
from realnet_edge.metrics.ranking import NormalPixels, area_under
from realnet_edge.metrics.regions import Regions, label_regions

STEPS = 1000
FPR_LIMIT = 0.3


def pro_reference(masks: npt.ArrayLike, maps: npt.ArrayLike) -> float:
    """The official RealNet PRO; at least 0, and above 1 only where regions have holes.

    Args:
        masks: (N, H, W) ground truth; non-zero marks an anomalous pixel.
        maps: (N, H, W) anomaly maps.

    Raises:
        DataError: shapes differ, a map is not finite, the masks mark no pixel or every pixel, or the
            maps are so flat that no two thresholds have different false-positive rates up to 0.3.
    """
    truth, values = masks_and_maps(masks, maps)
    return pro_reference_from(NormalPixels.of(truth, values), label_regions(truth, filled=True), values)


def pro_reference_from(normal: NormalPixels, filled: Regions, maps: Floats) -> float:
    """`pro_reference` from normal pixels already sorted and regions already labelled and filled."""
    thresholds = even_thresholds(maps.min(), maps.max())
    fpr = normal.above(thresholds) / normal.count
    score = pro_of_curve(fpr, _overlaps(thresholds, filled, maps))
    if score is None:
        raise DataError(
            f"the official PRO is undefined: between {maps.min():.6g} and {maps.max():.6g} no threshold has "
            f"a false-positive rate above 0 and up to {FPR_LIMIT}. Maps this flat tell nothing: train longer."
        )
    return score


def pro_of_curve(fpr: npt.NDArray[np.float64], overlap: npt.NDArray[np.float64]) -> float | None:
    """The official PRO of a curve; None where no rate lies above 0 and up to 0.3.

    Args:
        fpr: (STEPS,) false-positive rate at each of the `even_thresholds`, ascending from 0.
        overlap: (STEPS,) mean overlap of the filled regions there.
    """
    kept = fpr <= FPR_LIMIT
    fpr, overlap = fpr[kept], overlap[kept]
    # The first threshold is the highest value itself, so nothing is above it and fpr[0] is 0.
    return None if fpr[-1] == 0.0 else area_under(fpr / fpr[-1], overlap)


def even_thresholds(lowest: np.floating[Any], highest: np.floating[Any]) -> Floats:
    """1,000 thresholds from the highest map value down, in the maps' own precision.

    The precision matters: single precision rounds thresholds onto map values, and "greater than"
    decides differently there than it would in double precision.
    """
    delta = (highest - lowest) / highest.dtype.type(STEPS)
    thresholds: Floats = highest - np.arange(STEPS, dtype=highest.dtype) * delta
    return thresholds


def first_steps(thresholds: Floats, values: Floats) -> npt.NDArray[np.int64]:
    """The first threshold, from the highest down, that each value is above; STEPS where there is none."""
    return np.asarray(STEPS - np.searchsorted(thresholds[::-1], values, side="left"), np.int64)


def _overlaps(thresholds: Floats, filled: Regions, maps: Floats) -> npt.NDArray[np.float64]:
    """(STEPS,) mean overlap of the filled regions with the pixels above each threshold."""
    steps = first_steps(thresholds, maps.reshape(-1)[filled.pixels])
    return np.cumsum(np.bincount(steps, filled.weights, STEPS + 1)[:STEPS])
