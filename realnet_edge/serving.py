"""HTTP applications that a line serves beside its work."""

from __future__ import annotations

import errno
import ipaddress
import socket
import threading
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, TypeVar

from realnet_edge.errors import ConfigError, UnavailableError

if TYPE_CHECKING:
    from starlette.types import ASGIApp

# How long open connections may keep the end waiting.
_END_S = 1

# What passes is told from what does not: a service is started again after the one alone.
_REFUSALS = {
    errno.EADDRINUSE: (UnavailableError, "another program serves there; end it, or take another port"),
    errno.EADDRNOTAVAIL: (UnavailableError, "this machine has no such address now; 0.0.0.0 means all it has"),
    errno.EACCES: (ConfigError, "this user may not; take a port from 1024"),
}

_Served = TypeVar("_Served", bound="Served")


@dataclass(frozen=True)
class Limits:
    """What a server takes.

    Attributes:
        connections: at a time; whoever comes then is told to come later.
        headers: bytes of a request's headers, of those that trickle in; None leaves the server's own limit.
    """

    connections: int
    headers: int | None = None


class Served:
    """Serves an application in a thread of its own; use it in a `with` block.

    Args:
        app: the application.
        listening: where, see `listen`; closed at the end.
        name: of the thread.
        limits: what it takes.
        certificate: PEM files of a certificate and its key, to serve by TLS.

    Attributes:
        place: HOST:PORT as it is reached.
    """

    def __init__(
        self,
        app: ASGIApp,
        listening: socket.socket,
        name: str,
        limits: Limits,
        certificate: tuple[Path, Path] | None = None,
    ) -> None:
        import uvicorn

        cert, key = certificate or (None, None)
        self._socket = listening
        host, port = listening.getsockname()[:2]
        self.place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self._server = uvicorn.Server(
            uvicorn.Config(
                app,
                # The one whose limits are set here.
                http="h11",
                ws="none",
                h11_max_incomplete_event_size=limits.headers,
                # Addresses that a client claims to come from would get round the limits.
                proxy_headers=False,
                log_level="error",
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=_END_S,
                limit_concurrency=limits.connections,
                ssl_certfile=cert,
                ssl_keyfile=key,
            )
        )
        self._thread = threading.Thread(
            target=self._server.run, args=([self._socket],), name=name, daemon=True
        )

    @property
    def is_ending(self) -> bool:
        """Whether answers that go on and on have to end now."""
        return self._server.should_exit

    def __enter__(self: _Served) -> _Served:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.should_exit = True
        self._thread.join(2 * _END_S)
        self._socket.close()


def listen(host: str, port: int) -> socket.socket:
    """A socket that takes connections; port 0 takes a free one.

    Raises:
        UnavailableError: the port is taken, or the address is none of this machine's now.
        ConfigError: the port cannot be had at all. That is said here, before anything runs.
    """
    try:
        bound = bind(host, port)
        # Who asks before the server's thread is up waits for it.
        bound.listen()
    except OSError as error:
        raise refusal(f"{host}:{port} cannot be served", error) from error
    return bound


def bind(host: str, port: int) -> socket.socket:
    """A socket that has a place, and takes no connections yet.

    Raises:
        OSError: the place cannot be had.
    """
    family, kind, protocol, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    bound = socket.socket(family, kind, protocol)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(place)
    except OSError:
        bound.close()
        raise
    return bound


def refusal(what: str, error: OSError) -> ConfigError:
    """Why a place cannot be had, and what to do: `UnavailableError` where that may pass.

    Args:
        what: place and what cannot be done there.
        error: as the system has it.
    """
    kind, advice = _REFUSALS.get(error.errno or 0, (ConfigError, "take another one"))
    return kind(f"{what} ({error.strerror}): {advice}.")


def is_loopback(host: str | None) -> bool:
    """Whether a name or an address is this machine's own, reached by nobody else."""
    try:
        return host == "localhost" or ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False
