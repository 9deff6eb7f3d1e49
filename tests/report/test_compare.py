"""ROC points and drift between evaluations, against cases worked out by hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from realnet_edge.errors import DataError
from realnet_edge.report.compare import find_reference, map_differences, roc_points
from realnet_edge.report.evaluation import Evaluation
from realnet_edge.report.rows import ResultRow

Evaluate = Callable[..., Evaluation]


def test_roc_of_a_case_by_hand_with_ties(evaluate: Evaluate, row: ResultRow) -> None:
    whole = evaluate(row)
    labels, scores = np.array([0, 1, 0, 1]), np.array([0.1, 0.5, 0.5, 0.9])
    four = replace(
        whole,
        paths=whole.paths[:4],
        names=whole.names[:4],
        labels=labels,
        scores=scores,
        maps=whole.maps[:4],
        masks=None,
    )
    false_positive, true_positive = roc_points(four)
    np.testing.assert_allclose(false_positive, [0, 0, 50, 100])
    np.testing.assert_allclose(true_positive, [0, 50, 100, 100])


def test_map_differences_are_the_largest_of_each_image(
    evaluate: Evaluate, row: ResultRow, reference_row: ResultRow
) -> None:
    reference, engine = evaluate(reference_row), evaluate(row)
    maps = reference.maps.copy()
    maps[3, 5, 6] += 0.25
    differences = map_differences(reference, replace(engine, maps=maps))
    assert differences[3] == pytest.approx(0.25)
    assert np.delete(differences, 3).max() == 0


def test_other_images_or_sizes_are_refused(
    evaluate: Evaluate, row: ResultRow, reference_row: ResultRow
) -> None:
    reference, engine = evaluate(reference_row), evaluate(row)
    with pytest.raises(DataError, match="other images"):
        map_differences(reference, replace(engine, paths=engine.paths[::-1]))
    small = replace(engine, maps=engine.maps[:, ::2, ::2], masks=None)
    with pytest.raises(DataError, match="same size"):
        map_differences(reference, small)


def test_reference_is_found_by_its_verdict(
    evaluate: Evaluate, row: ResultRow, reference_row: ResultRow
) -> None:
    reference, engine = evaluate(reference_row), evaluate(row)
    assert find_reference([engine, reference]) is reference
    assert find_reference([engine]) is None


@pytest.mark.parametrize("field", ["names", "labels", "scores", "maps", "masks", "engine_ms"])
def test_evaluations_refuse_what_does_not_fit(evaluate: Evaluate, row: ResultRow, field: str) -> None:
    good = evaluate(row)
    value: Any = np.full(9, np.nan) if field == "engine_ms" else getattr(good, field)[:-1]
    with pytest.raises(DataError, match="openvino-int8"):
        replace(good, **dict[str, Any]({field: value}))


def test_decision_is_made_only_above_the_threshold(evaluate: Evaluate, row: ResultRow) -> None:
    scores = np.full(22, 0.29)
    scores[4], scores[5] = 0.3, 0.31
    called = replace(evaluate(row), scores=scores).called_defect
    assert called is not None
    assert np.flatnonzero(called).tolist() == [5]
