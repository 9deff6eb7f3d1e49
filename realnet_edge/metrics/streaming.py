"""Pixel metrics in fixed memory, one image after the other: for test sets whose maps do not fit at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from realnet_edge.errors import DataError
from realnet_edge.metrics.checks import Floats, finite
from realnet_edge.metrics.official import even_thresholds, pro_of_curve
from realnet_edge.metrics.precision_recall import average_precision_from, f1_max_from
from realnet_edge.metrics.pro import DEFAULT_LIMIT
from realnet_edge.metrics.ranking import area_to, auroc_from_counts
from realnet_edge.metrics.regions import Regions, label_regions

# Bins are runs of equal leading bits of a float32: of x up to one half, of 1 - x (exact there) above it. So
# they are as fine near 1, where a network is sure of a defect, as near 0, where most pixels lie. Twelve bits
# of mantissa are left: neighbours differ by 1/4096 of their distance from the nearer end.
_DROPPED = 23 - 12
_HALF = np.float32(0.5)
_MIDDLE = int(_HALF.view(np.int32) >> _DROPPED)
_BINS = 2 * _MIDDLE + 1


def _left_edges() -> npt.NDArray[np.float64]:
    """(_BINS,) the lowest float32 of each bin; ascending from 0."""
    low = (np.arange(_MIDDLE + 1, dtype=np.int32) << _DROPPED).view(np.float32).astype(np.float64)
    # Bins above the middle one are mirrored, and so open at their lower ends.
    ends = 1.0 - low[-1:0:-1]
    inside = ends.astype(np.float32)
    inside = np.where(inside > ends, inside, np.nextafter(inside, np.float32(2.0)))
    return np.append(low, np.minimum(inside, 1.0).astype(np.float64))


_LEFT_EDGES = _left_edges()


@dataclass(frozen=True)
class StreamedScores:
    """Pixel metrics in [0, 1] of everything seen so far.

    Attributes:
        pixel_auroc: equal values in one bin count one half.
        au_pro: up to a false-positive rate of 0.3.
        pro_reference: as the official RealNet evaluation computes it; None where the maps are too flat.
        average_precision: over pixels.
        f1_max: the best F1 over thresholds.
        f1_threshold: the map value at and above which pixels are then called anomalous.
    """

    pixel_auroc: float
    au_pro: float
    pro_reference: float | None
    average_precision: float
    f1_max: float
    f1_threshold: float


class PixelStream:
    """Histograms of normal, anomalous and region-weighted pixels; 33 MB however many images there are.

    Each figure is within 1e-4 of the exact one (`realnet_edge.metrics.pixels`) unless a bin holds about a
    thousandth of a set's pixels or more and they are no ties: maps that are flat away from 0 and 1. A
    region's weight is settled at the end, when the number of regions is known.
    """

    def __init__(self) -> None:
        self._normal = np.zeros(_BINS)
        self._anomalous = np.zeros(_BINS)
        self._overlap = np.zeros(_BINS)
        self._filled = np.zeros(_BINS)
        self._regions = 0
        self._lowest, self._highest = np.float32(np.inf), np.float32(-np.inf)

    def update(self, mask: npt.ArrayLike, anomaly_map: npt.ArrayLike) -> None:
        """Add one image.

        Args:
            mask: (H, W) ground truth; non-zero marks an anomalous pixel.
            anomaly_map: (H, W) values in [0, 1].

        Raises:
            DataError: shapes differ, or a value is not finite or outside [0, 1]; nothing is added then.
        """
        truth = np.asarray(mask) != 0
        values = finite(anomaly_map, "anomaly map").astype(np.float32)
        if values.ndim != 2 or truth.shape != values.shape:
            raise DataError(f"mask {truth.shape} and map {values.shape}: both must be (H, W) and equal.")
        if values.size and not (values.min() >= 0.0 and values.max() <= 1.0):
            raise DataError(
                f"anomaly map from {values.min():.6g} to {values.max():.6g}: only values in [0, 1] have bins."
            )
        bins = _bins_of(values)
        self._lowest = min(self._lowest, values.min())
        self._highest = max(self._highest, values.max())
        self._normal += np.bincount(bins[~truth], minlength=_BINS)
        if not truth.any():
            return
        self._anomalous += np.bincount(bins[truth], minlength=_BINS)
        self._overlap += _overlap(bins, label_regions(truth[None]))
        filled = label_regions(truth[None], filled=True)
        self._filled += _overlap(bins, filled)
        self._regions += int(filled.areas.size)

    def scores(self, limit: float = DEFAULT_LIMIT) -> StreamedScores:
        """The metrics of all images so far.

        Args:
            limit: false-positive rate in (0, 1] at which AU-PRO ends.

        Raises:
            DataError: no anomalous or no normal pixel yet.
        """
        if not self._regions or not self._normal.any():
            raise DataError("pixel metrics need normal and anomalous pixels: add images with masks first.")
        normal, anomalous = self._normal[::-1], self._anomalous[::-1]
        used = (normal + anomalous) > 0
        normal, anomalous, edges = normal[used], anomalous[used], _LEFT_EDGES[::-1][used]
        overlap = self._overlap[::-1][used] / self._regions
        rate = np.cumsum(normal) / normal.sum()
        best, threshold = f1_max_from(anomalous, normal, edges)
        return StreamedScores(
            pixel_auroc=float(auroc_from_counts(anomalous, normal)),
            au_pro=float(area_to(limit, rate, np.minimum(np.cumsum(overlap), 1.0))),
            pro_reference=self._official(),
            average_precision=float(average_precision_from(anomalous, normal)),
            f1_max=best,
            f1_threshold=threshold,
        )

    def _official(self) -> float | None:
        """The official PRO: its thresholds cut bins, whose values count as evenly spread."""
        thresholds = even_thresholds(self._lowest, self._highest).astype(np.float64)
        edges = np.clip(np.append(_LEFT_EDGES, 1.0), float(self._lowest), float(self._highest))
        rate = _above(thresholds, edges, self._normal) / self._normal.sum()
        return pro_of_curve(rate, _above(thresholds, edges, self._filled) / self._regions)


def _overlap(bins: npt.NDArray[np.int32], regions: Regions) -> npt.NDArray[np.float64]:
    """(_BINS,) what each bin's pixels of one image add to the sum of the regions' overlaps."""
    weights = 1.0 / regions.areas[regions.owner]
    return np.asarray(np.bincount(bins.reshape(-1)[regions.pixels], weights, minlength=_BINS), np.float64)


def _above(
    thresholds: npt.NDArray[np.float64], edges: npt.NDArray[np.float64], weights: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Weight above each threshold; `edges` are the bins' lower ends and the upper end of the last."""
    total = np.append(0.0, np.cumsum(weights))
    return np.asarray(total[-1] - np.interp(thresholds, edges, total), np.float64)


def _bins_of(values: Floats) -> npt.NDArray[np.int32]:
    upper = values > _HALF
    from_end = np.where(upper, np.float32(1.0) - values, values)
    # -0.0 is 0, and its sign bit would make it the lowest of all numbers.
    bins = np.maximum(np.ascontiguousarray(from_end, np.float32).view(np.int32) >> _DROPPED, 0)
    return np.asarray(np.where(upper, _BINS - 1 - bins, bins), np.int32)
