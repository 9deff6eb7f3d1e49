"""The inspection loop: a worker decodes and resizes ahead while the engine runs."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from realnet_edge.camera.frames import Frame
from realnet_edge.camera.results import DEFECT, GOOD, NOT_INSPECTED, Inspection, Latency, Summary, Tally
from realnet_edge.camera.sources import Source
from realnet_edge.imaging import preprocess
from realnet_edge.runtime import Runner

# Decoded frames that may wait for the engine: enough to ride out a slow read, few enough for 4K images.
_QUEUE_FRAMES = 4
# How often a waiting thread looks whether it shall stop.
_POLL_S = 0.05
# How long a stop waits for a read that hangs.
_JOIN_S = 5.0


@dataclass(frozen=True)
class _Ready:
    """A frame on its way to the engine; `pixels` is (1, H, W, 3) uint8, None when there is no image."""

    frame: Frame
    pixels: npt.NDArray[np.uint8] | None
    preprocess_ms: float
    ready_at: float


class _Reader:
    """Decodes and resizes in a thread of its own, a bounded number of frames ahead.

    Whatever the thread raises is raised again in the thread that reads, after the frames before it.
    """

    def __init__(self, source: Source, size: tuple[int, int], stop: threading.Event) -> None:
        self._source = source
        self._size = size
        self._stop = stop
        self._done = threading.Event()
        self._queue: queue.Queue[_Ready | BaseException | None] = queue.Queue(_QUEUE_FRAMES)
        self._thread = threading.Thread(target=self._work, name="decode", daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[_Ready]:
        while not self._stop.is_set():
            try:
                item = self._queue.get(timeout=_POLL_S)
            except queue.Empty:
                continue
            if item is None:
                return
            if isinstance(item, BaseException):
                raise item
            yield item

    def close(self) -> None:
        """Stop the thread and close the source."""
        self._done.set()
        self._thread.join(_JOIN_S)
        # A thread that hangs in a read still uses the source: then the process's end closes it.
        if not self._thread.is_alive():
            self._source.close()

    def _work(self) -> None:
        try:
            for frame in self._source.frames():
                if not self._put(_prepare(frame, self._size)):
                    return
            self._put(None)
        except BaseException as error:  # noqa: BLE001  # handed over whole, so that nothing is lost here
            self._put(error)

    def _put(self, item: _Ready | BaseException | None) -> bool:
        while not (self._stop.is_set() or self._done.is_set()):
            try:
                self._queue.put(item, timeout=_POLL_S)
            except queue.Full:
                continue
            return True
        return False


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
    with closing(_Reader(source, runner.input_size, stop or threading.Event())) as reader:
        for index, ready in enumerate(reader):
            yield _decide(runner, ready, index, threshold, bundle)


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
    with closing(inspect(runner, source, threshold, bundle, stop)) as inspections:
        for inspection in inspections:
            tally.add(inspection, time.monotonic())
            for sink in sinks:
                sink(inspection)
            count += 1
            if limit is not None and count >= limit:
                ended = "limit"
                break
    return tally.summary("stopped" if stop.is_set() else ended)


def _prepare(frame: Frame, size: tuple[int, int]) -> _Ready:
    if frame.image is None:
        return _Ready(frame, None, 0.0, time.perf_counter())
    started = time.perf_counter()
    pixels = preprocess(frame.image, size)[None]
    ready_at = time.perf_counter()
    return _Ready(frame, pixels, (ready_at - started) * 1e3, ready_at)


def _decide(runner: Runner, ready: _Ready, index: int, threshold: float, bundle: str) -> Inspection:
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
