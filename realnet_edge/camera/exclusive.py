"""SQLite files that belong to one run at a time."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from realnet_edge.errors import ConfigError, UnavailableError

# How long another run may take to let go of the file.
_LOCK_S = 0.5


def open_exclusive(path: Path, schema: str, purpose: str, remedy: str) -> sqlite3.Connection:
    """A file that no other run can open until this one closes it; any thread may use the connection.

    Args:
        path: made if absent, with folders that are missing.
        schema: statements that make what is not there yet.
        purpose: what it would be used for, for the error: "as the outbox".
        remedy: what to do where the file cannot be used.

    Raises:
        UnavailableError: another run has it.
        ConfigError: it cannot be opened, or is something else.
    """
    database = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        database = sqlite3.connect(path, timeout=_LOCK_S, check_same_thread=False, isolation_level=None)
        database.execute("PRAGMA locking_mode = EXCLUSIVE")
        # A crash of this process loses nothing that was written.
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")
        database.executescript(schema)
    except (sqlite3.Error, OSError) as error:
        if database is not None:
            database.close()
        if isinstance(error, sqlite3.OperationalError) and "locked" in str(error):
            raise UnavailableError(
                f"{path}: another run uses it. End that one first; runs at the same time need files, and "
                "folders to work in, of their own."
            ) from error
        raise ConfigError(f"{path}: cannot be used {purpose} ({error}). {remedy}") from error
    return database
