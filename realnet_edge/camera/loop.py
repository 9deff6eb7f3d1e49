"""The inspection loop: a verdict for every frame, while the next ones are captured and resized."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterator

import numpy as np

from realnet_edge.camera.line import Line, Ready
from realnet_edge.camera.results import DEFECT, GOOD, NOT_INSPECTED, Inspection, Latency, Summary, Tally
from realnet_edge.camera.sources import Source
from realnet_edge.runtime import Runner


def inspect(
    runner: Runner,
    source: Source,
    threshold: float,
    bundle: str,
    stop: threading.Event | None = None,
) -> Generator[Inspection, None, None]:
    """Score and decide every frame of a source, in order.

    A frame that cannot be decoded comes out as "not_inspected"; the line goes on. Setting `stop` ends the
    run after the frame in hand. Closing the generator, or an error in whoever consumes it, stops the
    worker too. The source is closed at the end.

    Args:
        runner: an open runner.
        source: where frames come from.
        threshold: image score above which a frame is a defect.
        bundle: id of the bundle, written with every result.
        stop: ends the run when set, from any thread or a signal handler.

    Raises:
        BackendError: the engine failed; no frame is passed over.
    """
    with Line(source, runner.input_size, stop or threading.Event()) as line:
        yield from _decided(line, runner, threshold, bundle)


def run_line(
    runner: Runner,
    source: Source,
    threshold: float,
    bundle: str,
    sinks: list[Callable[[Inspection], None]],
    limit: int | None = None,
    stop: threading.Event | None = None,
) -> Summary:
    """Inspect a source and hand every result to all sinks, in order.

    Args:
        runner: an open runner.
        source: where frames come from.
        threshold: image score above which a frame is a defect.
        bundle: id of the bundle, written with every result.
        sinks: called with each `Inspection`; an error in one ends the run.
        limit: at most so many frames; None for all.
        stop: ends the run after the frame in hand when set.

    Returns:
        Counts, frames a second and latency percentiles. The first inference of a fresh engine allocates
        its memory; it is made on a blank image before the source is read and is in no figure.

    Raises:
        BackendError: the engine failed.
    """
    stop = stop or threading.Event()
    tally, ended, count = Tally(), "end", 0
    runner.infer(np.zeros((1, *runner.input_size, 3), np.uint8))
    with Line(source, runner.input_size, stop) as line:
        for inspection in _decided(line, runner, threshold, bundle):
            tally.add(inspection, time.monotonic())
            for sink in sinks:
                sink(inspection)
            count += 1
            if limit is not None and count >= limit:
                ended = "limit"
                break
    return tally.summary("stopped" if stop.is_set() else ended, line.dropped, source.reconnects)


def _decided(line: Line, runner: Runner, threshold: float, bundle: str) -> Iterator[Inspection]:
    for index, ready in enumerate(line):
        yield _decide(runner, ready, index, threshold, bundle)


def _decide(runner: Runner, ready: Ready, index: int, threshold: float, bundle: str) -> Inspection:
    if ready.pixels is None:
        error = ready.frame.error or "no image"
        return Inspection(index, ready.frame, NOT_INSPECTED, threshold, bundle, error=error)
    started = time.perf_counter()
    prediction = runner.infer(ready.pixels)
    engine_ms = (time.perf_counter() - started) * 1e3
    waited_ms = (started - ready.ready_at) * 1e3
    score = float(prediction.score[0])
    return Inspection(
        index=index,
        frame=ready.frame,
        verdict=DEFECT if score > threshold else GOOD,
        threshold=threshold,
        bundle=bundle,
        score=score,
        anomaly_map=prediction.anomaly_map[0],
        latency=Latency(ready.frame.decode_ms, ready.preprocess_ms, waited_ms, engine_ms),
    )
