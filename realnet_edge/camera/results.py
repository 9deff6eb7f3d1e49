"""What is written of each frame, and of the whole run."""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from realnet_edge.camera.frames import Frame
from realnet_edge.camera.line import Camera

# Frames whose latency percentiles are of.
_KEPT = 100_000
GOOD, DEFECT, NOT_INSPECTED = "good", "defect", "not_inspected"


@dataclass(frozen=True)
class Latency:
    """Milliseconds that one frame took.

    Attributes:
        decode: reading and decoding.
        preprocess: resizing to the engine's input.
        queue: waiting, resized, behind the frames before it and for those of its batch. Files are read ahead,
            so it is high there.
        engine: inference, of the whole batch that the frame was in.
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
class CameraSummary:
    """What became of one camera's frames, and of its connection.

    Attributes:
        source: what the user gave, without its password.
        frames, good, defects, not_inspected, dropped, reconnects: as in `Summary`.
    """

    source: str
    frames: int
    good: int
    defects: int
    not_inspected: int
    dropped: int
    reconnects: int


@dataclass(frozen=True)
class Summary:
    """A run in figures.

    Attributes:
        frames, good, defects, not_inspected: counts; the first is the sum of the others.
        dropped: frames of live sources that came while the engine was busy and gave way to newer ones. Parts
            that had to are among those not inspected.
        reconnects: how often a live source was lost and found again.
        cameras: the same counts for each camera by its name; empty where the only one has none.
        ended: "end" of the source, "limit" reached, or "stopped" by a signal.
        fps: (n - b) / (last decision - first decision) over the n inspected frames, of which b were decided
            first, together; None where that is nothing.
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
    cameras: dict[str, CameraSummary]

    def to_dict(self) -> dict[str, Any]:
        """JSON document with the fields as they are."""
        return asdict(self)


class Tally:
    """Counts and times of a run as it goes on; keeps five numbers of each of the last frames, no pictures."""

    def __init__(self) -> None:
        self.frames = 0
        self._counts: defaultdict[str | None, Counter[str]] = defaultdict(Counter)
        # A line runs for months: percentiles are of the last frames.
        self._latencies: deque[Latency] = deque(maxlen=_KEPT)
        self._inspected = self._together = 0
        self._first = self._last = 0.0

    def add(self, inspection: Inspection, decided_at: float) -> None:
        """Count one frame; `decided_at` is a monotonic time in seconds, the same for all of a batch."""
        self.frames += 1
        self._counts[inspection.frame.camera][inspection.verdict] += 1
        if inspection.latency is None:
            return
        if not self._inspected:
            self._first = decided_at
        self._inspected += 1
        self._together += decided_at == self._first
        self._last = decided_at
        self._latencies.append(inspection.latency)

    def summary(self, ended: str, cameras: Sequence[Camera] = ()) -> Summary:
        """The figures so far, with what only the cameras know."""
        intervals, span = self._inspected - self._together, self._last - self._first
        verdicts = sum(self._counts.values(), Counter())
        return Summary(
            frames=self.frames,
            good=verdicts[GOOD],
            defects=verdicts[DEFECT],
            not_inspected=verdicts[NOT_INSPECTED],
            dropped=sum(camera.dropped for camera in cameras),
            reconnects=sum(camera.source.reconnects for camera in cameras),
            ended=ended,
            # n frames one by one lie n - 1 intervals apart; n / span would flatter short runs.
            fps=round(intervals / span, 3) if intervals > 0 and span > 0 else None,
            latency_ms={part: self._percentiles(part) for part in ("decode", "preprocess", "engine", "total")}
            if self._latencies
            else {},
            cameras={camera.name: self._of(camera) for camera in cameras if camera.name},
        )

    def _of(self, camera: Camera) -> CameraSummary:
        verdicts = self._counts[camera.name]
        return CameraSummary(
            source=camera.source.name,
            frames=verdicts.total(),
            good=verdicts[GOOD],
            defects=verdicts[DEFECT],
            not_inspected=verdicts[NOT_INSPECTED],
            dropped=camera.dropped,
            reconnects=camera.source.reconnects,
        )

    def _percentiles(self, part: str) -> dict[str, float]:
        values = [getattr(latency, part) for latency in self._latencies]
        return {f"p{rank}": round(float(np.percentile(values, rank)), 3) for rank in (50, 90, 99)}
