"""How far pixel metrics may be off because the test set is one of many that could have been taken.

Whole images are drawn, never pixels: those of one image are no independent witnesses.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from realnet_edge.errors import DataError
from realnet_edge.metrics.checks import Bools, Floats, masks_and_maps
from realnet_edge.metrics.official import even_thresholds, pro_of_curve
from realnet_edge.metrics.pro import DEFAULT_LIMIT
from realnet_edge.metrics.regions import Regions, label_regions
from realnet_edge.metrics.resampling import LEVEL, RESAMPLES, Draws, Interval

# Bins end at this many quantiles of normal and of anomalous pixels each, read from at most so many of them.
_QUANTILES = 1024
_SAMPLED = 1 << 18
# Test sets at once: what they need grows with the bins.
_CHUNK = 250
Counts = npt.NDArray[np.float64]
_NAMES = ("pixel_auroc", "au_pro", "pro_reference", "average_precision", "f1_max")


@dataclass(frozen=True)
class PixelIntervals:
    """Confidence intervals, ends in [0, 1], or in [-1, 1] for a difference from a reference.

    Attributes:
        pixel_auroc, au_pro, average_precision, f1_max: as the metrics of `realnet_edge.metrics`.
        pro_reference: None where the maps are too flat to define it, in whichever resample.
    """

    pixel_auroc: Interval
    au_pro: Interval
    pro_reference: Interval | None
    average_precision: Interval
    f1_max: Interval


class PixelCounts:
    """What pixels of each image say about an engine, small enough to draw thousands of test sets from.

    Values are binned between quantiles, so that no bin holds more than a thousandth of either class unless
    they tie, and figures of drawn test sets are within a thousandth of exact ones: far less than intervals
    are wide.

    Args:
        masks: (N, H, W) ground truth; non-zero marks an anomalous pixel.
        maps: (N, H, W) anomaly maps.

    Raises:
        DataError: shapes differ, a map is not finite, or the masks mark no pixel or every pixel.
    """

    def __init__(self, masks: npt.ArrayLike, maps: npt.ArrayLike) -> None:
        truth, values = masks_and_maps(masks, maps)
        edges = _edges(truth, values)
        size = edges.size + 1
        # Bins descend, as thresholds do.
        bins = [
            edges.size - np.searchsorted(edges, values_of.reshape(-1), side="right") for values_of in values
        ]
        flags = truth.reshape(len(truth), -1)
        self.defects: Bools = np.asarray(flags.any(axis=1))
        self.normal = np.stack([np.bincount(b[~f], minlength=size) for b, f in zip(bins, flags, strict=True)])
        self.anomalous = np.stack(
            [np.bincount(b[f], minlength=size) for b, f in zip(bins, flags, strict=True)]
        )
        regions = label_regions(truth)
        image = regions.pixels // flags.shape[1]
        self.regions = np.bincount(_image_of_each(regions, flags.shape[1]), minlength=len(truth))
        self.overlap = _summed(regions, image, np.concatenate(bins)[regions.pixels], (len(truth), size))
        self.above, self.filled = _official(truth, values)

    def metrics(self, draws: Draws) -> dict[str, Counts]:
        """(B,) each metric in the drawn test sets; NaN where the official PRO is undefined."""
        parts = [self._metrics(draws.counts[i : i + _CHUNK]) for i in range(0, len(draws.counts), _CHUNK)]
        return {name: np.concatenate([part[name] for part in parts]) for name in _NAMES}

    def _metrics(self, counts: Counts) -> dict[str, Counts]:
        normal, anomalous = counts @ self.normal, counts @ self.anomalous
        regions = (counts @ self.regions)[:, None]
        overlap = np.minimum(np.cumsum(counts @ self.overlap, axis=1) / regions, 1.0)
        rate = np.cumsum(normal, axis=1)
        total, found = rate[:, -1:].copy(), np.cumsum(anomalous, axis=1)
        marked = found[:, -1:]
        called = rate + found
        won = (anomalous * (total - rate + 0.5 * normal)).sum(axis=1)
        rates, covered = counts @ self.above / total, counts @ self.filled / regions
        official = [pro_of_curve(r, c) for r, c in zip(rates, covered, strict=True)]
        return {
            "pixel_auroc": won / (total * marked)[:, 0],
            "au_pro": _area_to(DEFAULT_LIMIT, rate / total, overlap),
            "pro_reference": np.array([np.nan if score is None else score for score in official]),
            "average_precision": (found / np.maximum(called, 1.0) * anomalous).sum(axis=1) / marked[:, 0],
            "f1_max": (2.0 * found / (called + marked)).max(axis=1),
        }


def pixel_intervals(
    counts: PixelCounts,
    reference: PixelCounts | None = None,
    *,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> PixelIntervals:
    """Confidence intervals of all pixel metrics, or of their differences from a reference's.

    Args:
        counts: the engine's.
        reference: the reference's on the same images; None for the metrics themselves.
        level: share of intervals that hold the true value, in (0, 1).
        resamples: test sets drawn, at least 100.
        seed: of the draw.

    Raises:
        DataError: the reference is of other images.
        ConfigError: level or resamples out of range.
    """
    draws = Draws.of(counts.defects, level, resamples, seed)
    values = counts.metrics(draws)
    if reference is not None:
        if not np.array_equal(reference.defects, counts.defects):
            raise DataError(
                "engine and reference are of other images: intervals of drift need the same ones."
            )
        theirs = reference.metrics(draws)
        values = {name: values[name] - theirs[name] for name in _NAMES}
    official = values.pop("pro_reference")
    return PixelIntervals(
        pro_reference=None if np.isnan(official).any() else draws.interval(official),
        **{name: draws.interval(found) for name, found in values.items()},
    )


def _edges(truth: Bools, values: Floats) -> Floats:
    """Ascending ends of the bins: map values at quantiles of the normal and of the anomalous pixels."""
    ends = []
    for kind in (values[~truth], values[truth]):
        sample = kind[:: -(-kind.size // _SAMPLED)]
        ends.append(np.quantile(sample, np.arange(_QUANTILES) / _QUANTILES, method="lower"))
    return np.unique(np.concatenate(ends))


def _official(truth: Bools, values: Floats) -> tuple[Counts, Counts]:
    """(N, 1000) each image's normal pixels above each official threshold, and its filled overlap there."""
    thresholds = even_thresholds(values.min(), values.max())
    steps = len(thresholds)

    def first(found: Floats) -> npt.NDArray[np.int64]:
        """The first threshold, from the highest down, that a value is above; `steps` where there is none."""
        return steps - np.searchsorted(thresholds[::-1], found, side="left")

    normal = np.stack(
        [np.bincount(first(v[~t]), minlength=steps + 1) for v, t in zip(values, truth, strict=True)]
    )
    filled = label_regions(truth, filled=True)
    image = filled.pixels // truth[0].size
    found = first(values.reshape(-1)[filled.pixels])
    overlap = _summed(filled, image, found, (len(truth), steps + 1))
    above, covered = (np.cumsum(part[:, :steps], axis=1, dtype=np.float64) for part in (normal, overlap))
    return above, covered


