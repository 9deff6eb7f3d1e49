"""A folder of this process alone, where what was verified cannot be changed any more."""

from __future__ import annotations

import atexit
import functools
import shutil
import tempfile
from pathlib import Path


def private_folder(name: str) -> Path:
    """The folder of this name for what this process has verified; made if it is not there.

    Only this user can read or write it, and it is removed when the process ends: a runtime may open files in
    it at any time until then, however long ago they were verified.
    """
    folder = _root() / name
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


@functools.cache
def _root() -> Path:
    root = Path(tempfile.mkdtemp(prefix="realnet-edge-"))
    atexit.register(shutil.rmtree, root, ignore_errors=True)
    return root
