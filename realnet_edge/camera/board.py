"""How it stands with each camera, for those who want the newest result and not every one."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from realnet_edge.camera.results import DEFECT, GOOD, NOT_INSPECTED, Inspection

# What others know changes slowly, and asking for it costs more than a result may.
_FRESH_S = 0.25


@dataclass(frozen=True)
class CameraFacts:
    """What is known of a camera besides its results.

    Attributes:
        idle: why it gives no pictures now; None while it does.
        dropped: its frames that gave way to newer ones.
        steady: whether frames have to come by themselves; parts and dropped files come when they come.
    """

    idle: str | None = None
    dropped: int = 0
    steady: bool = True


Facts = Callable[[], Mapping[str | None, CameraFacts]]


@dataclass(frozen=True)
class Standing:
    """How it stands with a camera.

    Attributes:
        newest: the last result; None before the first.
        good, defects, not_inspected: results of this run, by verdict.
        dropped: frames of this run that nothing was decided on.
        idle: why nothing is inspected now; None while it is.
    """

    newest: Inspection | None
    good: int
    defects: int
    not_inspected: int
    dropped: int
    idle: str | None

    @property
    def frames(self) -> int:
        """Results of this run."""
        return self.good + self.defects + self.not_inspected


@dataclass
class _Seen:
    newest: Inspection | None = None
    at: float = field(default_factory=time.monotonic)
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys((GOOD, DEFECT, NOT_INSPECTED), 0))


class Board:
    """A sink that keeps the newest result of each camera; safe between threads.

    Args:
        cameras: their names; None is the one that has none.
        facts: what is known of them besides.
        quiet_s: seconds without a result after which a camera whose frames have to come counts as idle.
    """

    def __init__(
        self, cameras: Sequence[str | None] = (None,), facts: Facts = dict, quiet_s: float = 30.0
    ) -> None:
        self.cameras = tuple(cameras)
        self._facts = facts
        self._quiet_s = quiet_s
        self._lock = threading.Lock()
        self._seen = {name: _Seen() for name in cameras}
        self._known: Mapping[str | None, CameraFacts] = {}
        self._known_at = -_FRESH_S

    def __call__(self, inspection: Inspection) -> None:
        with self._lock:
            seen = self._seen.setdefault(inspection.frame.camera, _Seen())
            seen.newest, seen.at = inspection, time.monotonic()
            seen.counts[inspection.verdict] += 1

    def standing(self, camera: str | None = None) -> Standing:
        """How it stands with a camera now."""
        facts = self._fresh().get(camera, CameraFacts())
        with self._lock:
            seen = self._seen[camera]
            counts = dict(seen.counts)
            newest, quiet = seen.newest, facts.steady and time.monotonic() - seen.at > self._quiet_s
        idle = facts.idle or (f"no result for {self._quiet_s:g} s" if quiet else None)
        return Standing(newest, counts[GOOD], counts[DEFECT], counts[NOT_INSPECTED], facts.dropped, idle)

    def _fresh(self) -> Mapping[str | None, CameraFacts]:
        now = time.monotonic()
        if now - self._known_at >= _FRESH_S:
            self._known, self._known_at = self._facts(), now
        return self._known
