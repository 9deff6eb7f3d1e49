"""What a line tells its supervisor, read from real sockets."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from realnet_edge.camera import CameraState, Frame, Line, Notifier, Source, Supervision, run_line
from realnet_edge.camera.frames import utc_now
from realnet_edge.camera.line import Camera
from realnet_edge.runtime import Prediction

# Long enough for a busy machine to be on time, short enough to be waited for.
WATCHDOG_S = 0.8


class Listener:
    """Stands where systemd does: a datagram socket."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(f"\0{address[1:]}" if address.startswith("@") else address)

    def wait_for(self, name: str, saying: str = "", seconds: float = 20.0) -> dict[str, str]:
        """The next message that has this field, and a text in it."""
        for message in self._messages(seconds):
            if saying in message.get(name, ()):
                return message
        pytest.fail(f"no {name} with {saying!r} within {seconds} s")

    def is_silent(self, name: str, seconds: float) -> bool:
        """Whether no message has this field for so long, from now on."""
        list(self._messages(0.0))
        return not any(name in message for message in self._messages(seconds))

    def _messages(self, seconds: float) -> Iterator[dict[str, str]]:
        """Those that wait, and those that come until the time is over."""
        end = time.monotonic() + seconds
        while True:
            self._socket.settimeout(max(1e-3, end - time.monotonic()))
            try:
                text = self._socket.recv(4096).decode()
            except TimeoutError:
                return
            yield dict(line.split("=", 1) for line in text.splitlines())

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[Listener]:
    opened = Listener(str(tmp_path / "notify"))
    yield opened
    opened.close()


def test_sockets_without_a_file_are_reached_too() -> None:
    listener = Listener(f"@realnet-edge-test-{os.getpid()}")
    assert Notifier(listener.address).send(READY=1, STATUS="two\nlines")
    assert listener.wait_for("READY") == {"READY": "1", "STATUS": "two lines"}
    listener.close()


class Engine:
    """Decides at once, or hangs for as long as `hangs` is set."""

    input_size = (8, 8)
    threshold = 0.5
    bundle = "toy/engine"

    def __init__(self) -> None:
        self.hangs = threading.Event()
        self.goes_on = threading.Event()

    def infer(self, images: npt.NDArray[np.uint8]) -> Prediction:
        if self.hangs.is_set():
            self.goes_on.wait(30)
        count = len(images)
        return Prediction(np.zeros((count, 8, 8), np.float32), np.full(count, 0.9, np.float32))


class Camera25(Source):
    """Sends a frame now and then, until `silent` is set."""

    name = "camera"
    live = endless = True

    def __init__(self) -> None:
        self.silent = threading.Event()
        self._stop = threading.Event()

    def __len__(self) -> int:
        return 0

    def frames(self) -> Iterator[Frame]:
        image: npt.NDArray[np.uint8] = np.zeros((8, 8, 3), np.uint8)
        while not self._stop.wait(0.02):
            if not self.silent.is_set():
                yield Frame("0", self.name, utc_now(), None, image, None, 0.0)

    def stop(self) -> None:
        self._stop.set()

    def close(self) -> None:
        """Nothing is held open."""


class Running:
    """A line in a thread of its own, under a supervisor."""

    def __init__(self, listener: Listener, watchdog_s: float | None = WATCHDOG_S) -> None:
        self.engine, self.camera = Engine(), Camera25()
        self.stop = threading.Event()
        self.supervision = Supervision(Notifier(listener.address, watchdog_s), timeout_s=0.2)
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        with self.supervision:
            run_line(
                self.engine,
                [Camera("left", self.camera)],
                [self.supervision],
                stop=self.stop,
                on_start=self.supervision.started,
            )

    def __enter__(self) -> Running:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        self.engine.goes_on.set()
        self._thread.join(10)
        assert not self._thread.is_alive()


def test_a_line_tells_that_it_is_ready_lives_and_stops(listener: Listener) -> None:
    with Running(listener):
        assert listener.wait_for("READY")["READY"] == "1"
        alive = listener.wait_for("WATCHDOG")
        assert alive["WATCHDOG"] == "1"
        assert " frames, " in alive["STATUS"]
    assert "stopping after" in listener.wait_for("STOPPING")["STATUS"]


def test_an_engine_that_hangs_ends_the_signs_of_life(listener: Listener) -> None:
    with Running(listener) as running:
        listener.wait_for("WATCHDOG")
        running.engine.hangs.set()
        listener.wait_for("STATUS", "hangs: no frame taken")
        assert listener.is_silent("WATCHDOG", WATCHDOG_S)
        running.engine.hangs.clear()
        running.engine.goes_on.set()
        listener.wait_for("WATCHDOG")


def test_a_camera_that_is_away_is_no_hang_and_its_name_is_told(listener: Listener) -> None:
    with Running(listener) as running:
        listener.wait_for("READY")
        running.camera.silent.set()
        running.supervision.on_camera("left", CameraState("waiting", "no route\nto host", 9.0))
        time.sleep(2 * WATCHDOG_S)
        assert not listener.is_silent("WATCHDOG", WATCHDOG_S)
        assert "; camera left waiting (no route to host)" in listener.wait_for("WATCHDOG")["STATUS"]


def test_a_camera_that_is_there_and_silent_is_a_read_that_hangs(listener: Listener) -> None:
    with Running(listener) as running:
        running.supervision.on_camera("left", CameraState("live"))
        listener.wait_for("WATCHDOG")
        running.camera.silent.set()
        listener.wait_for("STATUS", "hangs: camera left is there")
        assert listener.is_silent("WATCHDOG", WATCHDOG_S)


def test_parts_that_do_not_come_are_no_hang(listener: Listener) -> None:
    with Running(listener) as running:
        running.camera.triggered = True
        running.camera.silent.set()
        running.supervision.on_camera("left", CameraState("live"))
        listener.wait_for("READY")
        time.sleep(2 * WATCHDOG_S)
        assert not listener.is_silent("WATCHDOG", WATCHDOG_S)


def test_nobody_who_listens_holds_up_nothing(tmp_path: Path) -> None:
    assert not Notifier(str(tmp_path / "nobody")).send(READY=1)
    with Supervision(None, 1.0) as idle:
        idle.started(Line([Camera(None, Camera25())], (8, 8), threading.Event()))
    assert not [thread for thread in threading.enumerate() if thread.name == "supervision"]


@pytest.mark.parametrize(
    ("environment", "watchdog_s"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "60000000"}, 60.0),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": str(os.getpid())}, 60.0),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_the_environment_says_who_listens(environment: dict[str, str], watchdog_s: float | None) -> None:
    notifier = Notifier.from_environment({"NOTIFY_SOCKET": "/run/notify", **environment})
    assert notifier is not None
    assert notifier.watchdog_s == watchdog_s
    assert Notifier.from_environment(environment) is None
    assert Notifier.from_environment({"NOTIFY_SOCKET": "vsock:2:1234"}) is None
