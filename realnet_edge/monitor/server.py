"""Serves a line's pages in a thread of its own."""

from __future__ import annotations

import socket
import threading
from types import TracebackType
from typing import TypeVar

from realnet_edge.errors import ConfigError
from realnet_edge.monitor.access import Access
from realnet_edge.monitor.addresses import is_loopback
from realnet_edge.monitor.device import Device
from realnet_edge.monitor.metrics import LineMetrics
from realnet_edge.monitor.state import LineState
from realnet_edge.monitor.threshold import ThresholdControl
from realnet_edge.monitor.tls import Certificate

# How long open connections may keep the end waiting.
_END_S = 1

_Server = TypeVar("_Server", bound="MonitorServer")


class MonitorServer:
    """A web server beside the line; use it in a `with` block.

    Args:
        address: HOST:PORT; port 0 takes a free one.
        state: what it shows.
        access: what requests have to bring; needed for any address that other machines reach.
        control: shows and changes the threshold; without it nobody does.
        certificate: serves by TLS with it.
        device: what reads the machine's sensors.

    Attributes:
        metrics: a sink that has to be called with each result.

    Raises:
        ConfigError: no such address, one that is taken, or one that others reach without a token.
    """

    def __init__(
        self,
        address: str,
        state: LineState,
        access: Access | None = None,
        control: ThresholdControl | None = None,
        certificate: Certificate | None = None,
        device: Device | None = None,
    ) -> None:
        import uvicorn

        from realnet_edge.monitor.app import make_app
        from realnet_edge.monitor.door import Door
        from realnet_edge.monitor.guard import LONGEST_HEADERS

        access = access or Access()
        self.metrics = LineMetrics(state, control, device)
        host, port = _parse(address, access)
        self._socket = _bind(host, port)
        bound = self._socket.getsockname()
        scheme = "https" if certificate else "http"
        self.url = f"{scheme}://{f'[{bound[0]}]' if ':' in bound[0] else bound[0]}:{bound[1]}/"
        is_open = access.is_open and is_loopback(bound[0])
        door = Door(access, is_open, secure=certificate is not None, port=bound[1])
        self._server = uvicorn.Server(
            uvicorn.Config(
                make_app(state, self.metrics, door, control, lambda: self._server.should_exit),
                # The one whose limits are set here.
                http="h11",
                ws="none",
                # Of what trickles in; what comes at once is measured by the guard.
                h11_max_incomplete_event_size=LONGEST_HEADERS,
                # Addresses that a client claims to come from would get round the limits.
                proxy_headers=False,
                log_level="error",
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=_END_S,
                # A page and its pictures; a hundred phones are a mistake.
                limit_concurrency=64,
                ssl_certfile=certificate.cert if certificate else None,
                ssl_keyfile=certificate.key if certificate else None,
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


def _parse(address: str, access: Access) -> tuple[str, int]:
    host, _, number = address.rpartition(":")
    host = host.strip("[]")
    if not host or not number.isdecimal() or int(number) > 65535:
        raise ConfigError(
            f"{address} is no HOST:PORT with a port up to 65535; valid is 127.0.0.1:8080 for example."
        )
    if not access.has_any and not is_loopback(host):
        raise ConfigError(
            f"{address} can be reached by other machines: give a file with a token (--web-token) or with "
            "users (--web-users), or 127.0.0.1."
        )
    return host, int(number)


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
