"""Cameras that send, fall silent, damage pictures, go away and come back; each one a real server."""

from __future__ import annotations

import itertools
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from camera_peers import MjpegServer, has_rtsp_server, jpeg, rtsp_server, steady
from waiting_peers import PATIENCE_S, Watched, free_port

from realnet_edge.bundle import Bundle
from realnet_edge.camera import Frame, Inspection, SingleEngine, Source, run_line
from realnet_edge.camera.backoff import Backoff
from realnet_edge.runtime import open_runner

needs_rtsp = pytest.mark.skipif(
    not has_rtsp_server(), reason="no RTSP server: apt install gir1.2-gst-rtsp-server-1.0 python3-gi"
)
needs_gstreamer = pytest.mark.skipif(
    shutil.which("gst-launch-1.0") is None, reason="no GStreamer: apt install gstreamer1.0-tools"
)


@pytest.fixture
def watch() -> Iterator[Callable[..., Watched]]:
    opened: list[Watched] = []

    def start(spec: str, timeout_s: float = 5.0) -> Watched:
        opened.append(Watched(spec, timeout_s))
        return opened[-1]

    yield start
    for camera in opened:
        camera.stop()


def test_a_stream_that_ends_is_connected_to_again(watch: Callable[..., Watched]) -> None:
    server = MjpegServer(lambda: steady([jpeg(10 * number) for number in range(6)]))
    camera = watch(server.url)
    camera.wait(lambda: camera.source.reconnects >= 1)
    camera.stop()
    server.close()
    assert camera.phases()[:4] == ["connecting", "live", "waiting", "connecting"]
    assert [frame.id for frame in camera.frames[:5]] == ["0", "1", "2", "3", "4"]
    # FFmpeg looks at the first picture to know the stream, and lets it go.
    grey = [int(np.median(frame.image)) for frame in camera.frames[:5] if frame.image is not None]
    np.testing.assert_allclose(grey, [10, 20, 30, 40, 50], atol=2)


def test_a_server_that_was_never_there_is_waited_for(watch: Callable[..., Watched]) -> None:
    port = free_port()
    camera = watch(f"http://127.0.0.1:{port}/stream")
    camera.wait(lambda: "waiting" in camera.phases())
    assert "refused" in str(camera.states[1].reason)
    server = MjpegServer(lambda: steady([jpeg(9)] * 50), port)
    camera.wait(lambda: len(camera.frames) > 3)
    # The first connection is not one again.
    assert camera.source.reconnects == 0
    camera.stop()
    server.close()


def test_a_camera_that_falls_silent_is_lost_after_the_timeout(watch: Callable[..., Watched]) -> None:
    silent = threading.Event()

    def parts() -> Iterator[bytes]:
        yield from steady([jpeg(9)] * 4)
        silent.wait(PATIENCE_S)

    server = MjpegServer(parts)
    camera = watch(server.url, 0.5)
    camera.wait(lambda: "waiting" in camera.phases())
    lost = next(state for state in camera.states if state.phase == "waiting")
    assert lost.reason
    assert lost.retry_in_s is not None
    camera.stop()
    silent.set()
    server.close()


def test_a_damaged_picture_is_reported_and_the_stream_goes_on(watch: Callable[..., Watched]) -> None:
    whole, damaged = jpeg(60), b"\xff\xd8 no picture \xff\xd9"
    server = MjpegServer(lambda: steady([whole, whole, damaged, whole, whole, whole]))
    camera = watch(server.url)
    camera.wait(lambda: len(camera.frames) >= 4)
    camera.stop()
    server.close()
    # The first one tells FFmpeg what stream it is.
    assert [frame.image is None for frame in camera.frames[:4]] == [False, True, False, False]
    assert camera.frames[1].error


def test_stop_ends_a_connection_that_nobody_answers(watch: Callable[..., Watched]) -> None:
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        camera = watch(f"http://127.0.0.1:{mute.getsockname()[1]}/stream", 1.0)
        camera.wait(lambda: "connecting" in camera.phases())
        camera.stop()
    assert not camera.frames


