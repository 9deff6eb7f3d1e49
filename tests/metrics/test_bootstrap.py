from __future__ import annotations

import numpy as np
import pytest

from realnet_edge.errors import ConfigError, DataError
from realnet_edge.metrics import (
    image_auroc,
    image_auroc_interval,
    image_average_precision,
    image_f1_max,
    image_precision_intervals,
)
from realnet_edge.metrics.resampling import draw_test_sets


def sample(good: int, bad: int, seed: int, shift: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = np.repeat([0, 1], [good, bad])
    return labels, rng.normal(size=good + bad) + shift * labels


def test_it_covers_the_true_value_as_often_as_it_says() -> None:
    # Two normal distributions one deviation apart: AUROC is Phi(1 / sqrt(2)).
    truth = 0.7602499389
    held = [low <= truth <= high for low, high in (interval(seed) for seed in range(200))]
    # 95% of 200 with three deviations of room.
    assert 0.90 <= np.mean(held) <= 0.99


def interval(seed: int) -> tuple[float, float]:
    return image_auroc_interval(*sample(60, 60, seed), resamples=400, seed=seed)


def test_the_figure_lies_inside_and_more_images_narrow_it() -> None:
    few, many = sample(40, 120, 1), sample(400, 1200, 1)
    widths = []
    for labels, scores in (few, many):
        low, high = image_auroc_interval(labels, scores)
        assert low < image_auroc(labels, scores) < high
        widths.append(high - low)
    assert widths[1] == pytest.approx(widths[0] / np.sqrt(10), rel=0.25)


def test_drift_on_the_same_images_is_known_much_better_than_either_figure() -> None:
    labels, scores = sample(41, 119, 2)
    close = scores + np.random.default_rng(3).normal(0, 0.05, len(scores))
    low, high = image_auroc_interval(labels, close, scores)
    alone = image_auroc_interval(labels, close)
    difference = image_auroc(labels, close) - image_auroc(labels, scores)
    assert low <= difference <= high
    assert high - low < 0.2 * (alone[1] - alone[0])


def test_ends_of_the_scale() -> None:
    labels = np.repeat([0, 1], [5, 7])
    assert image_auroc_interval(labels, labels.astype(float)) == (1.0, 1.0)
    assert image_auroc_interval(labels, np.zeros(12)) == (0.5, 0.5)
    _, scores = sample(5, 7, 4)
    assert image_auroc_interval(labels, scores, scores) == (0.0, 0.0)


def test_the_same_seed_gives_the_same_interval() -> None:
    labels, scores = sample(41, 119, 5)
    assert image_auroc_interval(labels, scores) == image_auroc_interval(labels, scores)
    assert image_auroc_interval(labels, scores) != image_auroc_interval(labels, scores, seed=1)


def test_what_cannot_be() -> None:
    labels, scores = sample(5, 7, 6)
    with pytest.raises(ConfigError, match="outside"):
        image_auroc_interval(labels, scores, level=1.0)
    with pytest.raises(ConfigError, match="at least 100"):
        image_auroc_interval(labels, scores, resamples=10)
    with pytest.raises(DataError, match="one of each per image"):
        image_auroc_interval(labels, scores, scores[:-1])
    with pytest.raises(DataError, match="both classes"):
        image_auroc_interval(np.zeros(12), scores)


def test_precision_and_f1_of_drawn_sets_are_those_of_their_images() -> None:
    labels, scores = sample(10, 14, 7)
    tied = np.round(scores, 1)
    both = []
    for counts in draw_test_sets(labels == 1, resamples=100):
        images = np.repeat(np.arange(24), counts.astype(int))
        precision = image_average_precision(labels[images], tied[images])
        both.append([precision, image_f1_max(labels[images], tied[images])[0]])
    expected = np.quantile(both, [0.025, 0.975], axis=0)
    found = image_precision_intervals(labels, tied, resamples=100)
    np.testing.assert_allclose(np.array(found).T, expected, atol=1e-12)
