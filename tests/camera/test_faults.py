"""Minutes on a line where everything breaks again and again: each frame is accounted for, nothing is left."""

from __future__ import annotations

import gc
import json
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import psutil
import pytest
from camera_peers import has_rtsp_server
from fault_peers import (
    Hook,
    Memory,
    breaking,
    broker_that_dies,
    disk_that_fills_up,
    mjpeg_that_is_unplugged,
    moody,
    reader_that_is_killed,
    rtsp_that_dies,
)
from plant_peers import small_disk
from result_peers import Mosquitto, has_mosquitto
from waiting_peers import free_port, wait

from realnet_edge.bundle import Bundle
from realnet_edge.camera import (
    Camera,
    Choice,
    EngineChain,
    Frame,
    ResultLog,
    ResultTable,
    Summary,
    ViewedSource,
    open_source,
    run_line,
)
from realnet_edge.camera.backoff import Backoff
from realnet_edge.camera.delivery import Delivery
from realnet_edge.camera.mqtt import Mqtt
from realnet_edge.camera.outbox import Outbox
from realnet_edge.camera.view import View
from realnet_edge.camera.webhook import Webhook
from realnet_edge.monitor import LineState, MonitorServer

SECONDS = float(os.environ.get("REALNET_EDGE_FAULT_SECONDS", "90"))


class Counting(ViewedSource):
    """Counts what the camera gave."""

    captured = 0

    def frames(self) -> Iterator[Frame]:
        for frame in super().frames():
            self.captured += 1
            yield frame


@pytest.mark.slow
@pytest.mark.skipif(not (has_rtsp_server() and has_mosquitto()), reason="no RTSP server or no broker here")
def test_every_frame_is_accounted_for_whatever_breaks(
    toy_bundle: Callable[..., Bundle], tmp_path: Path
) -> None:
    bundle = toy_bundle(tmp_path / "b")
    process = psutil.Process()
    # What libraries set up once belongs to no run.
    line(bundle, tmp_path / "warm", 10.0)
    gc.collect()
    threads, files = process.num_threads(), process.num_fds()
    memory = line(bundle, tmp_path / "real", SECONDS)
    gc.collect()
    assert process.num_threads() <= threads
    assert process.num_fds() <= files
    assert SECONDS < 60 or memory.growth() < 0.05, memory.samples


def line(bundle: Bundle, folder: Path, seconds: float) -> Memory:
    """One run of so many seconds, with its checks; how its memory went."""
    folder.mkdir()
    try:
        with small_disk(folder / "disk", "24m") as disk:
            return _line(bundle, folder, disk, seconds)
    except OSError as error:
        pytest.skip(f"no small file system can be mounted here: {error}")


def _line(bundle: Bundle, folder: Path, disk: Path, seconds: float) -> Memory:
    rtsp_port, mjpeg_port = free_port(), free_port()
    broker, hook, memory = Mosquitto(folder), Hook(free_port()), Memory(seconds / 60)
    state = LineState("part", ["rtsp", "mjpeg"])
    sources = {
        name: Counting(open_source(address, 2.0, partial(state.on_camera, name)), View())
        for name, address in (
            ("rtsp", f"rtsp://127.0.0.1:{rtsp_port}/part"),
            ("mjpeg", f"http://127.0.0.1:{mjpeg_port}/stream"),
        )
    }
    destinations = [
        Mqtt(broker.address, "part", broker.ca, timeout_s=2.0),
        Webhook(hook.url, None, timeout_s=2.0),
    ]
    choice = Choice(lambda: moody(bundle), 0.5, "a")
    stop, alarms = threading.Event(), list[str]()
    with ExitStack() as stack:
        engines = stack.enter_context(EngineChain([choice], state.on_alarm, Backoff(0.05, 0.1), batch=2))
        server = stack.enter_context(MonitorServer("127.0.0.1:0", state))
        log = stack.enter_context(ResultLog(disk / "results.jsonl", alarms.append))
        table = stack.enter_context(ResultTable(disk / "results.db", on_alarm=alarms.append))
        outbox = stack.enter_context(Outbox(disk / "outbox.db", [one.name for one in destinations]))
        with breaking(
            rtsp_that_dies(rtsp_port),
            mjpeg_that_is_unplugged(mjpeg_port),
            broker_that_dies(broker),
            hook.webhook,
            reader_that_is_killed(server.url),
            memory.watch,
        ):
            deliveries = [
                stack.enter_context(Delivery(outbox, one, backoff=Backoff(0.1, 0.5))) for one in destinations
            ]
            timer = threading.Timer(seconds, stop.set)
            timer.start()
            cameras = [Camera(name, source) for name, source in sources.items()]
            sinks = [log, table, outbox, state, server.metrics]
            with breaking(disk_that_fills_up(disk)):
                summary = run_line(engines, cameras, sinks, None, stop, state.started, batch=2)
            timer.join()
            # Servers still come and go: what waits is delivered all the same.
            waiting = {one.name: partial(outbox.waiting, one.name) for one in destinations}
            wait(
                lambda: not any(left() for left in waiting.values()),
                lambda: {n: w() for n, w in waiting.items()},
            )
    _check_counts(summary, sources, seconds)
    assert (outbox.given_up, log.lost, table.lost) == (0, 0, 0)
    assert seconds < 60 or any("No space left" in text for text in alarms)
    everything = list(range(summary.frames))
    assert [json.loads(one)["index"] for one in log.path.read_text().splitlines()] == everything
    with sqlite3.connect(table.path) as database:
        rows = database.execute("SELECT frame_index FROM results ORDER BY number").fetchall()
    database.close()
    assert [index for (index,) in rows] == everything
    for delivery in deliveries:
        assert (delivery.sent, delivery.refused) == (summary.frames, 0)
    # An answer that the hook's end cut off is asked for again: the same one, and in order all the same.
    assert sorted(set(hook.order)) == everything
    assert hook.order == sorted(hook.order)
    return memory


def _waiting(outbox: Outbox, deliveries: Sequence[Delivery]) -> list[int]:
    return [outbox.waiting(one.name) for one in deliveries]


def _check_counts(summary: Summary, sources: dict[str, Counting], seconds: float) -> None:
    for name, source in sources.items():
        one = summary.cameras[name]
        assert one.frames + one.dropped == source.captured > 0
        assert seconds < 60 or one.reconnects >= 3
        assert seconds < 60 or 0 < one.not_inspected < one.frames / 5
