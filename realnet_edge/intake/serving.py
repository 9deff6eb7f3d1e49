"""An HTTP application that is served in a thread of its own."""

from __future__ import annotations

import ipaddress
import socket
import threading
from types import TracebackType
from typing import TYPE_CHECKING, TypeVar

from realnet_edge.errors import ConfigError

if TYPE_CHECKING:
    from starlette.types import ASGIApp

# How long open connections may keep the end waiting.
_END_S = 1
# Machines of one line; each may be sending a picture.
_CONNECTIONS = 32

_Served = TypeVar("_Served", bound="Served")


class Served:
    """Serves an application; use it in a `with` block.

    Args:
        app: the application.
        host, port: where; port 0 takes a free one.

    Attributes:
        place: HOST:PORT as it is reached.

    Raises:
        ConfigError: the port cannot be had. That is said here, before anything runs.
    """

    def __init__(self, app: ASGIApp, host: str, port: int) -> None:
        import uvicorn

        self._socket = _bound(host, port)
        found = self._socket.getsockname()
        self.place = f"{f'[{found[0]}]' if ':' in found[0] else found[0]}:{found[1]}"
        config = uvicorn.Config(
            app,
            http="h11",
            ws="none",
            proxy_headers=False,
            log_level="error",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=_END_S,
            limit_concurrency=_CONNECTIONS,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._server.run, args=([self._socket],), name="intake", daemon=True
        )

    def __enter__(self: _Served) -> _Served:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.should_exit = True
        self._thread.join(2 * _END_S)
        self._socket.close()


def is_loopback(host: str | None) -> bool:
    """Whether a name or address is this machine's own, which no other one reaches."""
    try:
        return host == "localhost" or ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False


def _bound(host: str, port: int) -> socket.socket:
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
