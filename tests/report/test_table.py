"""The terminal table: every figure is there, uncut, at any width."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console

from realnet_edge.report.rows import ResultRow
from realnet_edge.report.table import ResultTable


def printed(rows: list[ResultRow], width: int) -> str:
    stream = io.StringIO()
    Console(file=stream, width=width, color_system=None).print(ResultTable(rows))
    return stream.getvalue()


@pytest.fixture
def rows(row: ResultRow, reference_row: ResultRow) -> list[ResultRow]:
    failed = replace(
        row,
        backend="onnxruntime",
        arithmetic="int8",
        image_auroc=86.5,
        drift_image_auroc_points=-2.62,
        verdict="fail",
    )
    return [reference_row, failed, row]


@pytest.mark.parametrize("width", [40, 60, 80, 100, 160, 200])
def test_nothing_is_cut_and_lines_fit(rows: list[ResultRow], width: int) -> None:
    text = printed(rows, width)
    assert max(len(line) for line in text.splitlines()) <= width
    assert "\u2026" not in text
    for words in ("onnxruntime", "openvino", "pytorch", "int8 + bf16", "reference", "fail 99%", "pass 99%"):
        assert words in text
    for figure in ("19.8", "21.2", "27.7", "50", "24.2", "41", "47.6", "88.84", "98.33", "93.11", "91.80"):
        assert figure in text
    assert "-2.62" in text


def test_wide_layout_has_one_line_an_engine(rows: list[ResultRow]) -> None:
    lines = [line for line in printed(rows, 160).splitlines() if "openvino-int8" in line]
    assert len(lines) == 1
    for figure in ("int8 + bf16", "19.8", "88.84", "-0.28", "pass 99%"):
        assert figure in lines[0]


def test_five_engines_fit_80_columns_in_one_table(rows: list[ResultRow]) -> None:
    five = [*rows, replace(rows[1], precision="fp32"), replace(rows[2], precision="fp16")]
    text = printed(five, 80)
    assert text.count("image AUROC (%)") == 1
    assert max(len(line) for line in text.splitlines()) <= 80


def test_what_was_not_measured_is_a_dash(row: ResultRow) -> None:
    without = replace(row, pixel_auroc=None, au_pro=None, pro_reference=None, drift_pixel_auroc_points=None)
    line = next(line for line in printed([without], 80).splitlines() if "pixel AUROC" in line)
    assert line.split()[-1] == "-"


def test_title_names_what_rows_share(rows: list[ResultRow]) -> None:
    assert printed(rows, 120).startswith("screw, 22 test images, batch 1, Example CPU, 2 cores")
    mixed = [rows[0], replace(rows[2], category="cable", batch=4)]
    text = printed(mixed, 80)
    assert "batch" not in text.splitlines()[0]
    assert "cable" in text
    assert "x4" in text


def test_no_rows() -> None:
    assert "No results" in printed([], 80)
