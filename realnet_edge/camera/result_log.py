"""Results as lines of JSON."""

from __future__ import annotations

import json
import os
from collections import deque
from pathlib import Path
from typing import BinaryIO

from realnet_edge.camera.alarms import Alarm
from realnet_edge.camera.records import RecordSink
from realnet_edge.camera.results import Inspection
from realnet_edge.errors import ConfigError


class ResultLog(RecordSink[bytes]):
    """Appends one JSON line a frame to a file; use it in a `with` block.

    A line is handed to the system whole, as soon as the frame is decided, so whatever ends the process the
    file holds complete lines only, and lines of earlier runs stay. What a full disk took of a line is taken
    back.

    Args:
        path: the file; folders that are missing are made.
        on_alarm: see `RecordSink`.

    Raises:
        ConfigError: the file cannot be opened for writing.
    """

    def __init__(self, path: Path, on_alarm: Alarm | None = None) -> None:
        super().__init__(path, on_alarm)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file: BinaryIO = path.open("ab", buffering=0)
        except OSError as error:
            raise ConfigError(f"{path}: cannot be written ({error.strerror}).") from error
        # Lines of an earlier run, or nothing.
        self.appends = self._file.tell() > 0

    def _record(self, inspection: Inspection) -> bytes:
        return json_line(inspection).encode()

    def _write(self, waiting: deque[bytes]) -> None:
        while waiting:
            self._append(waiting[0])
            waiting.popleft()

    def _append(self, line: bytes) -> None:
        written = 0
        try:
            while written < len(line):
                written += self._file.write(line[written:])
        except OSError:
            if written:
                self._take_back(written)
            raise

    def _take_back(self, count: int) -> None:
        end = self._file.tell()
        # Nobody else has written behind it.
        if end == os.fstat(self._file.fileno()).st_size:
            os.ftruncate(self._file.fileno(), end - count)

    def _close(self) -> None:
        self._file.close()


def json_line(inspection: Inspection) -> str:
    """One line of JSON with its line feed. NaN and infinity are refused."""
    return json.dumps(inspection.to_dict(), allow_nan=False, ensure_ascii=False) + "\n"
