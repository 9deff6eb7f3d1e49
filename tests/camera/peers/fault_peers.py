"""What breaks on a line, each in its own rhythm: servers, disk, receivers, page readers, the engine."""

from __future__ import annotations

import http.client
import itertools
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import numpy as np
import numpy.typing as npt
from camera_peers import MjpegServer, jpeg, rtsp_server
from result_peers import Mosquitto
from waiting_peers import HttpServer, Silent

from realnet_edge.bundle import Bundle
from realnet_edge.camera.webhook import UID
from realnet_edge.errors import BackendError
from realnet_edge.runtime import Prediction, Runner
from realnet_edge.runtime.ort import OnnxRuntimeRunner

# Two of 25 frames a second arrive damaged in every 50.
_BROKEN_EVERY = 25
_FRAME_S = 0.04
# A reader that is killed says no goodbye: its connection is reset.
_RESET = struct.pack("ii", 1, 0)


@contextmanager
def breaking(*faults: Callable[[threading.Event], None]) -> Iterator[None]:
    """Each fault in a thread of its own, until the block ends."""
    ended = threading.Event()
    threads = [threading.Thread(target=fault, args=(ended,), name=fault.__name__) for fault in faults]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        for thread in threads:
            thread.join()


def rtsp_that_dies(port: int) -> Callable[[threading.Event], None]:
    """A camera's server, killed and started again."""

    def rtsp(ended: threading.Event) -> None:
        while not ended.is_set():
            with rtsp_server(port):
                ended.wait(8.0)
            ended.wait(1.5)

    return rtsp


def mjpeg_that_is_unplugged(port: int) -> Callable[[threading.Event], None]:
    """A camera that sends damaged pictures now and then, and is pulled out again and again."""
    whole, broken = [jpeg(value) for value in range(0, 200, 8)], jpeg(9)[:100]

    def mjpeg(ended: threading.Event) -> None:
        while not ended.is_set():
            plugged = threading.Event()

            def parts(unplugged: threading.Event = plugged) -> Iterator[bytes]:
                for number in itertools.count():
                    yield broken if number % _BROKEN_EVERY == 20 else whole[number % len(whole)]
                    if unplugged.wait(_FRAME_S):
                        return

            server = MjpegServer(parts, port)
            ended.wait(6.0)
            plugged.set()
            server.close()
            ended.wait(1.0)

    return mjpeg


def broker_that_dies(broker: Mosquitto) -> Callable[[threading.Event], None]:
    """A broker, killed and started again."""

    def mqtt(ended: threading.Event) -> None:
        while not ended.is_set():
            broker.start()
            ended.wait(7.0)
            broker.kill()
            ended.wait(2.0)

    return mqtt


class Hook:
    """A webhook's receiver that refuses, limits, and goes away; `order` has the results as they came."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}/"
        self.order: list[int] = []
        self._port = port

    def webhook(self, ended: threading.Event) -> None:
        for turn in itertools.count():
            server = HttpServer(self._handler([503, 429, 200, 500] if turn % 2 else []), "/", self._port)
            ended.wait(5.0)
            server.close()
            if ended.wait(1.5):
                return

    def _handler(self, answers: list[int]) -> type[BaseHTTPRequestHandler]:
        order = self.order

        class Handler(Silent, BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                code = answers.pop(0) if answers else 200
                if code == 200:
                    order.append(int(self.headers[UID].rpartition("-")[2]))
                self.send_response(code)
                self.end_headers()

        return Handler


def disk_that_fills_up(folder: Path) -> Callable[[threading.Event], None]:
    """A small file system without room for seconds on end."""

    def disk(ended: threading.Event) -> None:
        ballast = folder / "ballast"
        while not ended.wait(4.0):
            with suppress(OSError), ballast.open("wb", buffering=0) as stream:
                while True:
                    stream.write(bytes(65536))
            ended.wait(2.0)
            ballast.unlink()

    return disk


def reader_that_is_killed(url: str) -> Callable[[threading.Event], None]:
    """Someone who follows the live page, and whose machine dies in the middle; the next one comes."""
    host, port = url.removeprefix("http://").strip("/").split(":")

    def reader(ended: threading.Event) -> None:
        while not ended.wait(0.2):
            for path in ("/metrics", "/frame.jpg", "/events"):
                connection = http.client.HTTPConnection(host, int(port), timeout=5.0)
                with suppress(OSError):
                    connection.request("GET", path)
                    connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                    connection.getresponse().read(2000)
                connection.close()

    return reader


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


class Memory:
    """Samples this process's memory until the block ends."""

    def __init__(self, every_s: float) -> None:
        self.samples: list[int] = []
        self._every = every_s

    def watch(self, ended: threading.Event) -> None:
        import psutil

        process = psutil.Process()
        while not ended.wait(self._every):
            self.samples.append(process.memory_info().rss)

    def growth(self) -> float:
        """The median of the last quarter over that of the second; the first one warms up."""
        quarter = len(self.samples) // 4
        late, early = self.samples[-quarter:], self.samples[quarter : 2 * quarter]
        return float(np.median(late) / np.median(early)) - 1.0
