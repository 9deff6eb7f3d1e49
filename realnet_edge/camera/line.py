"""Frames on their way to the engine: one thread captures, one resizes, the engine takes what is ready."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from realnet_edge.camera.frames import Frame
from realnet_edge.camera.sources import Source
from realnet_edge.camera.waiting import Waiting
from realnet_edge.imaging import preprocess

# Decoded frames of files that may wait: enough to ride out a slow read, few enough for 4K images.
_FILES_AHEAD = 2
# Of a camera one: a second one could only be older when its turn comes.
_LIVE_WAITING = 1
# How long a stop waits for a read that hangs.
_JOIN_S = 2.0

T = TypeVar("T")
_Line = TypeVar("_Line", bound="Line")


@dataclass(frozen=True)
class Ready:
    """A frame ready for the engine; `pixels` is (1, H, W, 3) uint8, None when there is no image."""

    frame: Frame
    pixels: npt.NDArray[np.uint8] | None
    preprocess_ms: float
    ready_at: float


class Camera:
    """A source on a line.

    Args:
        name: tells it from the others; None where it is the only one.
        source: where its frames come from.

    Attributes:
        dropped: frames of a live source that no engine saw. Those of files are still there.
    """

    def __init__(self, name: str | None, source: Source) -> None:
        self.name = name
        self.source = source
        self.dropped = 0


class Line:
    """Captures and resizes in threads of its own; use it in a `with` block and iterate over it.

    Files are read a bounded number of frames ahead. A live source goes at its own pace: where the engine is
    slower, the frame that has waited longest gives way and is counted. Whatever a thread raises is raised
    again here, after the frames before it.

    Args:
        source: where frames come from; closed at the end.
        size: height and width of the engine's input.
        stop: ends the iteration after the frame in hand.
    """

    def __init__(self, source: Source, size: tuple[int, int], stop: threading.Event) -> None:
        self._source = source
        self._camera = Camera(None, source)
        self._size = size
        self._stop = stop
        waiting = _LIVE_WAITING if source.live else _FILES_AHEAD
        self._captured: Waiting[Frame] = Waiting(waiting, source.live, stop)
        self._ready: Waiting[Ready] = Waiting(1, False, stop)
        self._threads = [
            _start("capture", source.frames, self._captured),
            _start("prepare", self._prepared, self._ready),
        ]

    @property
    def cameras(self) -> list[Camera]:
        """Each camera with its count, as they were given."""
        self._camera.dropped = self._captured.lost + self._ready.lost if self._source.live else 0
        return [self._camera]

    @property
    def dropped(self) -> int:
        """Frames of all live sources that no engine saw."""
        return sum(camera.dropped for camera in self.cameras)

    def __iter__(self) -> Iterator[Ready]:
        return iter(self._ready)

    def __enter__(self: _Line) -> _Line:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._source.stop()
        self._ready.close()
        self._captured.close()
        end = time.monotonic() + _JOIN_S
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))
        # A thread that hangs in a read still uses the source, and closes what it has opened when it returns.
        if not self._threads[0].is_alive():
            self._source.close()

    def _prepared(self) -> Iterator[Ready]:
        for frame in self._captured:
            yield _prepare(frame, self._size)


def _start(name: str, items: Callable[[], Iterator[T]], into: Waiting[T]) -> threading.Thread:
    """A running thread that puts all items into a queue, and what it raises as well."""

    def work() -> None:
        try:
            for item in items():
                if not into.put(item):
                    return
            into.finish()
        except BaseException as error:  # noqa: BLE001  # handed over whole, so that nothing is lost here
            into.finish(error)

    thread = threading.Thread(target=work, name=name, daemon=True)
    thread.start()
    return thread


def _prepare(frame: Frame, size: tuple[int, int]) -> Ready:
    if frame.image is None:
        return Ready(frame, None, 0.0, time.perf_counter())
    started = time.perf_counter()
    pixels = preprocess(frame.image, size)[None]
    ready_at = time.perf_counter()
    return Ready(frame, pixels, (ready_at - started) * 1e3, ready_at)
