"""Result rows survive JSON and CSV, and refuse what a row cannot hold."""

from __future__ import annotations

import csv
import json
import math
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from realnet_edge.errors import DataError
from realnet_edge.report import rows
from realnet_edge.report.rows import ResultRow


@pytest.fixture
def bare(row: ResultRow) -> ResultRow:
    """A row with nothing in the fields that may be empty."""
    optional: set[str] = {field.name for field in fields(row) if str(field.type).endswith("| None")}
    assert len(optional) == 20
    empty: dict[str, Any] = dict.fromkeys(optional)
    return replace(row, verdict="unmeasured", **empty)


def test_json_round_trip(tmp_path: Path, row: ResultRow, bare: ResultRow) -> None:
    path = tmp_path / "results.json"
    rows.write_json(path, [row, bare])
    assert rows.read_json(path) == [row, bare]
    assert json.loads(path.read_text())[1]["pixel_auroc"] is None


def test_csv_round_trip(tmp_path: Path, row: ResultRow, bare: ResultRow) -> None:
    path = tmp_path / "results.csv"
    odd = replace(row, device='CPU "A", 2 cores\nsecond line', fps=0.1 + 0.2, versions="")
    rows.write_csv(path, [odd, bare])
    assert rows.read_csv(path) == [odd, bare]
    assert isinstance(rows.read_csv(path)[0].drift_decisions_flipped, int)


def test_csv_empty_cells_and_header(tmp_path: Path, bare: ResultRow) -> None:
    path = tmp_path / "results.csv"
    rows.write_csv(path, [bare])
    with path.open(newline="") as stream:
        header, cells = csv.reader(stream)
    assert tuple(header) == rows.COLUMNS
    assert cells[header.index("image_auroc")] == ""
    assert not {"nan", "None", "inf"} & set(cells)


def test_every_field_is_documented() -> None:
    assert ResultRow.__doc__ is not None
    missing = [name for name in rows.COLUMNS if f"\n        {name}: " not in ResultRow.__doc__]
    assert not missing


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("image_auroc", math.nan),
        ("fps", math.inf),
        ("fps", 0.0),
        ("latency_ms_p50", -1.0),
        ("image_auroc", 100.1),
        ("threshold", 1.5),
        ("budget", 99.0),
        ("drift_score_spearman", -1.1),
        ("drift_decisions_flipped", -1),
        ("drift_decisions_flipped", 1.5),
        ("batch", 0),
        ("batch", True),
        ("images", "160"),
        ("fps", None),
        ("backend", ""),
        ("verdict", "PASS"),
        ("latency_ms_p90", 5.0),
        ("e2e_ms_p99", None),
    ],
)
def test_bad_values_are_refused_by_name(row: ResultRow, field: str, value: Any) -> None:
    with pytest.raises(DataError, match=field.rsplit("_p", 1)[0]):
        replace(row, **{field: value})


def test_from_dict_is_strict(row: ResultRow) -> None:
    document = row.to_dict()
    with pytest.raises(DataError, match="colour"):
        ResultRow.from_dict({**document, "colour": 1})
    del document["fps"]
    with pytest.raises(DataError, match="fps"):
        ResultRow.from_dict(document)


@pytest.mark.parametrize("text", ["{", "{}", "[1]", "[{}]"])
def test_broken_json_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "results.json"
    path.write_text(text)
    with pytest.raises(DataError):
        rows.read_json(path)


def test_broken_csv_is_refused(tmp_path: Path, row: ResultRow) -> None:
    path = tmp_path / "results.csv"
    rows.write_csv(path, [row])
    whole = path.read_text()
    for damaged in (
        whole.replace("49.8", "fast"),
        whole.rstrip() + ",1\n",
        whole.replace("fps,", "rate,", 1),
    ):
        path.write_text(damaged)
        with pytest.raises(DataError):
            rows.read_csv(path)


def test_missing_files_say_what_to_do(tmp_path: Path) -> None:
    for read in (rows.read_json, rows.read_csv):
        with pytest.raises(DataError, match="Run the benchmark"):
            read(tmp_path / "none")


def test_name_tells_batches_apart(row: ResultRow) -> None:
    assert row.name == row.label == "openvino-int8"
    assert replace(row, batch=8).label == "openvino-int8 x8"
