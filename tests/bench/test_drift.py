from __future__ import annotations

import numpy as np
import pytest

from realnet_edge.bench.accuracy import Accuracy
from realnet_edge.bench.drift import measure_drift, points, verdict
from realnet_edge.bench.predictions import Predictions
from realnet_edge.errors import ConfigError, DataError


def predictions(seed: int = 0, count: int = 6) -> Predictions:
    rng = np.random.default_rng(seed)
    maps = rng.random((count, 12, 10)).astype(np.float32)
    indices = rng.permuted(np.tile(np.arange(8, dtype=np.int32), (count, 1)), axis=1)
    return Predictions(maps, maps.max(axis=(1, 2)), indices)


def test_differences_are_counted_pixel_by_pixel_and_image_by_image() -> None:
    reference = predictions()
    maps = reference.maps.copy()
    maps[2, 3, 4] -= 0.25 if maps[2, 3, 4] > 0.5 else -0.25
    scores = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6], np.float32)
    moved = np.array([0.1, 0.2, 0.45, 0.35, 0.5, 0.6], np.float32)
    indices = reference.rrs_indices
    assert indices is not None
    swapped = indices.copy()
    swapped[0, [0, 1]] = swapped[0, [1, 0]]
    drift = measure_drift(
        Predictions(maps, moved, swapped), Predictions(reference.maps, scores, indices), threshold=0.38
    )
    assert drift.map_max_abs == pytest.approx(0.25, abs=1e-6)
    assert drift.map_mean_abs == pytest.approx(0.25 / maps.size, rel=1e-4)
    assert drift.decisions_flipped == 2
    # One swap of neighbours among six: 1 - 6 * 2 / (6 * 35).
    assert drift.score_spearman == pytest.approx(1 - 12 / 210)
    assert drift.rrs_rank_swaps == pytest.approx(2 / 6)
    assert drift.rrs_exchanged == 0
    swapped[1, 0] = 10_000
    exchanged = measure_drift(
        Predictions(maps, moved, swapped), Predictions(reference.maps, scores, indices), threshold=0.38
    )
    assert exchanged.rrs_rank_swaps == pytest.approx(3 / 6)
    assert exchanged.rrs_exchanged == pytest.approx(1 / 6)


def test_a_score_at_the_threshold_is_good_on_both_sides() -> None:
    reference = predictions(count=2)
    at = Predictions(reference.maps, np.array([0.5, 0.5], np.float32), None)
    above = Predictions(reference.maps, np.array([0.5, 0.50001], np.float32), None)
    assert measure_drift(at, at, 0.5).decisions_flipped == 0
    assert measure_drift(above, at, 0.5).decisions_flipped == 1


def test_what_is_unknown_stays_none() -> None:
    answers = predictions(count=3)
    silent = Predictions(answers.maps, np.full(3, 0.5, np.float32), None)
    drift = measure_drift(silent, answers, None)
    assert (drift.decisions_flipped, drift.rrs_rank_swaps, drift.score_spearman) == (None, None, None)
    assert drift.rrs_exchanged is None
    single = predictions(count=1)
    assert measure_drift(single, single, None).score_spearman is None


def test_maps_of_another_size_are_refused() -> None:
    with pytest.raises(DataError, match="build the engine again"):
        measure_drift(predictions(count=3), predictions(count=4), None)


def test_every_metric_must_keep_the_budget() -> None:
    reference = Accuracy(90.0, 98.0, 80.0, None)
    assert verdict(Accuracy(89.2, 98.0, 80.0, 12.0), reference, 0.99) == "pass"
    assert verdict(Accuracy(89.2, 98.0, 79.1, 12.0), reference, 0.99) == "fail"
    assert verdict(Accuracy(89.2, 98.0, 80.0, 12.0), reference, 0.999) == "fail"
    assert verdict(Accuracy(95.0, 99.0, 85.0), reference, 1.0) == "pass"
    assert verdict(Accuracy(None), reference, 0.99) == "unmeasured"
    # Average precision and F1 are shown, not judged.
    assert verdict(Accuracy(90.0, pixel_ap=20.0), Accuracy(90.0, pixel_ap=60.0), 0.99) == "pass"


def test_exactly_the_budget_is_kept() -> None:
    assert verdict(Accuracy(99.0), Accuracy(100.0), 0.99) == "pass"


@pytest.mark.parametrize("budget", [0.0, -1.0, 1.01, 99.0, float("nan")])
def test_a_budget_outside_its_range_is_refused(budget: float) -> None:
    with pytest.raises(ConfigError, match=r"give 0.99 or 0.999"):
        verdict(Accuracy(1.0), Accuracy(1.0), budget)


def test_points_need_both_sides() -> None:
    assert points(97.5, 98.0) == -0.5
    assert points(None, 98.0) is None
    assert points(97.5, None) is None
