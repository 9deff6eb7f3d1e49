"""Minutes on a line where everything breaks again and again: each frame is accounted for, nothing is left."""

from __future__ import annotations

import gc
import itertools
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import numpy.typing as npt
import psutil
import pytest
from camera_peers import has_rtsp_server, rtsp_server
from result_peers import Mosquitto, Receiver, has_mosquitto
from waiting_peers import free_port, wait

from realnet_edge.bundle import Bundle
from realnet_edge.camera import Camera, Choice, EngineChain, Frame, ViewedSource, open_source, run_line
from realnet_edge.camera.backoff import Backoff
from realnet_edge.camera.delivery import Delivery
from realnet_edge.camera.mqtt import Mqtt
from realnet_edge.camera.outbox import Outbox
from realnet_edge.camera.view import View
from realnet_edge.camera.webhook import UID, Webhook
from realnet_edge.errors import BackendError
from realnet_edge.runtime import Prediction, Runner
from realnet_edge.runtime.ort import OnnxRuntimeRunner

SECONDS = float(os.environ.get("REALNET_EDGE_FAULT_SECONDS", "90"))


class Counting(ViewedSource):
    """Counts what the camera gave."""

    captured = 0

    def frames(self) -> Iterator[Frame]:
        for frame in super().frames():
            self.captured += 1
            yield frame


class Moody(OnnxRuntimeRunner):
    """A real engine whose execution fails now and then."""

    calls = itertools.count(1)

    def _execute(self, images: npt.NDArray[np.uint8], diagnostics: bool) -> Prediction:
        if images.any() and next(Moody.calls) % 97 == 0:
            raise BackendError("execution failed")
        return super()._execute(images, diagnostics)


def moody(bundle: Bundle) -> Runner:
    stated = bundle.manifest
    return Moody(
        bundle.engine_path,
        precision=stated.precision,
        input_size=(stated.input.height, stated.input.width),
        batch_range=stated.batch,
        threads=1,
    )


def trouble(stop: threading.Event, port: int, broker: Mosquitto, hook_port: int, got: list[str]) -> None:
    """Servers come and go until `stop`; what the webhook got is noted."""
    for turn in itertools.count():
        hook = Receiver([200] if turn % 2 else [503, 200, 429, 200, 200], hook_port)
        with rtsp_server(port):
            broker.start()
            stop.wait(6)
            if turn % 2:
                broker.kill()
            stop.wait(3)
        broker.kill()
        hook.close()
        got += [headers[UID] for headers, _ in hook.got]
        if stop.wait(1.5):
            return


@pytest.mark.slow
@pytest.mark.skipif(not (has_rtsp_server() and has_mosquitto()), reason="no RTSP server or no broker here")
def test_every_frame_is_accounted_for_whatever_breaks(
    toy_bundle: Callable[..., Bundle], tmp_path: Path
) -> None:
    bundle = toy_bundle(tmp_path / "b")
    process = psutil.Process()
    # What libraries set up once belongs to no run.
    line(bundle, tmp_path / "warm", 8.0)
    gc.collect()
    threads, files, memory = process.num_threads(), process.num_fds(), process.memory_info().rss
    line(bundle, tmp_path / "real", SECONDS)
    gc.collect()
    assert process.num_threads() <= threads
    assert process.num_fds() <= files
    assert process.memory_info().rss < 1.05 * memory


def line(bundle: Bundle, folder: Path, seconds: float) -> None:
    """One run of so many seconds, with its checks."""
    folder.mkdir()
    port, hook_port = free_port(), free_port()
    broker = Mosquitto(folder)
    stop, ended, hooked = threading.Event(), threading.Event(), []
    sources = {
        name: Counting(open_source(f"rtsp://127.0.0.1:{port}/part", 2.0), View())
        for name in ("left", "right")
    }
    results: list[str] = []
    destinations = [
        Mqtt(broker.address, "part", broker.ca, timeout_s=2.0),
        Webhook(f"http://127.0.0.1:{hook_port}/", None, timeout_s=2.0),
    ]
    breaking = threading.Thread(target=trouble, args=(ended, port, broker, hook_port, hooked))
    breaking.start()
    threading.Timer(seconds, stop.set).start()
    with ExitStack() as stack:
        engines = stack.enter_context(
            EngineChain([Choice(lambda: moody(bundle), 0.5, "a")], backoff=Backoff(0.05, 0.1), batch=2)
        )
        outbox = stack.enter_context(Outbox(folder / "outbox.db", [d.name for d in destinations]))
        deliveries = [
            stack.enter_context(Delivery(outbox, destination, backoff=Backoff(0.1, 0.5)))
            for destination in destinations
        ]
        full = _disk_that_fills_up(outbox)
        stack.callback(full.set)
        cameras = [Camera(name, source) for name, source in sources.items()]
        sinks = [outbox, lambda one: results.append(one.verdict)]
        summary = run_line(engines, cameras, sinks, stop=stop, batch=2)
        full.set()
        # Servers still come and go: what waits is delivered all the same.
        wait(lambda: all(outbox.waiting(delivery.name) == 0 for delivery in deliveries))
    ended.set()
    breaking.join()

    assert summary.frames == len(results) > 0
    for name, source in sources.items():
        one = summary.cameras[name]
        assert one.frames + one.dropped == source.captured
    assert seconds < 60 or summary.reconnects >= 3
    assert seconds < 60 or 0 < summary.not_inspected < summary.frames / 10
    assert outbox.given_up == 0
    for delivery in deliveries:
        assert delivery.sent + delivery.refused == summary.frames
    # An answer that the hook's end cut off is asked for again: the same one, and in order all the same.
    order = [int(uid.rpartition("-")[2]) for uid in hooked]
    assert sorted(set(order)) == list(range(summary.frames))
    assert order == sorted(order)


def _disk_that_fills_up(outbox: Outbox) -> threading.Event:
    """Takes room from the outbox's database and gives it back, until the event is set."""
    ended = threading.Event()

    def work() -> None:
        while not ended.wait(2.0):
            with outbox._lock:
                (pages,) = outbox._database.execute("PRAGMA page_count").fetchone()
                outbox._database.execute(f"PRAGMA max_page_count = {pages}")
            ended.wait(1.0)
            with outbox._lock:
                outbox._database.execute("PRAGMA max_page_count = 1000000")

    threading.Thread(target=work, daemon=True).start()
    return ended
