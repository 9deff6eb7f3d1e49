from __future__ import annotations

import numpy as np
import pytest

from realnet_edge.calibrate import conformal_threshold, normals_needed, shortfall
from realnet_edge.errors import ConfigError, DataError


@pytest.mark.parametrize(
    ("count", "target", "rank"),
    [
        (99, 0.01, 99),
        (99, 0.02, 98),
        # 100 * (1 - 0.07) is 92.99999999999999 in floats, and 10 * (1 - 0.1) is 9.0.
        (99, 0.07, 93),
        (9, 0.1, 9),
        (64, 0.02, 64),
        (50, 0.5, 26),
        # Too few: the largest there is.
        (20, 0.02, 20),
        (1, 0.3, 1),
    ],
)
def test_takes_the_stated_rank(count: int, target: float, rank: int) -> None:
    scores = np.random.default_rng(0).permutation(np.arange(1, count + 1) / 1000)
    found = conformal_threshold(scores, target)
    assert found.value == rank / 1000
    assert found.normals == count
    assert found.attainable_fpr == pytest.approx(1 / (count + 1))


@pytest.mark.parametrize("target", [0.02, 0.05, 0.1, 0.25])
@pytest.mark.parametrize("count", [30, 64, 100])
def test_coverage_holds_on_exchangeable_scores(count: int, target: float) -> None:
    rng = np.random.default_rng([count, int(100 * target)])
    repeats, further = 1000, 100
    rates = []
    for _ in range(repeats):
        # Skewed, as scores of good parts are; the rule must not care.
        scores = rng.lognormal(size=count + further).astype(np.float32)
        threshold = conformal_threshold(scores[:count], target)
        rates.append(float((scores[count:] > threshold.value).mean()))
    promised = max(target, 1 / (count + 1))
    error = 4 * float(np.std(rates)) / np.sqrt(repeats)
    assert np.mean(rates) <= promised + error
    # Nor is it wastefully strict: one rank lower would break the promise.
    assert np.mean(rates) >= promised - 1 / (count + 1) - error


def test_equal_scores_are_good() -> None:
    threshold = conformal_threshold([0.25] * 60, 0.02)
    assert threshold.value == 0.25
    assert not np.float32(0.25) > threshold.value


def test_too_few_normals_name_the_number_needed() -> None:
    found = conformal_threshold(np.linspace(0, 1, 20), 0.02)
    told = shortfall(found)
    assert told is not None
    assert "20 held-out good images" in told
    assert "needs 49 held-out" in told
    assert "4.762%" in told


def test_enough_normals_need_no_warning() -> None:
    assert shortfall(conformal_threshold(np.linspace(0, 1, 49), 0.02)) is None
    assert shortfall(conformal_threshold(np.linspace(0, 1, 48), 0.02)) is not None


@pytest.mark.parametrize(("target", "needed"), [(0.01, 99), (0.02, 49), (0.03, 33), (0.05, 19), (0.5, 1)])
def test_normals_needed(target: float, needed: int) -> None:
    assert normals_needed(target) == needed


@pytest.mark.parametrize("target", [0.0, 1.0, -0.1, 2.0, float("nan")])
def test_rates_outside_are_refused(target: float) -> None:
    with pytest.raises(ConfigError, match="between 0 and 1"):
        conformal_threshold([0.1, 0.2], target)


def test_no_scores_and_broken_scores_are_refused() -> None:
    with pytest.raises(DataError, match="got none"):
        conformal_threshold([], 0.02)
    with pytest.raises(DataError, match="1 of 2 held-out scores are not finite"):
        conformal_threshold([0.1, float("nan")], 0.02)
