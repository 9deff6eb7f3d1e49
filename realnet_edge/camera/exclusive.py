"""Files that belong to one run at a time."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from realnet_edge.errors import UnavailableError


def refuse_locked(path: Path, error: Exception) -> None:
    """Say of a database that another run has it; returns where that is not what is wrong.

    Raises:
        UnavailableError: it is locked.
    """
    if isinstance(error, sqlite3.OperationalError) and "locked" in str(error):
        raise UnavailableError(
            f"{path}: another run uses it. End that one first; runs at the same time need files, and folders "
            "to work in, of their own."
        ) from error
