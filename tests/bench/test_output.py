from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from html import escape
from pathlib import Path

import numpy as np
import pytest

from realnet_edge.bench import BenchResult, BenchSettings, run_bench, write_bench
from realnet_edge.bench.output import document, hardest
from realnet_edge.bundle import Bundle
from realnet_edge.workspace import Workspace


@pytest.fixture
def result(workspace: Workspace, data_root: Path, build_bundle: Callable[..., Bundle]) -> BenchResult:
    build_bundle("fp32")
    return run_bench(workspace, "part", BenchSettings(data=data_root, runs=2, warmup=0, threads=1))


def test_json_csv_and_result_hold_the_same_rows(tmp_path: Path, result: BenchResult) -> None:
    folder = tmp_path / "bench" / "latest"
    write_bench(folder, result)
    written = json.loads((folder / "rows.json").read_text())
    assert written == document(result)
    assert written["rows"] == [row.to_dict() for row in result.rows]
    with (folder / "rows.csv").open(newline="", encoding="utf-8") as stream:
        assert [float(row["fps"]) for row in csv.DictReader(stream)] == [row.fps for row in result.rows]
    assert written["notes"] == list(result.notes)
    # Nothing to compare with is not a budget that was met.
    assert written["budget_met"] is None
    report = (folder / "report.html").read_text(encoding="utf-8")
    assert "onnxruntime" in report
    assert escape(result.notes[0]) in report


@pytest.mark.parametrize(
    ("verdicts", "met"),
    [
        (["reference", "pass", "pass"], True),
        (["pass"], True),
        (["pass", "fail"], False),
        (["unmeasured", "fail"], False),
        (["reference", "pass", "unmeasured"], None),
        (["unmeasured"], None),
        (["reference"], None),
    ],
)
def test_the_budget_is_met_only_where_every_engine_was_judged(
    result: BenchResult, verdicts: list[str], met: bool | None
) -> None:
    (one,) = result.evaluations
    judged = [replace(one, row=replace(one.row, verdict=verdict)) for verdict in verdicts]
    assert document(replace(result, evaluations=tuple(judged)))["budget_met"] is met


def test_answers_can_be_read_again(tmp_path: Path, result: BenchResult) -> None:
    write_bench(tmp_path / "latest", result)
    (path,) = (tmp_path / "latest" / "predictions").iterdir()
    assert path.name == "onnxruntime-fp32-batch1.npz"
    with np.load(path, allow_pickle=False) as stored:
        assert stored["maps"].dtype == np.float16
        np.testing.assert_array_equal(stored["scores"], result.evaluations[0].scores)
        assert stored["names"].tolist() == list(result.evaluations[0].names)


def test_a_new_run_replaces_the_old_one_whole(tmp_path: Path, result: BenchResult) -> None:
    folder = tmp_path / "latest"
    write_bench(folder, result, save_images=3)
    pictures = sorted(path.name for path in (folder / "images" / "onnxruntime-fp32-batch1").iterdir())
    assert len(pictures) == 3
    assert pictures[0].startswith("000-good-")
    assert pictures[1].startswith("001-square-")
    write_bench(folder, result)
    assert not (folder / "images").exists()
    assert [path.name for path in tmp_path.glob(".latest*")] == []


def test_the_hardest_images_are_high_good_and_low_defect_scores(result: BenchResult) -> None:
    (evaluation,) = result.evaluations
    order = hardest(evaluation, 16)
    assert sorted(order) == list(range(16))
    good, defects = evaluation.scores[:8], evaluation.scores[8:]
    assert order[0] == int(np.argmax(good))
    assert order[1] == 8 + int(np.argmin(defects))
    assert hardest(evaluation, 2) == order[:2]