@needs_rtsp
def test_an_rtsp_server_that_is_killed_and_comes_back(watch: Callable[..., Watched]) -> None:
    port = free_port()
    with rtsp_server(port):
        camera = watch(f"rtsp://user:secret@127.0.0.1:{port}/part", 2.0)
        camera.wait(lambda: len(camera.frames) >= 5)
    camera.wait(lambda: "waiting" in camera.phases())
    before = len(camera.frames)
    with rtsp_server(port):
        camera.wait(lambda: len(camera.frames) >= before + 5)
    camera.stop()
    assert camera.source.reconnects == 1
    image = camera.frames[0].image
    assert image is not None
    assert image.shape == (240, 320, 3)
    assert camera.frames[0].source == f"rtsp://user@127.0.0.1:{port}/part"
    assert "secret" not in str(camera.states)


@needs_gstreamer
def test_a_pipeline_gives_its_pictures_in_their_colours(watch: Callable[..., Watched]) -> None:
    size = "video/x-raw,width=64,height=48"
    camera = watch(f"videotestsrc is-live=true pattern=solid-color foreground-color=0xffc81e46 ! {size}")
    camera.wait(lambda: len(camera.frames) >= 3)
    camera.stop()
    image = camera.frames[0].image
    assert image is not None
    assert image.shape == (48, 64, 3)
    np.testing.assert_allclose(image[24, 32], [0xC8, 0x1E, 0x46], atol=3)


@needs_gstreamer
def test_a_pipeline_that_hangs_is_lost_and_started_again(watch: Callable[..., Watched]) -> None:
    camera = watch("videotestsrc ! video/x-raw,width=64,height=48 ! identity sleep-time=60000000", 0.5)
    camera.wait(lambda: camera.phases().count("waiting") == 2)
    assert camera.states[1].reason == "no picture for 0.5 s"


@needs_gstreamer
def test_what_is_no_pipeline_is_refused_at_once(watch: Callable[..., Watched]) -> None:
    camera = watch("videotestsrc ! nosuchelement")
    camera.wait(lambda: camera.error is not None)
    assert str(camera.error) == 'not a GStreamer pipeline: no element "nosuchelement".'


class Fast(Source):
    """A camera of a given number of frames, far faster than any engine."""

    name, live = "fast", True

    def __len__(self) -> int:
        return 0

    def frames(self) -> Iterator[Frame]:
        image = np.full((40, 40, 3), 10, np.uint8)
        for number in range(200):
            yield Frame(str(number), self.name, "", None, image, None, 0.0)

    def close(self) -> None:
        pass


@pytest.mark.parametrize("limit", [None, 5])
def test_every_frame_is_inspected_or_counted_as_dropped(
    toy_bundle: Callable[..., Bundle], tmp_path: Path, limit: int | None
) -> None:
    seen: list[Inspection] = []

    def slow(inspection: Inspection) -> None:
        seen.append(inspection)
        time.sleep(0.01)

    source, captured = Fast(), itertools.count()
    frames = source.frames
    source.frames = lambda: (frame for frame in frames() if next(captured) >= 0)  # type: ignore[method-assign]
    with open_runner(toy_bundle(tmp_path / "b"), threads=1) as runner:
        summary = run_line(SingleEngine(runner, 0.5, "toy"), source, [slow], limit=limit)
    assert summary.dropped > 0
    assert summary.frames == len(seen)
    assert summary.frames + summary.dropped == next(captured)
    # The last one stays: of a camera the newest frame is worth most.
    assert limit or seen[-1].frame.id == "199"
    ids = [int(inspection.frame.id) for inspection in seen]
    assert ids == sorted(set(ids))


def test_waits_double_up_to_a_limit_and_begin_anew() -> None:
    backoff = Backoff(1.0, 8.0)
    waits = [backoff.next() for _ in range(6)]
    for wait, longest in zip(waits, [1, 2, 4, 8, 8, 8], strict=True):
        assert longest / 2 <= wait <= longest
    backoff.reset()
    assert backoff.next() <= 1.0
