"""What is written of each frame, and of the whole run."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from realnet_edge.camera.frames import Frame

# Frames whose latency percentiles are of.
_KEPT = 100_000
GOOD, DEFECT, NOT_INSPECTED = "good", "defect", "not_inspected"


@dataclass(frozen=True)
class Latency:
    """Milliseconds that one frame took.

    Attributes:
        decode: reading and decoding.
        preprocess: resizing to the engine's input.
        queue: waiting, decoded, behind the frames before it. Files are read ahead, so it is high there.
        engine: inference.
    """

    decode: float
    preprocess: float
    queue: float
    engine: float

    @property
    def total(self) -> float:
        """The work on the frame: all but the waiting."""
        return self.decode + self.preprocess + self.engine

    def to_dict(self) -> dict[str, float]:
        """Milliseconds to the microsecond, by part."""
        parts = {name: getattr(self, name) for name in ("decode", "preprocess", "queue", "engine", "total")}
        return {name: round(value, 3) for name, value in parts.items()}


@dataclass(frozen=True)
class Inspection:
    """The decision on one frame.

    Attributes:
        index: 0 for the first frame of the run.
        frame: the frame, with its image at its own size.
        verdict: "good", "defect" (score greater than the threshold), or "not_inspected".
        threshold: image score above which it is a defect.
        bundle: id of the bundle that decided.
        score: image score in [0, 1]; None when not inspected.
        anomaly_map: (H, W) float32 in [0, 1] at the engine's size; None when not inspected.
        latency: None when not inspected.
        error: why it was not inspected, else None.
    """

    index: int
    frame: Frame
    verdict: str
    threshold: float
    bundle: str
    score: float | None = None
    anomaly_map: npt.NDArray[np.float32] | None = None
    latency: Latency | None = None
    error: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """One line of the results: the same keys for every frame, null where there is nothing to say."""
        return {
            "index": self.index,
            "id": self.frame.id,
            "source": self.frame.source,
            "camera": self.frame.camera,
            "timestamp": self.frame.timestamp,
            "position_s": self.frame.position_s,
            "score": self.score,
            "threshold": self.threshold,
            "verdict": self.verdict,
            "latency_ms": None if self.latency is None else self.latency.to_dict(),
            "error": self.error,
            "bundle": self.bundle,
        }


@dataclass(frozen=True)
class Summary:
    """A run in figures.

    Attributes:
        frames, good, defects, not_inspected: counts; the first is the sum of the others.
        dropped: frames of a live source that came while the engine was busy and gave way to newer ones.
        reconnects: how often a live source was lost and found again.
        ended: "end" of the source, "limit" reached, or "stopped" by a signal.
        fps: (n - 1) / (last decision - first decision) over the n inspected frames; None below two.
        latency_ms: part -> {"p50", "p90", "p99"} over the last 100,000 inspected frames; empty without any.
    """

    frames: int
    good: int
    defects: int
    not_inspected: int
    dropped: int
    reconnects: int
    ended: str
    fps: float | None
    latency_ms: dict[str, dict[str, float]]

    def to_dict(self) -> dict[str, Any]:
        """JSON document with the fields as they are."""
        return dict(vars(self))


class Tally:
    """Counts and times of a run as it goes on; keeps five numbers of each of the last frames, no pictures."""

    def __init__(self) -> None:
        self._counts = {GOOD: 0, DEFECT: 0, NOT_INSPECTED: 0}
        # A line runs for months: percentiles are of the last frames.
        self._latencies: deque[Latency] = deque(maxlen=_KEPT)
        self._inspected = 0
        self._first = self._last = 0.0

    def add(self, inspection: Inspection, decided_at: float) -> None:
        """Count one frame; `decided_at` is a monotonic time in seconds."""
        self._counts[inspection.verdict] += 1
        if inspection.latency is None:
            return
        if not self._inspected:
            self._first = decided_at
        self._inspected += 1
        self._last = decided_at
        self._latencies.append(inspection.latency)

    def summary(self, ended: str, dropped: int = 0, reconnects: int = 0) -> Summary:
        """The figures so far, with what only the source's side knows."""
        intervals, span = self._inspected - 1, self._last - self._first
        return Summary(
            frames=sum(self._counts.values()),
            good=self._counts[GOOD],
            defects=self._counts[DEFECT],
            not_inspected=self._counts[NOT_INSPECTED],
            dropped=dropped,
            reconnects=reconnects,
            ended=ended,
            # n frames lie n - 1 intervals apart; n / span would flatter short runs.
            fps=round(intervals / span, 3) if intervals > 0 and span > 0 else None,
            latency_ms={part: self._percentiles(part) for part in ("decode", "preprocess", "engine", "total")}
            if self._latencies
            else {},
        )

    def _percentiles(self, part: str) -> dict[str, float]:
        values = [getattr(latency, part) for latency in self._latencies]
        return {f"p{rank}": round(float(np.percentile(values, rank)), 3) for rank in (50, 90, 99)}
