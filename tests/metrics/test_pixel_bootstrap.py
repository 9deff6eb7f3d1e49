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
    pixel_auroc,
    pixel_average_precision,
    pixel_f1_max,
    pixel_intervals,
    pro_reference,
)
from realnet_edge.metrics.resampling import Draws

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


def test_drawn_test_sets_give_what_their_images_give() -> None:
    masks, maps = sample(8, 12, 0)
    counts = PixelCounts(masks, maps)
    draws = Draws.of(counts.defects, resamples=100, seed=1)
    found = counts.metrics(draws)
    for number in range(5):
        images = np.repeat(np.arange(20), draws.counts[number].astype(int))
        for name, metric in EXACT.items():
            assert found[name][number] == pytest.approx(metric(masks[images], maps[images]), abs=2e-3), name


def test_as_many_good_and_defective_images_are_drawn_as_there_are() -> None:
    masks, maps = sample(5, 7, 2)
    counts = PixelCounts(masks, maps)
    draws = Draws.of(counts.defects, resamples=100)
    assert (draws.counts[:, :5].sum(axis=1) == 5).all()
    assert (draws.counts[:, 5:].sum(axis=1) == 7).all()
    assert len(np.unique(draws.counts, axis=0)) > 90


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


def test_it_covers_the_true_value_as_often_as_it_says() -> None:
    """Images of one pixel each of either kind: the pixel AUROC's interval is the image AUROC's."""
    truth, held = 0.7602499389, []
    for seed in range(100):
        rng = np.random.default_rng(seed)
        masks = np.repeat([False, True], [60, 60]).reshape(120, 1, 1)
        maps = rng.normal(size=(120, 1, 1)) + masks
        low, high = pixel_intervals(PixelCounts(masks, maps), resamples=200, seed=seed).pixel_auroc
        held.append(low <= truth <= high)
    assert 0.87 <= np.mean(held) <= 1.0


def test_flat_maps_and_what_cannot_be() -> None:
    masks, maps = sample(3, 4, 5)
    flat = PixelCounts(masks, np.full_like(maps, 0.25))
    found = pixel_intervals(flat)
    assert found.pixel_auroc == (0.5, 0.5)
    assert found.pro_reference is None
    with pytest.raises(DataError, match="of other images"):
        pixel_intervals(flat, PixelCounts(masks[::-1], maps))
    with pytest.raises(ConfigError, match="at least 100"):
        pixel_intervals(flat, resamples=10)
    with pytest.raises(DataError, match="normal and anomalous"):
        PixelCounts(masks & False, maps)
