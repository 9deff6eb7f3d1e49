"""The threshold as the live page shows and changes it."""

from __future__ import annotations

import bisect
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from realnet_edge.camera import EngineChain, Inspection
from realnet_edge.camera.engines import check_threshold
from realnet_edge.camera.thresholds import Change, KeptThreshold, ThresholdFile
from realnet_edge.errors import ConfigError

# Parts of each engine that a preview is of.
PARTS = 5000


@dataclass(frozen=True)
class Preview:
    """What a threshold would have done to the last parts that the engine has scored.

    Attributes:
        bundle: id of the bundle that decides, whose scores these are.
        value: the threshold.
        parts: scores that there are, at most `PARTS`.
        failed: of them those above the value.
        failed_now: of them those above the threshold in force.
        lowest, highest: of these scores; None without any.
    """

    bundle: str
    value: float
    parts: int
    failed: int
    failed_now: int
    lowest: float | None
    highest: float | None


class ThresholdControl:
    """A sink that remembers scores by engine, and what changes the threshold; safe between threads.

    Args:
        engines: what decides.
        file: keeps changes over a restart.
        kept: what operators had set before, by bundle id, as far as it is in force.
        say: hears of every change.
    """

    def __init__(
        self,
        engines: EngineChain,
        file: ThresholdFile,
        kept: dict[str, KeptThreshold] | None = None,
        say: Callable[[str], None] = lambda text: None,
    ) -> None:
        self._engines = engines
        self._file = file
        self._kept = dict(kept or {})
        self._say = say
        self._scores: dict[str, deque[float]] = {}
        self._lock = threading.Lock()
        # One change after the other, from the question what holds now to its record.
        self._changing = threading.Lock()

    def __call__(self, inspection: Inspection) -> None:
        if inspection.score is None:
            return
        with self._lock:
            scores = self._scores.setdefault(inspection.bundle, deque(maxlen=PARTS))
            scores.append(inspection.score)

    def status(self) -> dict[str, Any]:
        """What is in force, as JSON values."""
        now = self._engines.standing()
        kept = self._kept.get(now.bundle)
        return {
            "bundle": now.bundle,
            "value": now.threshold,
            "own": now.own_threshold,
            "works": now.works,
            "who": kept.who if kept else None,
            "at": kept.at if kept else None,
        }

    def preview(self, value: float) -> Preview:
        """How many of the last parts would have failed.

        Raises:
            ConfigError: no image score.
        """
        check_threshold(value)
        now = self._engines.standing()
        with self._lock:
            scores = sorted(self._scores.get(now.bundle, ()))
        return Preview(
            bundle=now.bundle,
            value=value,
            parts=len(scores),
            failed=len(scores) - bisect.bisect_right(scores, value),
            failed_now=len(scores) - bisect.bisect_right(scores, now.threshold),
            lowest=scores[0] if scores else None,
            highest=scores[-1] if scores else None,
        )

    def change(self, value: float | None, bundle: str, who: str, address: str) -> Change:
        """Put another threshold in force from the next frame on, kept and on record.

        Args:
            value: the threshold; None for the bundle's own.
            bundle: id of the bundle whose scores it was chosen for.
            who: who asks for it.
            address: where from.

        Raises:
            ConfigError: no image score, no own threshold, or another engine decides by now.
            RealnetEdgeError: it could not be kept, and is not in force.
        """
        with self._changing:
            now = self._engines.standing()
            if bundle != now.bundle:
                raise ConfigError(f"chosen for {bundle}, but {now.bundle} decides by now: look again.")
            new = now.own_threshold if value is None else value
            if new is None:
                raise ConfigError(f"{bundle} has no threshold of its own to go back to.")
            check_threshold(new)
            change = Change.now(who, address, bundle, now.threshold, new, value is None)
            # On record first: nothing is ever decided by a threshold that nobody can be asked about.
            self._file.keep(change)
            self._engines.set_threshold(new, bundle)
            self._remember(change)
        self._say(
            f"Threshold of {bundle}: {new:.4f} instead of {change.old:.4f}, set by {who} from {address}"
        )
        return change

    def _remember(self, change: Change) -> None:
        kept = dict(self._kept)
        if change.own:
            kept.pop(change.bundle, None)
        else:
            kept[change.bundle] = KeptThreshold(change.new, change.who, change.at)
        self._kept = kept
