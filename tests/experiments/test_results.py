"""The file of result rows: nothing twice, nothing lost, nothing half."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from realnet_edge.data import CategoryData
from realnet_edge.errors import DataError
from realnet_edge.experiments.plan import Run
from realnet_edge.experiments.published import EXPERIMENTS
from realnet_edge.experiments.results import ResultsFile, RunResult, measured
from realnet_edge.experiments.settings import Settings


@pytest.fixture
def row(cells: CategoryData, tiny: Settings, result_of: Callable[..., RunResult]) -> RunResult:
    run = Run(EXPERIMENTS["table1"].rows[-1], cells, tiny, None)
    return result_of(run, {"image_auroc": 90.5, "au_pro": None})


def test_rows_come_back_as_they_were(row: RunResult, tmp_path: Path) -> None:
    file = ResultsFile(tmp_path / "new" / "results.jsonl", RunResult)
    assert file.rows() == {}
    other = dataclasses.replace(row, key="other", category="größe")
    file.append(row)
    file.append(other)
    assert file.rows() == {row.key: row, "other": other}


def test_a_row_is_never_written_twice(row: RunResult, tmp_path: Path) -> None:
    file = ResultsFile(tmp_path / "results.jsonl", RunResult)
    file.append(row)
    file.append(dataclasses.replace(row, image_auroc=1.0))
    assert file.path.read_bytes().count(b"\n") == 1
    assert file.rows()[row.key].image_auroc == 90.5


def test_appending_at_once_loses_and_doubles_nothing(row: RunResult, tmp_path: Path) -> None:
    file = ResultsFile(tmp_path / "results.jsonl", RunResult)
    rows = [dataclasses.replace(row, key=f"{number}") for number in range(12)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(file.append, rows * 3))
    assert file.path.read_bytes().count(b"\n") == 12
    assert set(file.rows()) == {one.key for one in rows}


def test_what_a_kill_left_of_a_row_does_not_count_and_goes(row: RunResult, tmp_path: Path) -> None:
    file = ResultsFile(tmp_path / "results.jsonl", RunResult)
    file.append(row)
    whole = file.path.read_bytes()
    other = dataclasses.replace(row, key="other")
    file.path.write_bytes(whole + b'{"key": "other", "cat')
    assert set(file.rows()) == {row.key}
    file.append(other)
    assert file.path.read_bytes().startswith(whole)
    assert file.rows() == {row.key: row, "other": other}


@pytest.mark.parametrize("line", ["no json", '{"key": "x"}', "[]"])
def test_a_line_of_another_kind_is_named(row: RunResult, tmp_path: Path, line: str) -> None:
    file = ResultsFile(tmp_path / "results.jsonl", RunResult)
    file.append(row)
    with file.path.open("a") as stream:
        stream.write(f"{line}\n")
    with pytest.raises(DataError, match=r"results\.jsonl, line 2"):
        file.rows()


def test_figures_by_name(row: RunResult) -> None:
    assert measured(row, "image_auroc") == 90.5
    assert measured(row, "au_pro") is None
    assert measured(row, "fps") is None
