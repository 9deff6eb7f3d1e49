"""Results as a table that a person can ask."""

from __future__ import annotations

import sqlite3
import time
from collections import deque
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from realnet_edge.camera.alarms import Alarm
from realnet_edge.camera.frames import utc_now
from realnet_edge.camera.records import RecordSink
from realnet_edge.camera.results import Inspection
from realnet_edge.errors import ConfigError

# SQLite keeps the comments: `.schema` shows them to whoever asks.
_SCHEMA = """
CREATE TABLE IF NOT EXISTS results (
    number INTEGER PRIMARY KEY,    -- order in which results came
    run TEXT NOT NULL,             -- when the run began: UTC, ISO 8601
    frame_index INTEGER NOT NULL,  -- 0 for the first frame of its run
    frame_id TEXT NOT NULL,        -- name of the file, number of the frame, or id of the part
    camera TEXT,                   -- name of the camera where there are several
    source TEXT NOT NULL,          -- where the frame came from
    timestamp TEXT NOT NULL,       -- when it was taken in hand: UTC, ISO 8601, milliseconds
    position_s REAL,               -- seconds from the start of a video
    verdict TEXT NOT NULL,         -- good, defect or not_inspected
    score REAL,                    -- image score in [0, 1]
    threshold REAL NOT NULL,       -- a score above it is a defect
    error TEXT,                    -- why it was not inspected
    bundle TEXT NOT NULL,          -- id of the bundle that decided
    decode_ms REAL, preprocess_ms REAL, queue_ms REAL, engine_ms REAL, total_ms REAL
);
CREATE INDEX IF NOT EXISTS results_by_time ON results (timestamp);
CREATE INDEX IF NOT EXISTS results_by_verdict ON results (verdict, timestamp);
"""
_COLUMNS = (
    *("run", "frame_index", "frame_id", "camera", "source", "timestamp", "position_s"),
    *("verdict", "score", "threshold", "error", "bundle"),
    *("decode_ms", "preprocess_ms", "queue_ms", "engine_ms", "total_ms"),
)
_INSERT = (
    f"INSERT INTO results ({', '.join(_COLUMNS)}) "  # noqa: S608  # constants
    f"VALUES ({', '.join(f':{name}' for name in _COLUMNS)})"
)
_DELETE = (
    "DELETE FROM results WHERE number IN "
    "(SELECT number FROM results WHERE timestamp < ? ORDER BY timestamp LIMIT ?)"
)
# Written into the file, so that nobody else's database is taken for ours: "RNET", and the table's form.
_APPLICATION, _VERSION = 0x524E4554, 1
# How long someone else's write to the same file may take: of a line other results are behind it.
_LOCK_S, _LIVE_LOCK_S = 5.0, 0.05
# Old rows leave the file in parts, for the inspection is not to wait for millions: more a minute than come.
_PRUNE_S, _PRUNED = 60.0, 10_000


class ResultTable(RecordSink[dict[str, Any]]):
    """Appends one row a frame to the table `results` of an SQLite file; use it in a `with` block.

    Others may read the file while it grows (it is in WAL mode), and several runs may write to it.

    Args:
        path: the file; folders that are missing are made.
        keep_days: rows older than so many days are deleted as new ones come; None keeps all. The file gets
            no smaller by it, but room that is free is used again.
        on_alarm: see `RecordSink`.

    Raises:
        ConfigError: the file cannot be opened, or holds something else.
    """

    def __init__(self, path: Path, keep_days: float | None = None, on_alarm: Alarm | None = None) -> None:
        super().__init__(path, on_alarm)
        self._run = utc_now()
        self._keep_days = keep_days
        self._pruned_at = -_PRUNE_S
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # The thread that opens it is not the one that writes.
            self._database = sqlite3.connect(
                path, timeout=_LOCK_S, isolation_level=None, check_same_thread=False
            )
        except (sqlite3.Error, OSError) as error:
            raise ConfigError(f"{path}: cannot be written ({error}).") from error
        try:
            self._prepare()
            if on_alarm is not None:
                self._database.execute(f"PRAGMA busy_timeout = {_LIVE_LOCK_S * 1e3:.0f}")
        except (sqlite3.Error, ConfigError) as error:
            self._database.close()
            raise ConfigError(
                f"{path}: cannot be used for results ({error}). Give --sqlite a file that is not there yet "
                "or one of an earlier run."
            ) from error

    def _prepare(self) -> None:
        database = self._database
        (tables,) = database.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()
        (application,) = database.execute("PRAGMA application_id").fetchone()
        (version,) = database.execute("PRAGMA user_version").fetchone()
        if tables and (application, version) != (_APPLICATION, _VERSION):
            raise ConfigError("it is a database of something else")
        database.execute("PRAGMA journal_mode = WAL")
        # A crash of this process loses nothing that was written.
        database.execute("PRAGMA synchronous = NORMAL")
        if not tables:
            database.execute(f"PRAGMA application_id = {_APPLICATION}")
            database.execute(f"PRAGMA user_version = {_VERSION}")
            database.executescript(_SCHEMA)

    def _record(self, inspection: Inspection) -> dict[str, Any]:
        line = inspection.to_dict()
        latency = line.pop("latency_ms") or dict.fromkeys(
            ("decode", "preprocess", "queue", "engine", "total")
        )
        return {
            **line,
            "run": self._run,
            "frame_index": line["index"],
            "frame_id": line["id"],
            "camera": line.get("camera"),
            **{f"{part}_ms": value for part, value in latency.items()},
        }

    def _write(self, waiting: deque[dict[str, Any]]) -> None:
        with self._database:
            self._database.execute("BEGIN IMMEDIATE")
            self._database.executemany(_INSERT, waiting)
        waiting.clear()
        if self._keep_days is not None and time.monotonic() - self._pruned_at >= _PRUNE_S:
            self._prune(datetime.now(timezone.utc) - timedelta(days=self._keep_days))
            self._pruned_at = time.monotonic()

    def _prune(self, oldest: datetime) -> None:
        self._database.execute(_DELETE, (oldest.isoformat(timespec="milliseconds"), _PRUNED))

    def _close(self) -> None:
        self._database.close()
