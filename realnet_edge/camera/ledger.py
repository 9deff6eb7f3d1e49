"""Which pictures of a folder are this line's, so that old ones can make room for new ones."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath

from realnet_edge.camera.exclusive import open_exclusive

LEDGER = ".realnet-edge-pictures.db"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS picture (
    number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, bytes INTEGER NOT NULL
);
"""


class Ledger:
    """Keeps the pictures of a folder below a limit, by deleting the oldest; a file of its own remembers them.

    Only what was entered is ever deleted.

    Args:
        folder: where pictures lie.
        limit: bytes that those entered may take.

    Raises:
        ConfigError: the file cannot be used, or another run uses it.
    """

    def __init__(self, folder: Path, limit: int) -> None:
        self._folder = folder
        self._limit = limit
        # Two runs would not know of each other's pictures.
        self._database = open_exclusive(
            folder / LEDGER,
            _SCHEMA,
            "to remember pictures",
            "With a limit, give --save a folder of its own for each run at the same time.",
        )
        (self._taken,) = self._database.execute("SELECT COALESCE(SUM(bytes), 0) FROM picture").fetchone()

    @contextmanager
    def entry(self, name: str, size: int) -> Iterator[None]:
        """Enter a picture that the block writes; one that it fails to write is struck out again.

        Args:
            name: within the folder.
            size: its bytes.

        Raises:
            OSError, sqlite3.Error: no room can be made, or the entry not be written.
        """
        self._make_room(size)
        # Before it is written: no picture is left that nobody knows of.
        self._database.execute("INSERT OR REPLACE INTO picture (name, bytes) VALUES (?, ?)", (name, size))
        self._taken += size
        try:
            yield
        except BaseException:
            with suppress(sqlite3.Error):
                self._strike(name, size)
            raise

    def close(self) -> None:
        self._database.close()

    def _make_room(self, size: int) -> None:
        if size > self._limit:
            raise OSError(errno.EFBIG, "a picture is larger than the limit")
        while self._taken + size > self._limit:
            oldest = self._database.execute(
                "SELECT name, bytes FROM picture ORDER BY number LIMIT 1"
            ).fetchone()
            if oldest is None:
                self._taken = 0
                return
            self._delete(oldest[0])
            self._strike(*oldest)

    def _delete(self, name: str) -> None:
        inside = PurePosixPath(name)
        # Whoever can write the ledger must not delete what lies elsewhere.
        if inside.is_absolute() or ".." in inside.parts:
            return
        path = self._folder / inside
        path.unlink(missing_ok=True)
        if path.parent != self._folder:
            with suppress(OSError):
                path.parent.rmdir()

    def _strike(self, name: str, size: int) -> None:
        self._database.execute("DELETE FROM picture WHERE name = ?", (name,))
        self._taken -= size
