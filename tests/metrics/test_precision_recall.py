from __future__ import annotations

import numpy as np
import pytest

from realnet_edge.errors import DataError
from realnet_edge.metrics.precision_recall import (
    image_average_precision,
    image_f1_max,
    pixel_average_precision,
    pixel_f1_max,
)


def by_hand(labels: np.ndarray, scores: np.ndarray) -> tuple[float, float, float]:
    """Average precision and best F1, threshold by threshold."""
    precisions, gains, found = [], [], []
    before = 0
    for threshold in sorted(set(scores.tolist()), reverse=True):
        called = scores >= threshold
        hits = int((called & (labels == 1)).sum())
        precisions.append(hits / int(called.sum()))
        gains.append(hits - before)
        found.append((2 * hits / (int(called.sum()) + int(labels.sum())), threshold))
        before = hits
    best = max(found, key=lambda pair: (pair[0], pair[1]))
    return float(np.dot(precisions, gains) / labels.sum()), best[0], best[1]


@pytest.mark.parametrize("levels", [3, 20, 10_000])
def test_equals_the_definition_with_and_without_ties(levels: int) -> None:
    rng = np.random.default_rng(levels)
    labels = rng.integers(0, 2, 200)
    scores = np.rint((rng.random(200) + 0.3 * labels) * levels) / levels
    precision, best, threshold = by_hand(labels, scores)
    assert image_average_precision(labels, scores) == pytest.approx(precision)
    assert image_f1_max(labels, scores) == pytest.approx((best, threshold))
    masks, maps = labels.reshape(2, 10, 10), scores.reshape(2, 10, 10)
    assert pixel_average_precision(masks, maps) == pytest.approx(precision)
    assert pixel_f1_max(masks, maps) == pytest.approx((best, threshold))


def test_perfect_and_useless_scores() -> None:
    labels = np.array([0, 0, 0, 1])
    assert image_average_precision(labels, labels) == 1.0
    assert image_f1_max(labels, labels) == (1.0, 1.0)
    # All alike: everything is called a defect, and a quarter of it is one.
    assert image_average_precision(labels, np.zeros(4)) == 0.25
    assert image_f1_max(labels, np.zeros(4)) == (pytest.approx(0.4), 0.0)


def test_both_classes_are_needed() -> None:
    with pytest.raises(DataError, match="both classes"):
        image_average_precision([0, 0], [0.1, 0.2])
    with pytest.raises(DataError, match="normal and anomalous pixels"):
        pixel_f1_max(np.zeros((1, 2, 2)), np.zeros((1, 2, 2)))
