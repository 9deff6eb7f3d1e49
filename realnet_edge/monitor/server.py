"""Serves a line's pages in a thread of its own."""

from __future__ import annotations

import ipaddress
import socket
import threading
from types import TracebackType
from typing import TypeVar

from realnet_edge.errors import ConfigError
from realnet_edge.monitor.metrics import LineMetrics
from realnet_edge.monitor.state import LineState

# How long open connections may keep the end waiting.
_END_S = 1
_SHORTEST_TOKEN = 16

_Server = TypeVar("_Server", bound="MonitorServer")


class MonitorServer:
    """A web server beside the line; use it in a `with` block.

    Args:
        address: HOST:PORT; port 0 takes a free one.
        state: what it shows.
        token: what requests have to bring; needed for any address that other machines reach.

    Attributes:
        metrics: a sink that has to be called with each result.

    Raises:
        ConfigError: no such address, one that is taken, or one that others reach without a token.
    """

    def __init__(self, address: str, state: LineState, token: str | None = None) -> None:
        import uvicorn

        from realnet_edge.monitor.app import make_app

        self.metrics = LineMetrics(state)
        host, port = _parse(address, token)
        self._socket = _bind(host, port)
        bound = self._socket.getsockname()
        self.url = f"http://{f'[{bound[0]}]' if ':' in bound[0] else bound[0]}:{bound[1]}/"
        self._server = uvicorn.Server(
            uvicorn.Config(
                make_app(state, self.metrics, token),
                log_level="error",
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=_END_S,
                # A page and its pictures; a hundred phones are a mistake.
                limit_concurrency=64,
            )
        )
        self._thread = threading.Thread(
            target=self._server.run, args=([self._socket],), name="monitor", daemon=True
        )

    def __enter__(self: _Server) -> _Server:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.should_exit = True
        self._thread.join(2 * _END_S)
        self._socket.close()


def _parse(address: str, token: str | None) -> tuple[str, int]:
    host, _, number = address.rpartition(":")
    host = host.strip("[]")
    if not host or not number.isdecimal() or int(number) > 65535:
        raise ConfigError(
            f"{address} is no HOST:PORT with a port up to 65535; valid is 127.0.0.1:8080 for example."
        )
    if token is not None and len(token) < _SHORTEST_TOKEN:
        raise ConfigError(
            f"the token (--web-token) has {len(token)} characters: give at least {_SHORTEST_TOKEN}."
        )
    if token is None and not _is_loopback(host):
        raise ConfigError(
            f"{address} can be reached by other machines: give a file with a token (--web-token), or "
            "127.0.0.1."
        )
    return host, int(number)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _bind(host: str, port: int) -> socket.socket:
    """A bound socket: a port that is taken is said before the line starts."""
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        bound = socket.socket(family, kind, protocol)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(place)
        # Who asks before the server's thread is up waits for it.
        bound.listen()
    except OSError as error:
        raise ConfigError(f"{host}:{port} cannot be served ({error.strerror}): take another port.") from error
    return bound
