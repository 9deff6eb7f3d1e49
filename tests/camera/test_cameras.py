"""Several cameras on one engine: each by itself, all accounted for."""

from __future__ import annotations

import itertools
import socket
import threading
import time
from collections import Counter
from pathlib import Path

import pytest
from camera_peers import MjpegServer, has_rtsp_server, jpeg, rtsp_server, steady
from source_peers import Scripted
from waiting_peers import free_port, wait

from realnet_edge.camera import Camera, Inspection, SingleEngine, Source, Summary, open_source, run_line
from realnet_edge.errors import ConfigError
from realnet_edge.runtime import Runner


class Run:
    """A run in a thread of its own, with what it has found so far."""

    def __init__(self, runner: Runner, sources: dict[str, Source], each_s: float = 0.0) -> None:
        self.seen: list[Inspection] = []
        self.cameras = [Camera(name, source) for name, source in sources.items()]
        self._engine = SingleEngine(runner, 0.5, "toy")
        self._each_s = each_s
        self._stop = threading.Event()
        self._summary: Summary | None = None
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def of(self, camera: str) -> list[str]:
        return [one.frame.id for one in list(self.seen) if one.frame.camera == camera]

    def stop(self) -> Summary:
        self._stop.set()
        self._thread.join(60)
        assert self._summary is not None
        return self._summary

    def _work(self) -> None:
        self._summary = run_line(self._engine, self.cameras, [self._note], stop=self._stop)

    def _note(self, inspection: Inspection) -> None:
        self.seen.append(inspection)
        time.sleep(self._each_s)


def test_every_frame_of_every_camera_is_decided_in_its_order(runner: Runner, parts: Path) -> None:
    seen: list[Inspection] = []
    cameras = [
        Camera("left", open_source(str(parts))),
        Camera("right", open_source(f"{parts}/part[0-6].png")),
    ]
    summary = run_line(SingleEngine(runner, 0.5, "toy"), cameras, [seen.append])

    assert [one.index for one in seen] == list(range(18))
    assert [one.frame.id for one in seen if one.frame.camera == "left"] == [f"part{n}.png" for n in range(11)]
    assert [one.frame.id for one in seen if one.frame.camera == "right"] == [f"part{n}.png" for n in range(7)]
    assert {one.frame.id for one in seen if one.verdict == "defect"} == {"part2.png", "part6.png"}
    counts = {
        name: (one.frames, one.good, one.defects, one.not_inspected) for name, one in summary.cameras.items()
    }
    assert counts == {"left": (11, 8, 2, 1), "right": (7, 5, 2, 0)}
    assert (summary.frames, summary.good, summary.defects, summary.not_inspected) == (18, 13, 4, 1)
    assert summary.cameras["left"].source == str(parts)
    assert seen[0].to_dict()["camera"] == "left"


def test_a_fast_camera_leaves_a_slow_one_its_turns(runner: Runner) -> None:
    fast, slow = Scripted(None, 0.0005, kind="camera"), Scripted(None, 0.04, kind="camera")
    run = Run(runner, {"fast": fast, "slow": slow}, each_s=0.01)
    wait(lambda: len(run.of("slow")) >= 20)
    summary = run.stop()

    assert summary.cameras["fast"].dropped > 0
    # The engine could take four frames while the slow one sends one; a busy machine may miss a few.
    assert summary.cameras["slow"].dropped < slow.captured / 4
    for name, source in (("fast", fast), ("slow", slow)):
        one = summary.cameras[name]
        assert one.frames + one.dropped == source.captured
        assert one.frames == len(run.of(name))
    assert summary.dropped == sum(one.dropped for one in summary.cameras.values())


def test_cameras_that_are_both_too_fast_get_as_many_turns_each(runner: Runner) -> None:
    sources: dict[str, Source] = {name: Scripted(None, 0.001, kind="camera") for name in "abc"}
    run = Run(runner, sources, each_s=0.01)
    wait(lambda: len(run.seen) >= 60)
    run.stop()
    turns = Counter(one.frame.camera for one in run.seen[10:])
    assert max(turns.values()) - min(turns.values()) <= 5


def test_a_camera_that_nobody_answers_holds_up_no_other(runner: Runner) -> None:
    server = MjpegServer(lambda: steady([jpeg(9)] * 500))
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        never = open_source(f"http://127.0.0.1:{mute.getsockname()[1]}/stream", 60.0)
        run = Run(runner, {"never": never, "there": open_source(server.url)})
        wait(lambda: len(run.seen) >= 20)
        summary = run.stop()
    server.close()
    assert summary.cameras["never"].frames == 0
    assert summary.cameras["there"].frames == summary.frames >= 20


def test_files_that_end_leave_a_camera_running_until_it_is_stopped(runner: Runner, parts: Path) -> None:
    run = Run(runner, {"files": open_source(str(parts)), "camera": Scripted(None, 0.005, kind="camera")})
    wait(lambda: len(run.of("files")) == 11 and len(run.of("camera")) > 30)
    assert run.stop().ended == "stopped"


def test_an_error_of_one_source_ends_the_run(runner: Runner) -> None:
    broken = Scripted(3, error=MemoryError("no room"))
    other = Scripted(None, 0.001, kind="camera")
    seen: list[Inspection] = []
    with pytest.raises(MemoryError, match="no room"):
        run_line(SingleEngine(runner, 0.5, "toy"), [Camera("a", broken), Camera("b", other)], [seen.append])
    assert [one.frame.id for one in seen if one.frame.camera == "a"] == ["0", "1", "2"]
    assert broken.closed
    assert other.closed


@pytest.mark.parametrize("names", [(), ("a", "b", "a"), (None, None)])
def test_cameras_need_names_of_their_own(runner: Runner, names: tuple[str | None, ...]) -> None:
    cameras = [Camera(name, Scripted(1)) for name in names]
    with pytest.raises(ConfigError, match="give at least one, and each a name of its own"):
        run_line(SingleEngine(runner, 0.5, "toy"), cameras, [])


@pytest.mark.skipif(not has_rtsp_server(), reason="no RTSP server: apt install gir1.2-gst-rtsp-server-1.0")
def test_an_rtsp_camera_that_is_lost_and_found_again_is_told_from_the_others(runner: Runner) -> None:
    ports = free_port(), free_port()
    with rtsp_server(ports[0]):
        sources = {
            name: open_source(f"rtsp://127.0.0.1:{port}/part", 2.0)
            for name, port in zip(("stays", "goes"), ports, strict=True)
        }
        with rtsp_server(ports[1]):
            run = Run(runner, sources)
            wait(lambda: len(run.of("goes")) >= 5 and len(run.of("stays")) >= 5)
        before = len(run.of("stays"))
        wait(lambda: len(run.of("stays")) >= before + 25)
        gone = len(run.of("goes"))
        with rtsp_server(ports[1]):
            wait(lambda: len(run.of("goes")) >= gone + 5)
            summary = run.stop()
    assert (summary.cameras["goes"].reconnects, summary.cameras["stays"].reconnects) == (1, 0)
    assert summary.reconnects == 1
    for name in sources:
        ids = [int(one) for one in run.of(name)]
        assert all(first < second for first, second in itertools.pairwise(ids))
