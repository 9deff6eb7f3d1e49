"""Result rows survive CSV, and refuse what a row cannot hold."""

from __future__ import annotations

import csv
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
    assert len(optional) == 49
    empty: dict[str, Any] = dict.fromkeys(optional)
    return replace(row, verdict="unmeasured", **empty)


def test_csv_holds_every_value_to_the_last_bit(tmp_path: Path, row: ResultRow) -> None:
    path = tmp_path / "results.csv"
    odd = replace(row, device='CPU "A", 2 cores\nsecond line', fps=0.1 + 0.2, versions="")
    rows.write_csv(path, [odd, row])
    with path.open(newline="", encoding="utf-8") as stream:
        first, second = csv.DictReader(stream)
    assert first == {name: str(value) for name, value in odd.to_dict().items()}
    assert float(first["fps"]) == odd.fps
    assert second["device"] == row.device


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


def test_the_official_pro_may_exceed_100(row: ResultRow) -> None:
    assert replace(row, pro_reference=143.5).pro_reference == 143.5
    with pytest.raises(DataError, match=r"pro_reference is -0\.5; it is at least 0"):
        replace(row, pro_reference=-0.5)


def test_name_tells_batches_apart(row: ResultRow) -> None:
    assert row.name == row.label == "openvino-int8"
    assert replace(row, batch=8).label == "openvino-int8 x8"
