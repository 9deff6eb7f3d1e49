"""Results as a table, asked by others while it grows."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from plant_peers import inspection

from realnet_edge.camera import ResultTable
from realnet_edge.errors import ConfigError, RealnetEdgeError


def ask(path: Path, question: str) -> list[tuple[object, ...]]:
    """In a process of its own, as a person does."""
    program = "import sqlite3, sys; print(sqlite3.connect(sys.argv[1]).execute(sys.argv[2]).fetchall())"
    done = subprocess.run([sys.executable, "-c", program, path, question], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    rows: list[tuple[object, ...]] = eval(done.stdout)  # noqa: S307  # what our own process printed
    return rows


def put(table: ResultTable, count: int) -> None:
    for index in range(count):
        table(inspection(index))


def test_others_read_it_while_it_grows(tmp_path: Path) -> None:
    path = tmp_path / "new" / "results.db"
    with ResultTable(path) as table:
        for index, verdict in enumerate(["good", "defect", "not_inspected"]):
            table(inspection(index, verdict, camera="left"))
        question = (
            "SELECT frame_index, frame_id, camera, source, verdict, score, threshold, error, bundle, "
            "total_ms FROM results ORDER BY number"
        )
        assert ask(path, question) == [
            (0, "part0.png", "left", "parts", "good", 0.25, 0.5, None, "toy", 3.0),
            (1, "part1.png", "left", "parts", "defect", 0.75, 0.5, None, "toy", 3.0),
            (2, "part2.png", "left", "parts", "not_inspected", None, 0.5, "broken", "toy", None),
        ]
        recent = "SELECT COUNT(*) FROM results WHERE datetime(timestamp) > datetime('now', '-1 hour')"
        assert ask(path, recent) == [(3,)]
        table(inspection(3))
        assert ask(path, "SELECT COUNT(*) FROM results") == [(4,)]


@pytest.mark.parametrize(
    ("question", "index"),
    [
        ("SELECT * FROM results WHERE timestamp > '2026-01-01'", "results_by_time"),
        ("SELECT * FROM results WHERE verdict = 'defect'", "results_by_verdict"),
    ],
)
def test_questions_about_time_and_verdict_use_an_index(tmp_path: Path, question: str, index: str) -> None:
    path = tmp_path / "results.db"
    with ResultTable(path):
        ((*_, plan),) = ask(path, f"EXPLAIN QUERY PLAN {question}")
    assert index in str(plan)


def test_runs_append_and_can_be_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "results.db"
    for _ in range(2):
        with ResultTable(path) as table, ResultTable(path) as beside:
            table(inspection(0))
            beside(inspection(0))
    with sqlite3.connect(path) as database:
        ((rows, runs),) = database.execute("SELECT COUNT(*), COUNT(DISTINCT run) FROM results").fetchall()
    assert rows == 4
    assert runs >= 2


def test_rows_leave_when_they_are_old(tmp_path: Path) -> None:
    path = tmp_path / "results.db"
    with ResultTable(path) as table:
        for index, days in enumerate([40, 8, 6, 0]):
            table(inspection(index, age_s=days * 86400))
    with ResultTable(path, keep_days=7) as table:
        table(inspection(4))
    assert ask(path, "SELECT frame_index FROM results ORDER BY number") == [(2,), (3,), (4,)]


def test_somebody_who_holds_the_file_is_an_alarm_and_results_wait(tmp_path: Path) -> None:
    path, alarms = tmp_path / "results.db", list[str]()
    with ResultTable(path, on_alarm=alarms.append) as table:
        table(inspection(0))
        with sqlite3.connect(path, isolation_level=None) as other:
            other.execute("BEGIN IMMEDIATE")
            for index in (1, 2):
                table(inspection(index))
            assert table.waiting == 2
            other.execute("ROLLBACK")
        table(inspection(3))
    assert ask(path, "SELECT frame_index FROM results ORDER BY number") == [(0,), (1,), (2,), (3,)]
    assert alarms == [
        f"{path}: cannot be written (database is locked); results wait in memory",
        f"{path}: works again",
    ]


def test_a_disk_that_fails_is_an_error_where_nobody_hears_of_it(tmp_path: Path) -> None:
    with ResultTable(tmp_path / "results.db") as table:
        (pages,) = table._database.execute("PRAGMA page_count").fetchone()
        table._database.execute(f"PRAGMA max_page_count = {pages}")
        message = r"results\.db: cannot be written \(database or disk is full"
        with pytest.raises(RealnetEdgeError, match=message):
            put(table, 100)


def test_what_is_not_ours_is_left_alone(tmp_path: Path) -> None:
    notes, other = tmp_path / "notes.txt", tmp_path / "other.db"
    notes.write_text("no database, but long enough to be looked at" * 40)
    with sqlite3.connect(other) as database:
        database.execute("CREATE TABLE results (number INTEGER)")
    before = other.read_bytes()
    for path, message in ((notes, "not a database"), (other, "a database of something else")):
        with pytest.raises(ConfigError, match=message):
            ResultTable(path)
    assert other.read_bytes() == before
    with pytest.raises(ConfigError, match="cannot be written"):
        ResultTable(notes / "results.db")
