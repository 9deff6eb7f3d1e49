"""Results on disk until everyone they are for has them."""

from __future__ import annotations

import json
import sqlite3
import threading
import uuid
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TypeVar

from realnet_edge.camera.alarms import Alarm, Trouble
from realnet_edge.camera.exclusive import open_exclusive
from realnet_edge.camera.results import Inspection
from realnet_edge.errors import ConfigError

_SCHEMA = """
CREATE TABLE IF NOT EXISTS message (
    id INTEGER PRIMARY KEY AUTOINCREMENT, uid TEXT NOT NULL UNIQUE, body TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS destination (name TEXT PRIMARY KEY, delivered INTEGER NOT NULL);
"""
# Some 300 MB of results: a broker may be away for half a day at 25 frames a second.
_KEPT = 1_000_000
# Results that are held in memory while the disk takes none.
_HELD = 10_000

_Outbox = TypeVar("_Outbox", bound="Outbox")


@dataclass(frozen=True)
class Message:
    """One result on its way.

    Attributes:
        id: its place in the order of results.
        uid: the same however often it is sent, and nobody else's.
        body: JSON document.
    """

    id: int
    uid: str
    body: str


class Outbox:
    """A sink that keeps results in an SQLite file until each destination has them; use it in a `with` block.

    Results of an earlier run that were not delivered are delivered by this one. A disk that takes nothing
    more does not stop the inspection: results wait in memory then, and are written when it does again.

    Args:
        path: the file; made if absent.
        destinations: names of those that results are for. One that the file does not know gets what comes
            from now on; one that is not among them any more is forgotten, if it has everything.
        kept: results that may wait on disk; beyond, the oldest are given up.
        on_alarm: hears of a disk that fails.

    Attributes:
        given_up: results deleted undelivered because too many waited, or that memory did not hold either.

    Raises:
        ConfigError: the file cannot be opened, is none of ours, is used by another run, or holds results for
            a destination that is not among these.
    """

    def __init__(
        self,
        path: Path,
        destinations: Sequence[str],
        kept: int = _KEPT,
        on_alarm: Alarm = lambda text: None,
    ) -> None:
        self.path = path
        self.given_up = 0
        self._run = uuid.uuid4().hex
        self._kept = kept
        self._trouble = Trouble(str(path), on_alarm)
        self._held: deque[tuple[str, str]] = deque()
        self._lock = threading.Lock()
        self._filled = threading.Condition()
        # Two runs would take each other's results: the file belongs to the first one.
        self._database = open_exclusive(
            path,
            _SCHEMA,
            "as the outbox",
            "Give --outbox a file that is not there yet or one of an earlier run.",
        )
        try:
            self._register(destinations)
        except ConfigError:
            self._database.close()
            raise

    def __call__(self, inspection: Inspection) -> None:
        uid = f"{self._run}-{inspection.index}"
        body = json.dumps({"uid": uid, **inspection.to_dict()}, allow_nan=False, ensure_ascii=False)
        with self._lock:
            self._held.append((uid, body))
            self._write_held()
        self.wake()

    def wait(self, seconds: float) -> None:
        """Return when a result has come, or after so long."""
        with self._filled:
            self._filled.wait(seconds)

    def wake(self) -> None:
        """Have everyone who waits look again."""
        with self._filled:
            self._filled.notify_all()

    def next(self, destination: str) -> Message | None:
        """The oldest result that a destination does not have yet."""
        with self._lock:
            row = self._database.execute(
                "SELECT id, uid, body FROM message WHERE id > "
                "(SELECT delivered FROM destination WHERE name = ?) ORDER BY id LIMIT 1",
                (destination,),
            ).fetchone()
        return Message(*row) if row else None

    def delivered(self, destination: str, message: Message) -> None:
        """A destination has everything up to this message; what all of them have leaves the file.

        Raises:
            sqlite3.Error: that could not be written.
        """
        with self._lock, self._database:
            self._database.execute(
                "UPDATE destination SET delivered = ? WHERE name = ?", (message.id, destination)
            )
            self._database.execute("DELETE FROM message WHERE id <= (SELECT MIN(delivered) FROM destination)")

    def waiting(self, destination: str) -> int:
        """How many results a destination does not have yet, those in memory included."""
        with self._lock:
            # Ids follow each other without gaps: counting a million rows would hold up the inspection.
            (count,) = self._database.execute(
                "SELECT COALESCE(MAX(0, (SELECT MAX(id) FROM message) - "
                "MAX(delivered, (SELECT MIN(id) FROM message) - 1)), 0) FROM destination WHERE name = ?",
                (destination,),
            ).fetchone()
            return int(count) + len(self._held)

    def __enter__(self: _Outbox) -> _Outbox:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._write_held()
            self.given_up += len(self._held)
            self._database.close()

    def _register(self, destinations: Sequence[str]) -> None:
        """Know these destinations and no others.

        Raises:
            ConfigError: results wait for another one.
        """
        known = [name for (name,) in self._database.execute("SELECT name FROM destination")]
        for name in (name for name in known if name not in destinations):
            if waiting := self.waiting(name):
                raise ConfigError(
                    f"{self.path}: {waiting} results wait for {name}, to which this run does not deliver. "
                    "Name it as well, or give another --outbox; delete the file only if nobody needs them."
                )
            self._database.execute("DELETE FROM destination WHERE name = ?", (name,))
        newest = "SELECT COALESCE(MAX(seq), 0) FROM sqlite_sequence WHERE name = 'message'"
        with self._database:
            self._database.executemany(
                f"INSERT OR IGNORE INTO destination VALUES (?, ({newest}))",  # noqa: S608  # a constant
                [(name,) for name in destinations],
            )
            self._database.execute("DELETE FROM message WHERE id <= (SELECT MIN(delivered) FROM destination)")

    def _write_held(self) -> None:
        try:
            with self._database:
                self._database.execute("BEGIN")
                self._database.executemany("INSERT INTO message (uid, body) VALUES (?, ?)", self._held)
            self._held.clear()
            oldest = "DELETE FROM message WHERE id <= (SELECT MAX(id) FROM message) - ?"
            self.given_up += self._database.execute(oldest, (self._kept,)).rowcount
            self._trouble.works()
        except sqlite3.Error as error:
            self._trouble.failed(f"cannot be written ({error}); results wait in memory")
            while len(self._held) > _HELD:
                self._held.popleft()
                self.given_up += 1


def waiting_in(path: Path) -> dict[str, int]:
    """How many results wait in a file for each destination that does not have all; looked at, not opened.

    Nothing where there is no such file, where another run has it, or where it is none of ours.
    """
    if not path.is_file():
        return {}
    try:
        database = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=0.0)
        try:
            rows = database.execute(
                "SELECT name, (SELECT COUNT(*) FROM message WHERE id > delivered) FROM destination"
            ).fetchall()
        finally:
            database.close()
    except sqlite3.Error:
        return {}
    return {name: count for name, count in rows if count}
