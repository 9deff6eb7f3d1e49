"""How it stands with a line: kept by the threads that inspect, read by those that show it."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from realnet_edge.camera import DEFECT, GOOD, NOT_INSPECTED, CameraState, Inspection, Line
from realnet_edge.camera.frames import utc_now

# Scores that the trend shows, and defects whose pictures are kept.
TREND = 300
DEFECTS = 12
ALARMS = 20
# A page asks for a picture a moment after it is told of the part; by then the line is some parts further. So
# many are kept for it, and none follows another sooner: pages beside each other are told of the same ones.
_OFFERED = 3
_OFFER_S = 0.4
_VERDICTS = (GOOD, DEFECT, NOT_INSPECTED)
# Over how many of the last decisions frames a second are counted.
_RATE = 50


class LineState:
    """A sink that remembers what a person or a supervisor wants to know; safe between threads.

    Args:
        category: what is inspected.
        cameras: their names, in the order in which they are shown.
        quiet_s: seconds without a decision after which a line that has a camera is not ready.
    """

    def __init__(self, category: str, cameras: Sequence[str | None] = (None,), quiet_s: float = 30.0) -> None:
        self.category = category
        self._quiet_s = quiet_s
        # What waits for delivery, by destination; set by whoever opens the outbox.
        self.waiting: Callable[[], dict[str, int]] = dict
        self._lock = threading.Lock()
        self._counts = {name: dict.fromkeys(_VERDICTS, 0) for name in cameras}
        self._trend: deque[tuple[int, float | None, str]] = deque(maxlen=TREND)
        self._decided: deque[float] = deque(maxlen=_RATE)
        self._defects: deque[Inspection] = deque(maxlen=DEFECTS)
        self._last: Inspection | None = None
        self._seen: dict[str | None, Inspection] = {}
        # Of those the ones that a page has been told of, with the time, and may ask the pictures of.
        self._offered: dict[str | None, deque[tuple[float, Inspection]]] = {
            name: deque(maxlen=_OFFERED) for name in cameras
        }
        # Parts in a row that were not inspected, and why the newest was not.
        self._missed: dict[str | None, tuple[int, str | None]] = {}
        # What it is before a camera says otherwise: files need no connection.
        self._cameras = dict.fromkeys(cameras, CameraState("live"))
        self._trigger = CameraState("live")
        self._alarms: deque[tuple[str, str]] = deque(maxlen=ALARMS)
        self._alarm_count = 0
        self._problems: dict[str, tuple[str, str]] = {}
        self._line: Line | None = None
        self._started = time.monotonic()

    def __call__(self, inspection: Inspection) -> None:
        with self._lock:
            camera = inspection.frame.camera
            self._counts[camera][inspection.verdict] += 1
            self._trend.append((inspection.index, inspection.score, inspection.verdict))
            self._decided.append(time.monotonic())
            if inspection.anomaly_map is not None:
                self._last = self._seen[camera] = inspection
                self._missed.pop(camera, None)
            else:
                self._missed[camera] = (self._missed.get(camera, (0, None))[0] + 1, inspection.error)
            if inspection.verdict == DEFECT:
                self._defects.append(inspection)

    def started(self, line: Line) -> None:
        """The line runs: from here on its dropped frames are counted."""
        self._line = line

    def on_camera(self, name: str | None, state: CameraState) -> None:
        """How it stands with a camera now."""
        with self._lock:
            self._cameras[name] = state

    def on_trigger(self, state: CameraState) -> None:
        """How it stands with whoever announces parts."""
        with self._lock:
            self._trigger = state

    def on_alarm(self, text: str) -> None:
        """An engine has failed, or another one took over."""
        with self._lock:
            self._alarm_count += 1
            self._alarms.append((utc_now(), text))

    def on_delivery(self, destination: str, problem: str | None) -> None:
        """Why a destination of results cannot be reached; None when it is reached again."""
        with self._lock:
            if problem is None:
                self._problems.pop(destination, None)
            else:
                self._problems[destination] = (utc_now(), problem)

    def shown(self, camera: int, index: int) -> Inspection | None:
        """The inspection of a camera, by its place among them, that a snapshot has told of just now."""
        with self._lock:
            names = list(self._cameras)
            offered = self._offered[names[camera]] if camera < len(names) else ()
            return next((one for _, one in offered if one.index == index), None)

    def defect(self, index: int) -> Inspection | None:
        """The kept defect of this index."""
        with self._lock:
            return next((one for one in self._defects if one.index == index), None)

    def not_ready(self) -> str | None:
        """Why the line inspects nothing now; None while it does."""
        with self._lock:
            last = self._decided[-1] if self._decided else self._started
            waited_for = [
                (f"camera {name}" if name else "camera", state) for name, state in self._cameras.items()
            ]
            waited_for.append(("trigger", self._trigger))
        for called, state in waited_for:
            if state.phase != "live":
                return f"{called} {state.phase}" + (f": {state.reason}" if state.reason else "")
        if (quiet := time.monotonic() - last) > self._quiet_s and self._expects_frames():
            return f"no decision for {quiet:.0f} s"
        return None

    def _expects_frames(self) -> bool:
        """Whether frames have to come: parts come when they come, and so do files of a watched folder."""
        sources = [camera.source for camera in self._line.cameras] if self._line else []
        return not sources or any((one.live and not one.triggered) or not one.endless for one in sources)

    def cameras(self) -> dict[str | None, CameraState]:
        """How it stands with each camera, by its name."""
        with self._lock:
            return dict(self._cameras)

    def snapshot(self) -> dict[str, Any]:
        """Everything but pictures, as JSON values."""
        waiting = self.waiting()
        with self._lock:
            last = self._last
            latency = last.latency.to_dict() if last and last.latency else None
            return {
                "category": self.category,
                "uptime_s": round(time.monotonic() - self._started, 1),
                "counts": {
                    verdict: sum(of[verdict] for of in self._counts.values()) for verdict in _VERDICTS
                },
                "dropped": self._line.dropped if self._line else 0,
                "fps": self._fps(),
                "latency_ms": latency,
                "bundle": last.bundle if last else None,
                "threshold": last.threshold if last else None,
                "cameras": self._of_cameras(),
                "trigger": {"phase": self._trigger.phase, "reason": self._trigger.reason},
                "alarm_count": self._alarm_count,
                "alarms": [{"at": at, "text": text} for at, text in reversed(self._alarms)],
                "waiting": waiting,
                "problems": {
                    name: {"at": at, "reason": reason} for name, (at, reason) in self._problems.items()
                },
                "trend": list(self._trend),
                "defects": [
                    {
                        "index": one.index,
                        "id": one.frame.id,
                        "camera": one.frame.camera,
                        "at": one.frame.timestamp,
                        "score": one.score,
                    }
                    for one in reversed(self._defects)
                ],
            }

    def _of_cameras(self) -> list[dict[str, Any]]:
        counted = {camera.name: camera for camera in self._line.cameras} if self._line else {}
        return [
            {
                "name": name,
                "counts": dict(self._counts[name]),
                "phase": state.phase,
                "reason": state.reason,
                "dropped": counted[name].dropped if name in counted else 0,
                "reconnects": counted[name].source.reconnects if name in counted else 0,
                "last": _shown(self._offer(name)),
                "missed": self._missed.get(name),
            }
            for name, state in self._cameras.items()
        ]

    def _offer(self, name: str | None) -> Inspection | None:
        """The last inspection with a map, or the one that was offered a moment ago."""
        offered, last, now = self._offered[name], self._seen.get(name), time.monotonic()
        if last is not None and (not offered or now - offered[-1][0] >= _OFFER_S):
            offered.append((now, last))
        return offered[-1][1] if offered else None

    def _fps(self) -> float | None:
        span = self._decided[-1] - self._decided[0] if len(self._decided) > 1 else 0.0
        return round((len(self._decided) - 1) / span, 1) if span > 0 else None


def _shown(inspection: Inspection | None) -> dict[str, Any] | None:
    """What is written under a camera's picture."""
    if inspection is None:
        return None
    return {
        "index": inspection.index,
        "id": inspection.frame.id,
        "score": inspection.score,
        "verdict": inspection.verdict,
        "threshold": inspection.threshold,
    }
