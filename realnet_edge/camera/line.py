"""Frames on their way to the engine: one thread a camera captures, and one resizes for all of them."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from realnet_edge.camera.frames import Frame
from realnet_edge.camera.sources import Source
from realnet_edge.camera.waiting import Lane, Waiting
from realnet_edge.errors import ConfigError
from realnet_edge.imaging import preprocess

# Decoded frames of files that may wait: enough to ride out a slow read, few enough for 4K images.
_FILES_AHEAD = 2
# Of a camera one: a second one could only be older when its turn comes.
_LIVE_WAITING = 1
# Of parts a few: they come in bursts, and each of them counts.
_PARTS_WAITING = 4
# How long a stop waits for reads that hang.
# How the names of threads begin that read a camera.
_CAPTURE = "capture"
_JOIN_S = 0.5

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
    """A source on a line, for one run.

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

    def frames(self) -> Iterator[Frame]:
        """The source's frames, with the camera's name."""
        for frame in self.source.frames():
            yield dataclasses.replace(frame, camera=self.name) if self.name else frame

    def lane(self) -> Lane[Frame]:
        """Where its frames wait."""
        if not self.source.live:
            return Lane(_FILES_AHEAD)
        return Lane(_PARTS_WAITING if self.source.triggered else _LIVE_WAITING, newest_first=True)


class Line:
    """Captures and resizes in threads of its own; use it in a `with` block and take from it.

    Each camera has a thread and a queue, so that one that hangs, comes back or is fast holds up no other;
    they take turns. Files are read a bounded number of frames ahead. A live source goes at its own pace:
    where the engine is slower, the frame that has waited longest gives way. It is counted, or kept for the
    results where it was a part. Whatever a thread raises is raised again here, after the frames before it.

    Args:
        cameras: where frames come from, names all different; their sources are closed at the end.
        size: height and width of the engine's input.
        stop: ends the line after the frames in hand.
        ahead: frames that may wait for the engine, resized.

    Raises:
        ConfigError: no camera, or two of one name.
    """

    def __init__(
        self, cameras: Sequence[Camera], size: tuple[int, int], stop: threading.Event, ahead: int = 1
    ) -> None:
        self.cameras = cameras
        self._size = size
        self._stop = stop
        self._by_name = {camera.name: camera for camera in cameras}
        if not 0 < len(cameras) == len(self._by_name):
            names = ", ".join(str(camera.name) for camera in cameras)
            raise ConfigError(f"cameras ({names}): give at least one, and each a name of its own.")
        self._counting = threading.Lock()
        self._missed: list[Ready] = []
        self._leaving = False
        self._captured = Waiting([camera.lane() for camera in cameras], stop.is_set, self._lose)
        self._ready = Waiting([Lane[Ready](ahead)], stop.is_set, lambda ready: self._lose(ready.frame))
        self._capturing = [
            _thread(
                f"{_CAPTURE} {camera.name or ''}".strip(),
                camera.frames,
                self._captured,
                lane,
                # Of parts those that a source still owes when all is over: it yields them once it is stopped.
                to_the_end=camera.source.triggered,
            )
            for lane, camera in enumerate(cameras)
        ]
        self._preparing = _thread("prepare", self._prepared, self._ready)

    @property
    def dropped(self) -> int:
        """Frames of all live sources that no engine saw, parts not among them."""
        return sum(camera.dropped for camera in self.cameras)

    @property
    def looked_at(self) -> float:
        """Monotonic time at which the one who decides, or who resizes if that is longer ago, was last seen.

        At work between two frames, or waiting for one; not while one is in hand.
        """
        return min(self._ready.looked_at, self._captured.looked_at)

    def take(self, most: int = 1, wait_s: float = 0.0) -> list[Ready]:
        """Frames that are ready, and parts that gave way since the last call.

        Waits until there is one, however long that takes, and then `wait_s` seconds at most for more.

        Returns:
            Up to `most` frames with pixels; none when all sources have ended or the line has.

        Raises:
            BaseException: what a source raised, behind its frames.
        """
        taken = self._ready.take(most, wait_s)
        return [*self.missed(), *taken] if taken else []

    def missed(self) -> list[Ready]:
        """Parts that gave way since the last call, with the reason in place of the image."""
        with self._counting:
            missed, self._missed = self._missed, []
        return missed

    def halt(self) -> None:
        """End the line after the frames in hand, from any thread."""
        self._leaving = True
        self._ready.close()

    def __enter__(self: _Line) -> _Line:
        for thread in (*self._capturing, self._preparing):
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for camera in self.cameras:
            camera.source.stop()
        self.halt()
        self._captured.close()
        end = time.monotonic() + _JOIN_S
        for thread in (self._preparing, *self._capturing):
            thread.join(max(0.0, end - time.monotonic()))
        for camera, thread in zip(self.cameras, self._capturing, strict=True):
            # One that hangs in a read still uses the source, and closes what it has opened when it returns.
            if not thread.is_alive():
                camera.source.close()

    def _prepared(self) -> Iterator[Ready]:
        while taken := self._captured.take():
            yield _prepare(taken[0], self._size)

    def _lose(self, frame: Frame) -> None:
        """Account for a frame that no engine will see."""
        camera = self._by_name[frame.camera]
        with self._counting:
            if camera.source.triggered:
                self._missed.append(_missed(frame, self._leaving or self._stop.is_set()))
            elif camera.source.live:
                camera.dropped += 1


def is_capturing() -> bool:
    """Whether a camera's thread is still there: inside the library that reads it, once its line has ended."""
    return any(thread.name.startswith(_CAPTURE) for thread in threading.enumerate())


def _thread(
    name: str, items: Callable[[], Iterator[T]], into: Waiting[T], lane: int = 0, to_the_end: bool = False
) -> threading.Thread:
    """A thread that puts all items into a queue, and what it raises as well.

    Args:
        to_the_end: also those that nobody takes any more; else it ends at the first of these.
    """

    def work() -> None:
        try:
            for item in items():
                if not into.put(item, lane) and not to_the_end:
                    return
            into.finish(None, lane)
        except BaseException as error:  # noqa: BLE001  # handed over whole, so that nothing is lost here
            into.finish(error, lane)

    return threading.Thread(target=work, name=name, daemon=True)


def _prepare(frame: Frame, size: tuple[int, int]) -> Ready:
    if frame.image is None:
        return Ready(frame, None, 0.0, time.perf_counter())
    started = time.perf_counter()
    pixels = preprocess(frame.image, size)[None]
    ready_at = time.perf_counter()
    return Ready(frame, pixels, (ready_at - started) * 1e3, ready_at)


def _missed(frame: Frame, at_the_end: bool) -> Ready:
    reason = "the run ended before its turn" if at_the_end else "the engine was busy with the parts before it"
    # Without the image: it is not needed, and many may come while something hangs.
    return Ready(dataclasses.replace(frame, image=None, error=frame.error or reason), None, 0.0, 0.0)
