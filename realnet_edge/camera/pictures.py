"""Pictures of a line in one folder: each one whole or not at all, in bounded room."""

from __future__ import annotations

import io
import re
import sqlite3
import threading
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
from PIL import Image

from realnet_edge.camera.alarms import Alarm, Trouble, reason_of
from realnet_edge.camera.background import Background
from realnet_edge.camera.ledger import Ledger
from realnet_edge.camera.results import DEFECT, Inspection
from realnet_edge.errors import ConfigError, RealnetEdgeError
from realnet_edge.files import atomic_path

Annotate = Callable[[Inspection], npt.NDArray[np.uint8]]
Kind = Literal["jpeg", "png"]
SUFFIXES: dict[Kind, str] = {"jpeg": ".jpg", "png": ".png"}
_QUALITY = 92
# Little is gained by more, and a line has no time for it.
_COMPRESSION = 1
_ODD_CHARACTERS = re.compile(r"[^A-Za-z0-9._-]+")


class PictureFolder:
    """Writes pictures into a folder.

    Where pictures of an earlier run lie, names begin with the time at which this one began: none is replaced.

    Args:
        folder: made if absent.
        limit: bytes that pictures may take; the oldest ones that were written under a limit are deleted
            first, and no other file. None for no limit.
        on_alarm: hears of a disk that fails; pictures are written in a thread of their own then, and up to
            64 MiB of them may wait. None writes at once and makes a disk that fails an error.

    Attributes:
        written: pictures that are on disk, or were.
        missed: pictures that the disk did not take, or not in time.

    Raises:
        ConfigError: the folder cannot be made, or is used by another run with a limit.
    """

    def __init__(self, folder: Path, limit: int | None = None, on_alarm: Alarm | None = None) -> None:
        self.folder = folder
        self.written = self.missed = 0
        # Two threads count what is missed: the one that writes, and the one that finds no room to wait.
        self._counting = threading.Lock()
        self._trouble = None if on_alarm is None else Trouble(str(folder), on_alarm)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            used = any(path.suffix in SUFFIXES.values() for path in folder.iterdir())
        except OSError as error:
            raise ConfigError(
                f"{folder}: cannot be a folder of pictures ({error.strerror}). Give one that is there, or "
                "that can be made."
            ) from error
        self._ledger = None if limit is None else Ledger(folder, limit)
        self._background = None if on_alarm is None else Background(self._save)
        self._run = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%S%fZ_") if used else ""

    def name(self, inspection: Inspection, kind: Kind = "jpeg") -> str:
        """A file's name for a frame, whatever characters its id has."""
        frame_id = _ODD_CHARACTERS.sub("_", str(Path(inspection.frame.id).with_suffix("")))
        return f"{self._run}{inspection.index:06d}_{frame_id}{SUFFIXES[kind]}"

    def save(self, name: str, encoded: bytes) -> None:
        """Write a picture, or have it written.

        Args:
            name: within the folder.
            encoded: the file's bytes.

        Raises:
            RealnetEdgeError: the disk fails, and nobody hears of alarms.
        """
        if self._background is None:
            self._save(name, encoded)
        elif not self._background.put(name, encoded):
            self._miss("pictures come faster than they can be written")

    def leave(self) -> None:
        """No more pictures come; waits for nothing. `close` does it otherwise."""
        if self._background is not None:
            self._background.finish()

    def close(self) -> None:
        """Have everything written, for as long as an end may take."""
        left = 0 if self._background is None else self._background.close()
        self.missed += left or 0
        # A thread that hangs in a write still uses it.
        if self._ledger is not None and left is not None:
            self._ledger.close()

    def _save(self, name: str, encoded: bytes) -> None:
        try:
            self._write(name, encoded)
        except (OSError, sqlite3.Error) as error:
            if self._trouble is None:
                raise RealnetEdgeError(
                    f"{self.folder / name}: cannot be written ({reason_of(error)})."
                ) from error
            self._miss(f"pictures cannot be written ({reason_of(error)})")
        else:
            self.written += 1
            if self._trouble is not None:
                self._trouble.works()

    def _miss(self, reason: str) -> None:
        with self._counting:
            self.missed += 1
        if self._trouble is not None:
            self._trouble.failed(reason)

    def _write(self, name: str, encoded: bytes) -> None:
        if self._ledger is None:
            _write_whole(self.folder / name, encoded)
        else:
            with self._ledger.entry(name, len(encoded)):
                _write_whole(self.folder / name, encoded)


class OverlayFolder:
    """Writes a JPEG with its map for each frame.

    Args:
        pictures: where.
        annotate: draws the picture of an inspected frame, (H, W, 3) uint8 RGB.
        everything: also write frames that are good.
    """

    def __init__(self, pictures: PictureFolder, annotate: Annotate, everything: bool) -> None:
        self._pictures = pictures
        self._annotate = annotate
        self._everything = everything

    def __call__(self, inspection: Inspection) -> None:
        if inspection.anomaly_map is None or not (self._everything or inspection.verdict == DEFECT):
            return
        self._pictures.save(self._pictures.name(inspection), encode(self._annotate(inspection), "jpeg"))


def encode(picture: npt.NDArray[np.uint8], kind: Kind) -> bytes:
    """An (H, W, 3) uint8 RGB picture as a file's bytes."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, kind, quality=_QUALITY, compress_level=_COMPRESSION)
    return buffer.getvalue()


def _write_whole(path: Path, encoded: bytes) -> None:
    with atomic_path(path) as temporary:
        temporary.write_bytes(encoded)
