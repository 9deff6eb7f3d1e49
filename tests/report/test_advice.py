"""The advice: the fastest engine that keeps the budget, and nothing claimed beyond the rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from realnet_edge.errors import DataError
from realnet_edge.report.advice import advise
from realnet_edge.report.evaluation import Evaluation
from realnet_edge.report.rows import ResultRow


def test_fastest_within_the_budget_is_shipped(row: ResultRow, reference_row: ResultRow) -> None:
    slower = replace(row, precision="fp16", e2e_fps=30.0)
    advice = advise([reference_row, slower, row])
    assert advice.row is row
    assert advice.headline == "Ship openvino-int8."
    text = " ".join(advice.reasons)
    assert "41 images a second from encoded frame to decision" in text
    assert "10.2 times FP32 PyTorch" in text
    assert "image AUROC 88.84% (0.28 points below FP32 PyTorch)" in text
    assert "AU-PRO 93.11% (as FP32 PyTorch)" in text
    assert "3 images get another decision" in text


def test_end_to_end_decides_not_the_engine_alone(row: ResultRow, reference_row: ResultRow) -> None:
    choked = replace(row, backend="onnxruntime", fps=400.0, e2e_fps=20.0)
    assert advise([reference_row, choked, row]).row is row
    assert advise([reference_row, choked, replace(row, **NO_END_TO_END)]).row is choked


def test_a_faster_engine_over_the_budget_is_named(row: ResultRow, reference_row: ResultRow) -> None:
    failed = replace(row, backend="onnxruntime", e2e_fps=90.0, verdict="fail")
    advice = advise([reference_row, failed, row])
    assert advice.row is row
    assert any("onnxruntime-int8 is faster, but" in reason for reason in advice.reasons)


def test_nothing_is_shipped_when_none_keeps_the_budget(row: ResultRow, reference_row: ResultRow) -> None:
    worse = replace(row, precision="fp16", drift_image_auroc_points=-5.0, verdict="fail")
    advice = advise([reference_row, worse, replace(row, verdict="fail")])
    assert advice.row is None
    assert "none kept 99% of FP32" in advice.headline
    assert "openvino-int8" in advice.reasons[0]


def test_without_a_reference_the_cost_is_unknown(row: ResultRow) -> None:
    advice = advise([replace(row, verdict="unmeasured", drift_image_auroc_points=None)])
    assert "unknown" in advice.headline
    assert "keeps" not in " ".join(advice.reasons)


def test_only_the_reference(reference_row: ResultRow) -> None:
    assert advise([reference_row]).row is None


def test_decisions_are_counted(
    row: ResultRow, reference_row: ResultRow, evaluate: Callable[..., Evaluation]
) -> None:
    evaluation = evaluate(row)
    found = int((evaluation.scores[8:] > 0.3).sum())
    alarms = int((evaluation.scores[:8] > 0.3).sum())
    text = " ".join(advise([reference_row, row], [evaluation]).reasons)
    assert f"finds {found} of 14 defects and calls {alarms} of 8 good images" in text
    assert "no threshold" in " ".join(advise([replace(row, threshold=None)]).reasons)


def test_one_category_at_a_time(row: ResultRow) -> None:
    for rows in ([], [row, replace(row, category="cable")]):
        with pytest.raises(DataError, match="one category"):
            advise(rows)


NO_END_TO_END: dict[str, Any] = {"e2e_ms_p50": None, "e2e_ms_p90": None, "e2e_ms_p99": None, "e2e_fps": None}
