"""Results written one after the other, whatever the disk does in between."""

from __future__ import annotations

import sqlite3
from abc import ABC, abstractmethod
from collections import deque
from pathlib import Path
from types import TracebackType
from typing import Generic, TypeVar

from realnet_edge.camera.alarms import Alarm, Trouble, reason_of
from realnet_edge.camera.results import Inspection
from realnet_edge.errors import RealnetEdgeError

# Some 5 MB, and nearly seven minutes at 25 frames a second.
_HELD = 10_000

T = TypeVar("T")
_Sink = TypeVar("_Sink", bound="RecordSink[object]")


class RecordSink(ABC, Generic[T]):
    """A sink that writes one record a result, in order; use it in a `with` block.

    A disk that takes nothing more is an error, or where there is someone who hears of it an alarm: records
    wait in memory then, bounded, and are written in their order when the disk takes them again. Beyond the
    bound the oldest are given up.

    Args:
        path: the file.
        on_alarm: hears of a failing disk; None makes it an error.
        held: most records that wait.

    Attributes:
        waiting: records that are not written yet.
        lost: records given up.
    """

    def __init__(self, path: Path, on_alarm: Alarm | None, held: int = _HELD) -> None:
        self.path = path
        self.lost = 0
        self._waiting: deque[T] = deque()
        self._most = held
        self._on_alarm = on_alarm
        self._trouble = None if on_alarm is None else Trouble(str(path), on_alarm)

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def __call__(self, inspection: Inspection) -> None:
        """Write a result, after those that wait.

        Raises:
            RealnetEdgeError: the disk fails, and nobody hears of alarms.
        """
        self._waiting.append(self._record(inspection))
        self._try()

    def __enter__(self: _Sink) -> _Sink:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self._waiting and self._on_alarm is not None:
                self._try()
                self.lost += len(self._waiting)
            if self.lost and self._on_alarm is not None:
                self._on_alarm(f"{self.path}: {self.lost} results were lost, for the disk did not take them")
        finally:
            self._close()

    def _try(self) -> None:
        try:
            self._write(self._waiting)
        except (OSError, sqlite3.Error) as error:
            if self._trouble is None:
                raise RealnetEdgeError(f"{self.path}: cannot be written ({reason_of(error)}).") from error
            self._trouble.failed(f"cannot be written ({reason_of(error)}); results wait in memory")
            while len(self._waiting) > self._most:
                self._waiting.popleft()
                self.lost += 1
        else:
            if self._trouble is not None:
                self._trouble.works()

    @abstractmethod
    def _record(self, inspection: Inspection) -> T:
        """What is written of a result; it must not hold the picture."""

    @abstractmethod
    def _write(self, waiting: deque[T]) -> None:
        """Write from the left, and take off what is written.

        Raises:
            OSError, sqlite3.Error: the disk fails; what could not be written whole is not there at all.
        """

    @abstractmethod
    def _close(self) -> None:
        """Let go of the file."""
