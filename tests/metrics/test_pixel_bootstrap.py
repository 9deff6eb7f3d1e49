"""Intervals of pixel metrics: whole images are drawn, and bins hide nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from realnet_edge.errors import ConfigError, DataError
from realnet_edge.metrics import (
    PixelCounts,
    au_pro,
    image_auroc_interval,
    pixel_auroc,
    pixel_average_precision,
    pixel_f1_max,
    pixel_intervals,
    pro_reference,
)
from realnet_edge.metrics.resampling import draw_test_sets

EXACT: dict[str, Callable[..., Any]] = {
    "pixel_auroc": pixel_auroc,
    "au_pro": au_pro,
    "pro_reference": pro_reference,
    "average_precision": pixel_average_precision,
    "f1_max": lambda masks, maps: pixel_f1_max(masks, maps)[0],
}


def sample(good: int, bad: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Masks of two rectangles, some of them with holes, and sigmoids that differ from image to image."""
    rng = np.random.default_rng(seed)
    masks = np.zeros((good + bad, 48, 48), bool)
    for mask in masks[good:]:
        for top, left in rng.integers(0, 32, (2, 2)):
            mask[top : top + rng.integers(4, 16), left : left + rng.integers(4, 16)] = True
    masks[good, 20:40, 20:40] = True
    masks[good, 25:35, 25:35] = False
    logits = rng.normal(-4, 2, masks.shape) + rng.normal(0, 1, (len(masks), 1, 1))
    logits += 8 * masks * rng.uniform(0, 1, (len(masks), 1, 1))
    return masks, (1.0 / (1.0 + np.exp(-logits))).astype(np.float32)


@pytest.mark.parametrize("outlier", [False, True])
def test_drawn_test_sets_give_what_their_images_give(outlier: bool) -> None:
    masks, maps = sample(8, 12, 0)
    if outlier:
        # The official PRO's thresholds are even: one pixel leaves few of them to all others.
        maps *= 0.1
        maps[0, 0, 0] = 1.0
    counts = PixelCounts(masks, maps)
    drawn = draw_test_sets(counts.defects, resamples=100, seed=1)[:5]
    found = counts.metrics(drawn)
    for number, often in enumerate(drawn):
        images = np.repeat(np.arange(20), often.astype(int))
        for name, metric in EXACT.items():
            off = 2e-2 if outlier and name == "pro_reference" else 3e-3
            assert found[name][number] == pytest.approx(metric(masks[images], maps[images]), abs=off), name


def test_bins_do_not_depend_on_where_in_the_image_pixels_lie() -> None:
    """Every so many pixels of maps that are 0 in every other column would all be 0."""
    rng = np.random.default_rng(3)
    maps = np.zeros((40, 128, 128), np.float32)
    maps[:, :, 1::2] = rng.random((40, 128, 64))
    masks = np.zeros(maps.shape, bool)
    masks[30:, 60:70, 60:71] = True
    counts = PixelCounts(masks, maps)
    # Half of the pixels tie at 0; of the others no bin holds many.
    assert np.sort(counts.normal.sum(axis=0))[-2] < 0.003 * counts.normal.sum()


def test_as_many_good_and_defective_images_are_drawn_as_there_are() -> None:
    masks, maps = sample(5, 7, 2)
    counts = PixelCounts(masks, maps)
    drawn = draw_test_sets(counts.defects, resamples=100)
    assert (drawn[:, :5].sum(axis=1) == 5).all()
    assert (drawn[:, 5:].sum(axis=1) == 7).all()
    assert len(np.unique(drawn, axis=0)) > 90
    # A defect whose mask vanished at this size is one all the same.
    labels = np.repeat([0, 1], [4, 8])
    assert np.array_equal(PixelCounts(masks, maps, labels).defects, labels == 1)


def test_the_figures_lie_inside_and_drift_is_known_better() -> None:
    masks, maps = sample(20, 30, 3)
    noise = np.random.default_rng(4).normal(0, 0.01, maps.shape).astype(np.float32)
    close = np.clip(maps + noise, 0, 1)
    ours, theirs = PixelCounts(masks, close), PixelCounts(masks, maps)
    alone, drift = pixel_intervals(ours), pixel_intervals(ours, theirs)
    for name, metric in EXACT.items():
        low, high = getattr(alone, name)
        assert low < metric(masks, close) < high
        lower, upper = getattr(drift, name)
        assert lower <= metric(masks, close) - metric(masks, maps) <= upper
        assert upper - lower < 0.5 * (high - low)
    assert pixel_intervals(ours) == alone
    assert pixel_intervals(ours, seed=1) != alone


def test_of_images_of_one_pixel_it_is_the_interval_of_the_image_auroc() -> None:
    """Which covers the true value as often as it says."""
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], [60, 60])
    maps = rng.normal(size=(120, 1, 1)) + labels[:, None, None]
    found = pixel_intervals(PixelCounts(labels[:, None, None], maps)).pixel_auroc
    assert found == pytest.approx(image_auroc_interval(labels, maps[:, 0, 0]), abs=1e-3)


def test_flat_maps_and_what_cannot_be() -> None:
    masks, maps = sample(3, 4, 5)
    flat = PixelCounts(masks, np.full_like(maps, 0.25))
    found = pixel_intervals(flat)
    assert found.pixel_auroc == (0.5, 0.5)
    assert found.pro_reference is None
    with pytest.raises(DataError, match="of other images"):
        pixel_intervals(flat, PixelCounts(masks[::-1], maps))
    with pytest.raises(DataError, match="of other images"):
        pixel_intervals(flat, PixelCounts(np.roll(masks, 1, axis=0), maps, flat.defects))
    whole = np.ones((2, 8, 8), bool)
    whole[0, 0] = False
    with pytest.raises(DataError, match="Add good images"):
        PixelCounts(whole, maps[:2, :8, :8])
    with pytest.raises(ConfigError, match="at least 100"):
        pixel_intervals(flat, resamples=10)
    with pytest.raises(DataError, match="normal and anomalous"):
        PixelCounts(masks & False, maps)
