"""Which files of watched folders have their results, remembered over restarts."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import TypeVar

from realnet_edge.camera.exclusive import open_exclusive

_SCHEMA = """
CREATE TABLE IF NOT EXISTS inspected (
    folder TEXT NOT NULL, name TEXT NOT NULL, size INTEGER NOT NULL, changed_ns INTEGER NOT NULL,
    PRIMARY KEY (folder, name)
) WITHOUT ROWID;
"""

# Size and time of the last change in nanoseconds.
Stamp = tuple[int, int]
_Inspected = TypeVar("_Inspected", bound="Inspected")


class Inspected:
    """An SQLite file of what was inspected; use it in a `with` block. Safe between threads.

    A disk that takes nothing more stops nobody: what cannot be written is written with what comes next. What
    was not at the end is inspected once more after a restart.

    Args:
        path: the file; made if absent.

    Raises:
        ConfigError: it cannot be opened, is none of ours, or is used by another run.
    """

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._held: dict[tuple[str, str], Stamp] = {}
        # Two runs would each leave files to the other.
        self._database = open_exclusive(
            path,
            _SCHEMA,
            "to remember inspected files",
            "Give --inspected a file that is not there yet or one of an earlier run.",
        )

    def of(self, folder: Path) -> dict[Path, Stamp]:
        """What is remembered of a folder."""
        with self._lock:
            rows = self._database.execute(
                "SELECT name, size, changed_ns FROM inspected WHERE folder = ?", (_name(folder),)
            ).fetchall()
        return {folder / name: (size, changed) for name, size, changed in rows}

    def add(self, path: Path, stamp: Stamp) -> None:
        """A file has its result."""
        with self._lock:
            self._held[_name(path.parent), path.name] = stamp
            self._write_held()

    def forget(self, paths: Iterable[Path]) -> None:
        """These have left their folder."""
        gone = [(_name(path.parent), path.name) for path in paths]
        with self._lock:
            for key in gone:
                self._held.pop(key, None)
            self._try("DELETE FROM inspected WHERE folder = ? AND name = ?", gone)

    def __enter__(self: _Inspected) -> _Inspected:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._write_held()
            self._database.close()

    def _write_held(self) -> None:
        rows = [(*key, *stamp) for key, stamp in self._held.items()]
        if self._try("INSERT OR REPLACE INTO inspected VALUES (?, ?, ?, ?)", rows):
            self._held.clear()

    def _try(self, statement: str, rows: list[tuple[str, str]] | list[tuple[str, str, int, int]]) -> bool:
        try:
            with self._database:
                self._database.execute("BEGIN")
                self._database.executemany(statement, rows)
        except sqlite3.Error:
            return False
        return True


def _name(folder: Path) -> str:
    return str(folder.absolute())
