"""The inspection loop: a verdict for every frame, while the next are captured and the last are written."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from realnet_edge.camera.engines import Engine
from realnet_edge.camera.line import Camera, Line, Ready
from realnet_edge.camera.output_thread import OutputThread, Sink
from realnet_edge.camera.results import DEFECT, GOOD, NOT_INSPECTED, Inspection, Latency, Summary, Tally
from realnet_edge.camera.sources import Source
from realnet_edge.errors import BackendError, ConfigError
from realnet_edge.runtime import Prediction


def run_line(
    engine: Engine,
    source: Source | Sequence[Camera],
    sinks: Sequence[Sink],
    limit: int | None = None,
    stop: threading.Event | None = None,
    on_start: Callable[[Line], None] = lambda line: None,
    batch: int = 1,
    batch_wait_s: float = 0.0,
) -> Summary:
    """Inspect one source, or several on one engine, and hand every result to all sinks, in order.

    A frame that cannot be decoded comes out as "not_inspected"; the line goes on. So does a part that had to
    give way, or that still waited for its turn at the end. The run ends when every source has: with a camera
    among them when it is stopped.

    Args:
        engine: what decides; open, and warm where the first frame's time matters.
        source: where frames come from, closed at the end; or cameras of different names, made for this run.
        sinks: called with each `Inspection` in a thread of their own; an error in one ends the run.
        limit: decide on so many frames at most; None for all. Parts that still wait are reported beyond.
        stop: ends the run after the frames in hand when set, from any thread or a signal handler. What is
            decided is handed to the sinks before it ends.
        on_start: gets the line, which counts dropped frames as it goes.
        batch: most frames that the engine gets at a time: those that are ready.
        batch_wait_s: seconds that a frame waits for others where fewer are.

    Returns:
        Counts, frames a second and latency percentiles.

    Raises:
        BackendError: the engine failed on files, which can be inspected again. Where a source never ends the
            line goes on, and every frame of the batch comes out as "not_inspected".
        ConfigError: no camera, two of one name, or a batch below 1.
        RealnetEdgeError: the run was to stop, and an output hangs that has results still to get.
    """
    cameras = [Camera(None, source)] if isinstance(source, Source) else source
    if batch < 1:
        raise ConfigError(f"batch {batch}: give the engine at least 1 frame at a time.")
    goes_on = any(camera.source.endless for camera in cameras)
    stop, tally = stop or threading.Event(), Tally()
    line = Line(cameras, engine.input_size, stop, batch)
    with OutputThread(sinks, stop, line.halt) as outputs:
        with line:
            on_start(line)
            for group in _groups(line, batch, batch_wait_s, limit):
                _hand_on(_decide(engine, group, tally.frames, goes_on), tally, outputs)
        at_limit = limit is not None and tally.frames >= limit
        _hand_on(_decide(engine, line.missed(), tally.frames, goes_on), tally, outputs)
    return tally.summary("stopped" if stop.is_set() else "limit" if at_limit else "end", cameras)


def _groups(line: Line, batch: int, wait_s: float, limit: int | None) -> Iterator[list[Ready]]:
    """What the engine gets together, until the sources end or the limit is reached."""
    taken = 0
    while limit is None or taken < limit:
        most = batch if limit is None else min(batch, limit - taken)
        group = line.take(most, wait_s)
        if not group:
            return
        yield group
        taken += len(group)


def _hand_on(decided: Sequence[Inspection], tally: Tally, outputs: OutputThread) -> None:
    now = time.monotonic()
    for inspection in decided:
        tally.add(inspection, now)
        outputs.put(inspection)


@dataclass(frozen=True)
class _Scored:
    """What the engine said of a batch, and what its scores are compared with."""

    prediction: Prediction
    started: float
    engine_ms: float
    threshold: float
    bundle: str

    def inspection(self, index: int, ready: Ready, place: int) -> Inspection:
        score = float(self.prediction.score[place])
        maps = self.prediction.anomaly_map
        waited_ms = (self.started - ready.ready_at) * 1e3
        return Inspection(
            index=index,
            frame=ready.frame,
            verdict=DEFECT if score > self.threshold else GOOD,
            threshold=self.threshold,
            bundle=self.bundle,
            score=score,
            # Whoever keeps one map must not keep the whole batch's.
            anomaly_map=maps[place].copy() if len(maps) > 1 else maps[place],
            latency=Latency(ready.frame.decode_ms, ready.preprocess_ms, waited_ms, self.engine_ms),
        )


def _decide(engine: Engine, group: Sequence[Ready], first: int, goes_on: bool) -> list[Inspection]:
    """One inspection a frame, numbered from `first`, in order."""
    images = [ready.pixels for ready in group if ready.pixels is not None]
    scored, failure = None, "no image"
    try:
        scored = _score(engine, images) if images else None
    except BackendError as error:
        if not goes_on:
            raise
        failure = str(error)
    places = itertools.count()
    return [
        _not_inspected(engine, index, ready, failure)
        if scored is None or ready.pixels is None
        else scored.inspection(index, ready, next(places))
        for index, ready in enumerate(group, first)
    ]


def _score(engine: Engine, images: Sequence[npt.NDArray[np.uint8]]) -> _Scored:
    batch = images[0] if len(images) == 1 else np.concatenate(images)
    started = time.perf_counter()
    prediction = engine.infer(batch)
    engine_ms = (time.perf_counter() - started) * 1e3
    return _Scored(prediction, started, engine_ms, engine.threshold, engine.bundle)


def _not_inspected(engine: Engine, index: int, ready: Ready, failure: str) -> Inspection:
    error = ready.frame.error or failure
    return Inspection(index, ready.frame, NOT_INSPECTED, engine.threshold, engine.bundle, error=error)
