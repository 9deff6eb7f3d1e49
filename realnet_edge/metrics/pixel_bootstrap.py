"""How far pixel metrics may be off because the test set is one of many that could have been taken.

Whole images are drawn, never pixels: those of one image are no independent witnesses.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from realnet_edge.errors import DataError
from realnet_edge.metrics.checks import Bools, Floats, masks_and_maps
from realnet_edge.metrics.official import STEPS, even_thresholds, first_steps, pro_of_curve
from realnet_edge.metrics.precision_recall import average_precision_from, f1_scores_from
from realnet_edge.metrics.pro import DEFAULT_LIMIT
from realnet_edge.metrics.ranking import area_to, auroc_from_counts
from realnet_edge.metrics.regions import Regions, label_regions
from realnet_edge.metrics.resampling import LEVEL, RESAMPLES, Interval, draw_test_sets, interval

# Bins end at this many quantiles of normal and of anomalous pixels each, read from at most so many of them.
_QUANTILES = 1024
_SAMPLED = 1 << 18
# Test sets at once: few enough for the processor's cache, where ten times as many took four times as long.
_CHUNK = 25
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

    Values are binned between quantiles, so that no bin holds more than about a thousandth of either class
    unless they tie, and the official PRO is taken at the thresholds of the whole set. Figures of drawn sets
    are within a few thousandths of exact ones, and differences of two engines much closer.

    Args:
        masks: (N, H, W) ground truth; non-zero marks an anomalous pixel.
        maps: (N, H, W) anomaly maps.
        defects: (N,) which images are drawn as defective ones; None for those with an anomalous pixel.

    Raises:
        DataError: shapes differ, a map is not finite, the masks mark no pixel or every pixel, or every pixel
            of an image where no image is good.
    """

    def __init__(
        self, masks: npt.ArrayLike, maps: npt.ArrayLike, defects: npt.ArrayLike | None = None
    ) -> None:
        truth, values = masks_and_maps(masks, maps)
        flags = truth.reshape(len(truth), -1)
        marked = flags.any(axis=1) if defects is None else defects
        self.defects: Bools = np.asarray(marked, np.bool_)
        if self.defects.all() and flags.all(axis=1).any():
            raise DataError(
                "an image without a normal pixel, and no good image: a test set drawn from these may have no "
                "normal pixel at all. Add good images."
            )
        edges = _edges(truth, values)
        size = edges.size + 1
        # Descending, as thresholds do.
        bins = np.stack([_places(edges, one) for one in values])
        normal = (np.bincount(b[~f], minlength=size) for b, f in zip(bins, flags, strict=True))
        anomalous = (np.bincount(b[f], minlength=size) for b, f in zip(bins, flags, strict=True))
        self.normal, self.anomalous = np.stack(list(normal)), np.stack(list(anomalous))
        regions = label_regions(truth)
        self.regions = np.bincount(_image_of_each(regions, flags.shape[1]), minlength=len(truth))
        self.overlap = _summed(regions, bins.reshape(-1)[regions.pixels], (len(truth), size), flags.shape[1])
        self.above, self.filled = _official(truth, values)
        self._drawn: dict[tuple[int, int], dict[str, Counts]] = {}

    def drawn(self, resamples: int = RESAMPLES, seed: int = 0) -> dict[str, Counts]:
        """(B,) each metric in the drawn test sets; NaN where the official PRO is undefined."""
        if (resamples, seed) not in self._drawn:
            counts = draw_test_sets(self.defects, resamples, seed)
            parts = [self.metrics(counts[i : i + _CHUNK]) for i in range(0, len(counts), _CHUNK)]
            self._drawn[resamples, seed] = {n: np.concatenate([part[n] for part in parts]) for n in _NAMES}
        return self._drawn[resamples, seed]

    def metrics(self, counts: Counts) -> dict[str, Counts]:
        """(B,) each metric of test sets in which each image is as often as (B, N) `counts` say."""
        normal, anomalous = counts @ self.normal, counts @ self.anomalous
        regions = (counts @ self.regions)[:, None]
        overlap = np.minimum(np.cumsum(counts @ self.overlap, axis=1) / regions, 1.0)
        rate = np.cumsum(normal, axis=1)
        total = rate[:, -1:]
        rates, covered = counts @ self.above / total, counts @ self.filled / regions
        official = [pro_of_curve(r, c) for r, c in zip(rates, covered, strict=True)]
        return {
            "pixel_auroc": auroc_from_counts(anomalous, normal),
            "au_pro": area_to(DEFAULT_LIMIT, rate / total, overlap),
            "pro_reference": np.array([np.nan if score is None else score for score in official]),
            "average_precision": average_precision_from(anomalous, normal),
            "f1_max": f1_scores_from(anomalous, normal).max(axis=1),
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
    values = dict(counts.drawn(resamples, seed))
    if reference is not None:
        if not _same_images(counts, reference):
            raise DataError(
                "engine and reference are of other images: intervals of drift need the same ones."
            )
        theirs = reference.drawn(resamples, seed)
        values = {name: values[name] - theirs[name] for name in _NAMES}
    official = values.pop("pro_reference")
    return PixelIntervals(
        pro_reference=None if np.isnan(official).any() else interval(official, level),
        **{name: interval(found, level) for name, found in values.items()},
    )


def _same_images(one: PixelCounts, other: PixelCounts) -> bool:
    """Whether they are of the same images, as far as labels and marked pixels tell."""
    marked = (one.anomalous.sum(axis=1), other.anomalous.sum(axis=1))
    return np.array_equal(one.defects, other.defects) and np.array_equal(*marked)


def _places(edges: Floats, values: Floats) -> npt.NDArray[np.int16]:
    """The bin of each value, flat; the highest values are in bin 0."""
    return (edges.size - np.searchsorted(edges, values.reshape(-1), side="right")).astype(np.int16)


def _edges(truth: Bools, values: Floats) -> Floats:
    """Ascending ends of the bins: map values at quantiles of the normal and of the anomalous pixels."""
    rng, ends = np.random.default_rng(0), []
    for kind in (values[~truth], values[truth]):
        # Drawn, for every so many would be the same columns of all images.
        sample = kind if kind.size <= _SAMPLED else kind[rng.integers(0, kind.size, _SAMPLED)]
        ends.append(np.quantile(sample, np.arange(_QUANTILES) / _QUANTILES, method="lower"))
    return np.unique(np.concatenate(ends))


def _official(truth: Bools, values: Floats) -> tuple[Counts, Counts]:
    """(N, 1000) each image's normal pixels above each official threshold, and its filled overlap there."""
    thresholds = even_thresholds(values.min(), values.max())
    firsts = (first_steps(thresholds, v[~t]) for v, t in zip(values, truth, strict=True))
    normal = np.stack([np.bincount(steps, minlength=STEPS + 1) for steps in firsts])
    filled = label_regions(truth, filled=True)
    found = first_steps(thresholds, values.reshape(-1)[filled.pixels])
    overlap = _summed(filled, found, (len(truth), STEPS + 1), truth[0].size)
    above, covered = (np.cumsum(part[:, :STEPS], axis=1, dtype=np.float64) for part in (normal, overlap))
    return above, covered


def _summed(
    regions: Regions, place: npt.NDArray[np.integer[Any]], shape: tuple[int, int], size: int
) -> Counts:
    """(N, K) what pixels add to the overlap of their own regions, by image of `size` pixels and by bin."""
    weights = 1.0 / regions.areas[regions.owner]
    flat = np.bincount(regions.pixels // size * shape[1] + place, weights, shape[0] * shape[1])
    return np.asarray(flat.reshape(shape), np.float64)


def _image_of_each(regions: Regions, size: int) -> npt.NDArray[np.int64]:
    """(R,) the image that each region is in."""
    firsts = np.searchsorted(regions.owner, np.arange(regions.areas.size))
    return np.asarray(regions.pixels[firsts] // size, np.int64)
