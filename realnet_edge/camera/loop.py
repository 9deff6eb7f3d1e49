"""The inspection loop: a verdict for every frame, while the next ones are captured and resized."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterator

import numpy as np

from realnet_edge.camera.engines import Engine
from realnet_edge.camera.line import Line, Ready
from realnet_edge.camera.results import DEFECT, GOOD, NOT_INSPECTED, Inspection, Latency, Summary, Tally
from realnet_edge.camera.sources import Source
from realnet_edge.errors import BackendError


def inspect(
    engine: Engine, source: Source, stop: threading.Event | None = None
) -> Generator[Inspection, None, None]:
    """Score and decide every frame of a source, in order.

    A frame that cannot be decoded comes out as "not_inspected"; the line goes on. Setting `stop` ends the
    run after the frame in hand. Closing the generator, or an error in whoever consumes it, stops the
    worker too. The source is closed at the end.

    Args:
        engine: what decides; open.
        source: where frames come from.
        stop: ends the run when set, from any thread or a signal handler.

    Raises:
        BackendError: the engine failed on files, which can be inspected again. A source that never ends goes
            on, and its frame comes out as "not_inspected".
    """
    with Line(source, engine.input_size, stop or threading.Event()) as line:
        yield from _decided(line, engine, source.endless)


def run_line(
    engine: Engine,
    source: Source,
    sinks: list[Callable[[Inspection], None]],
    limit: int | None = None,
    stop: threading.Event | None = None,
    on_start: Callable[[Line], None] = lambda line: None,
) -> Summary:
    """Inspect a source and hand every result to all sinks, in order.

    Args:
        engine: what decides; open.
        source: where frames come from.
        sinks: called with each `Inspection`; an error in one ends the run.
        limit: at most so many frames; None for all.
        stop: ends the run after the frame in hand when set.
        on_start: gets the line, which counts dropped frames as it goes.

    Returns:
        Counts, frames a second and latency percentiles. The first inference of a fresh engine allocates
        its memory; it is made on a blank image before the source is read and is in no figure.

    Raises:
        BackendError: the engine failed, see `inspect`.
    """
    stop = stop or threading.Event()
    tally, ended, count = Tally(), "end", 0
    engine.infer(np.zeros((1, *engine.input_size, 3), np.uint8))
    with Line(source, engine.input_size, stop) as line:
        on_start(line)
        for inspection in _decided(line, engine, source.endless):
            tally.add(inspection, time.monotonic())
            for sink in sinks:
                sink(inspection)
            count += 1
            if limit is not None and count >= limit:
                ended = "limit"
                break
    return tally.summary("stopped" if stop.is_set() else ended, line.dropped, source.reconnects)


def _decided(line: Line, engine: Engine, goes_on: bool) -> Iterator[Inspection]:
    for index, ready in enumerate(line):
        yield _tried(engine, ready, index) if goes_on else _decide(engine, ready, index)


def _tried(engine: Engine, ready: Ready, index: int) -> Inspection:
    try:
        return _decide(engine, ready, index)
    except BackendError as error:
        return _not_inspected(engine, ready, index, str(error))


def _decide(engine: Engine, ready: Ready, index: int) -> Inspection:
    if ready.pixels is None:
        return _not_inspected(engine, ready, index, ready.frame.error or "no image")
    started = time.perf_counter()
    prediction = engine.infer(ready.pixels)
    engine_ms = (time.perf_counter() - started) * 1e3
    waited_ms = (started - ready.ready_at) * 1e3
    score = float(prediction.score[0])
    return Inspection(
        index=index,
        frame=ready.frame,
        verdict=DEFECT if score > engine.threshold else GOOD,
        threshold=engine.threshold,
        bundle=engine.bundle,
        score=score,
        anomaly_map=prediction.anomaly_map[0],
        latency=Latency(ready.frame.decode_ms, ready.preprocess_ms, waited_ms, engine_ms),
    )


def _not_inspected(engine: Engine, ready: Ready, index: int, error: str) -> Inspection:
    return Inspection(index, ready.frame, NOT_INSPECTED, engine.threshold, engine.bundle, error=error)
