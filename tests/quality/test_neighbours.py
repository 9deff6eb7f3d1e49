from __future__ import annotations

import numpy as np
import pytest

from realnet_edge.errors import DataError
from realnet_edge.quality.neighbours import (
    clustered_diversity,
    euclidean,
    find_copies,
    precision_recall,
)


def line(*places: float) -> np.ndarray:
    return np.array(places)[:, None]


def test_precision_and_recall_on_a_line() -> None:
    """By the first neighbour balls about 0, 1, 2, 10 reach 1, 1, 1, 8; about 1.5, 2.5, 30: 1, 1, 27.5."""
    real, samples = line(0, 1, 2, 10), line(1.5, 2.5, 30)
    precision, recall = precision_recall(real, samples, neighbours=1)
    # 1.5 and 2.5 lie in real balls (2.5 in 2's and 10's), 30 in none.
    assert precision == pytest.approx(2 / 3)
    # 1, 2 and 10 lie in the samples' balls (10 in 30's), 0 in none.
    assert recall == pytest.approx(3 / 4)


def test_sets_that_agree_and_sets_that_do_not() -> None:
    rng = np.random.default_rng(0)
    real = rng.standard_normal((60, 4))
    assert precision_recall(real, real) == (1.0, 1.0)
    assert precision_recall(real, real + 100.0) == (0.0, 0.0)
    # Copies of one image are precise and recall hardly anything.
    alike = np.repeat(real[:1], 60, axis=0) + 1e-3 * rng.standard_normal((60, 4))
    precision, recall = precision_recall(real, alike)
    assert precision == 1.0
    assert recall < 0.1
    with pytest.raises(DataError, match="3 real"):
        precision_recall(real[:3], real)


def test_distances_are_euclidean() -> None:
    rng = np.random.default_rng(1)
    first, second = rng.standard_normal((5, 7)), rng.standard_normal((3, 7))
    expected = np.linalg.norm(first[:, None] - second[None], axis=2)
    assert np.allclose(euclidean(first, second), expected)


def test_copies_are_told_from_what_is_only_alike() -> None:
    training = line(*np.arange(100.0))
    samples = line(3.0, 40.001, 70.5, 99.4, 250.0)
    found = find_copies(euclidean(samples, training), euclidean(training, training))
    assert found.nearest.tolist() == [3, 40, 70, 99, 99]
    assert found.limit == found.training_median == pytest.approx(1.0)
    assert found.distances == pytest.approx([0.0, 0.001, 0.5, 0.4, 151.0], abs=1e-6)
    assert found.share == pytest.approx(4 / 5)
    assert found.median == pytest.approx(0.4)
    with pytest.raises(DataError, match="two training"):
        find_copies(np.zeros((1, 1)), np.zeros((1, 1)))


def test_diversity_is_the_mean_over_groups_of_the_mean_over_pairs() -> None:
    real, samples = line(0, 10, 100), line(1, 2, 4, 9, 13, 90)
    # Groups: 1, 2, 4 with pairs 1, 2 and 3 apart; 9 and 13, 4 apart; 90 alone, which has no pair.
    found = clustered_diversity(euclidean(samples, real), euclidean(samples, samples))
    assert found == pytest.approx((2.0 + 4.0) / 2)
    alone = line(1, 9)
    assert clustered_diversity(euclidean(alone, real), euclidean(alone, alone)) is None
