"""Files that never look finished before they are: write aside, then rename."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; it takes the name `path` only if the block succeeds."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}.", suffix=path.suffix)
    os.close(descriptor)
    temporary = Path(name)
    try:
        yield temporary
        # mkstemp makes private files; what the user ends up with follows their umask.
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        _flush(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield an empty folder beside `path`; it replaces `path` only if the block succeeds.

    A folder already at `path` stays untouched until then, and is put back if the swap fails. One that a
    kill between the swap's two renames left aside is put back first.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    recover_folder(path)
    temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
    temporary.chmod(0o755)
    old = path.with_name(f".{path.name}.old-{os.getpid()}")
    try:
        yield temporary
        for written in sorted(temporary.rglob("*")):
            if written.is_file():
                _flush(written)
        if path.exists():
            path.rename(old)
        try:
            temporary.rename(path)
        except OSError:
            if old.exists():
                old.rename(path)
            raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        # The only copy, if the swap failed and could not be undone.
        if path.exists():
            shutil.rmtree(old, ignore_errors=True)


def recover_folder(path: Path) -> None:
    """Put back a folder that a kill between the two renames of `atomic_folder`'s swap left aside."""
    stranded = [] if path.exists() else list(path.parent.glob(f".{path.name}.old-*"))
    if stranded:
        max(stranded, key=lambda folder: folder.stat().st_mtime).rename(path)


def write_json(path: Path, document: Any) -> None:
    """Write `document` as indented JSON, atomically. NaN and infinity are refused."""
    text = json.dumps(document, indent=2, allow_nan=False, ensure_ascii=False) + "\n"
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def read_json(path: Path) -> Any:
    """The JSON document at `path` (UTF-8)."""
    return json.loads(path.read_text(encoding="utf-8"))


def sha256_file(path: Path) -> str:
    """Hexadecimal SHA-256 of a file, read in blocks."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _flush(path: Path) -> None:
    """Force a file to disk, so that the rename cannot outlive its content in a power cut."""
    with path.open("rb+") as stream:
        os.fsync(stream.fileno())