def _summed(
    regions: Regions,
    image: npt.NDArray[np.int64],
    place: npt.NDArray[np.int64],
    shape: tuple[int, int],
) -> Counts:
    """(N, K) what pixels add to the overlap of their own regions, by image and bin."""
    weights = 1.0 / regions.areas[regions.owner]
    flat = np.bincount(image * shape[1] + place, weights, shape[0] * shape[1])
    return np.asarray(flat.reshape(shape), np.float64)


def _image_of_each(regions: Regions, size: int) -> npt.NDArray[np.int64]:
    """(R,) the image that each region is in."""
    firsts = np.searchsorted(regions.owner, np.arange(regions.areas.size))
    return np.asarray(regions.pixels[firsts] // size, np.int64)


def _area_to(limit: float, rate: Counts, overlap: Counts) -> Counts:
    """(B,) normalised area under each (B, K) curve up to a rate, interpolated there."""
    start = np.zeros((len(rate), 1))
    x, y = np.concatenate([start, rate], axis=1), np.concatenate([start, overlap], axis=1)
    width = np.diff(x, axis=1)
    inside = np.clip(limit - x[:, :-1], 0.0, width)
    share = np.divide(inside, width, out=np.zeros_like(width), where=width > 0)
    ends = y[:, :-1] + share * np.diff(y, axis=1)
    return np.asarray((inside * (y[:, :-1] + ends)).sum(axis=1) / (2.0 * limit), np.float64)
