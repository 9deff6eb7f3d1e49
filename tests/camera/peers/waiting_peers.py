"""What tests of cameras and of receivers need alike: patience, ports, HTTP, a source that is read."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from realnet_edge.camera import CameraState, Frame, open_source
from realnet_edge.errors import ConfigError

# What a waiting test gives up after; nothing should take so long.
PATIENCE_S = 60.0


def wait(until: Callable[[], bool], seen: Callable[[], object] = lambda: None) -> None:
    """Until something holds; a test that waits in vain shows what was seen."""
    end = time.monotonic() + PATIENCE_S
    while not until():
        assert time.monotonic() < end, seen()
        time.sleep(0.02)


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


class Silent:
    def log_message(self, *_: Any) -> None:
        """Tests need no log."""


class HttpServer:
    """Serves in a thread of this process; close it to have it gone."""

    def __init__(self, handler: type[BaseHTTPRequestHandler], path: str, port: int = 0) -> None:
        ThreadingHTTPServer.allow_reuse_address = True
        self._server = ThreadingHTTPServer(("127.0.0.1", port), handler)
        self._server.daemon_threads = True
        self.port: int = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}{path}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class Watched:
    """A source with everything it has said and shown, read in a thread until `stop`."""

    def __init__(self, spec: str, timeout_s: float = 5.0) -> None:
        self.states: list[CameraState] = []
        self.frames: list[Frame] = []
        self.error: BaseException | None = None
        self.source = open_source(spec, timeout_s, self.states.append)
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def wait(self, until: Callable[[], bool]) -> None:
        wait(until, lambda: (self.states, len(self.frames), self.error))

    def phases(self) -> list[str]:
        return [state.phase for state in self.states]

    def ids(self) -> list[str]:
        return [frame.id for frame in self.frames]

    def stop(self) -> None:
        self.source.stop()
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive()

    def _read(self) -> None:
        try:
            self.frames.extend(self.source.frames())
        except ConfigError as error:
            self.error = error
