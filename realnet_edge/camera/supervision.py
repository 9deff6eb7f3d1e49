"""A line under a supervisor: it is told when the line inspects, how it does, and that it still lives.

A line that waits for a camera, a file or a part lives. One that does not come back from an engine, an output
or a read does not: no sign of life is sent any more, and the supervisor ends it and starts another.
"""

from __future__ import annotations

import math
import threading
import time
from collections import Counter
from collections.abc import Mapping
from types import TracebackType
from typing import TypeVar

from realnet_edge.camera.line import Line
from realnet_edge.camera.live import CameraState
from realnet_edge.camera.results import DEFECT, NOT_INSPECTED, Inspection
from realnet_edge.camera.systemd import Notifier

# Signs of life within the time in which one is expected: one that comes late must not end a line.
_A_PERIOD = 4
# Where none is expected, how often the state is told.
_STATUS_S = 10.0

_Supervision = TypeVar("_Supervision", bound="Supervision")


class Supervision:
    """A sink that tells a supervisor how the line does; use it in a `with` block around the run.

    Args:
        notifier: who is told; None where nobody asked, and nothing is done.
        timeout_s: without a picture for so long a camera says itself that it is away. Longer silence of one
            that is said to be there is a read that hangs.
    """

    def __init__(self, notifier: Notifier | None, timeout_s: float) -> None:
        self._notifier = notifier
        # Without a watchdog nothing hangs, however long it takes.
        self._limit_s = (notifier and notifier.watchdog_s) or math.inf
        self._quiet_s = timeout_s + self._limit_s
        self._counts: Counter[str] = Counter()
        self._states: dict[str | None, CameraState] = {}
        # When a camera last gave a frame, or was found again.
        self._heard: dict[str | None, float] = {}
        self._line: Line | None = None
        self._over = threading.Event()
        self._thread = None
        if notifier is not None:
            self._thread = threading.Thread(
                target=self._tell, args=(notifier,), name="supervision", daemon=True
            )

    def __call__(self, inspection: Inspection) -> None:
        self._counts[inspection.verdict] += 1
        self._heard[inspection.frame.camera] = time.monotonic()

    def on_camera(self, name: str | None, state: CameraState) -> None:
        """How it stands with a camera now, from the thread that captures."""
        self._heard[name] = time.monotonic()
        self._states[name] = state

    def started(self, line: Line) -> None:
        """The engine is warm and the line takes frames: what was to be started has been."""
        self._line = line
        if self._notifier is not None:
            self._notifier.send(READY=1, STATUS=self.status())

    def hung(self) -> str | None:
        """What does not come back; None while the line decides, or waits for what may take its time."""
        now = time.monotonic()
        if self._line is None:
            return None
        if now - self._line.looked_at > self._limit_s:
            return f"no frame taken for {now - self._line.looked_at:.0f} s: an engine or an output hangs"
        for camera in self._line.cameras:
            # Files, and parts that a trigger announces, come when they come.
            if not camera.source.live or camera.source.triggered:
                continue
            quiet = now - self._heard.get(camera.name, now)
            if self._states.get(camera.name, CameraState("live")).phase == "live" and quiet > self._quiet_s:
                return f"{_named(camera.name)} is there, and gave no picture for {quiet:.0f} s: a read hangs"
        return None

    def status(self) -> str:
        """One line for people."""
        counts = f"{sum(self._counts.values())} frames, {self._counts[DEFECT]} defect"
        if missed := self._counts[NOT_INSPECTED]:
            counts += f", {missed} not inspected"
        return "; ".join([counts, *_away(self._states)])

    def __enter__(self: _Supervision) -> _Supervision:
        if self._thread is not None:
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._notifier is None or self._thread is None:
            return
        self._over.set()
        self._thread.join()
        self._notifier.send(STOPPING=1, STATUS=f"stopping after {self.status()}")

    def _tell(self, notifier: Notifier) -> None:
        """Until the end: how it does, with a sign of life where one is expected and nothing hangs."""
        period = notifier.watchdog_s
        alive = {} if period is None else {"WATCHDOG": 1}
        while not self._over.wait(_STATUS_S if period is None else period / _A_PERIOD):
            if reason := self.hung():
                notifier.send(STATUS=f"hangs: {reason}")
            elif self._line is not None:
                notifier.send(STATUS=self.status(), **alive)


def _named(name: str | None) -> str:
    return f"camera {name}" if name else "camera"


def _away(states: Mapping[str | None, CameraState]) -> list[str]:
    return [
        f"{_named(name)} {state.phase}" + (f" ({state.reason})" if state.reason else "")
        for name, state in list(states.items())
        if state.phase != "live"
    ]
