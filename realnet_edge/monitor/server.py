"""Serves a line's pages in a thread of its own."""

from __future__ import annotations

from types import TracebackType
from typing import TypeVar

from realnet_edge.errors import ConfigError
from realnet_edge.monitor.access import Access
from realnet_edge.monitor.device import Device
from realnet_edge.monitor.metrics import LineMetrics
from realnet_edge.monitor.state import LineState
from realnet_edge.monitor.threshold import ThresholdControl
from realnet_edge.monitor.tls import Certificate
from realnet_edge.serving import Limits, Served, is_loopback, listen

# A page and its pictures; a hundred phones are a mistake.
_CONNECTIONS = 64

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
        from realnet_edge.monitor.app import make_app
        from realnet_edge.monitor.door import Door
        from realnet_edge.monitor.guard import LONGEST_HEADERS

        access = access or Access()
        self.metrics = LineMetrics(state, control, device)
        listening = listen(*_parse(address, access))
        host, port = listening.getsockname()[:2]
        is_open = access.is_open and is_loopback(host)
        door = Door(access, is_open, secure=certificate is not None, port=port)
        app = make_app(state, self.metrics, door, control, lambda: self._served.is_ending)
        # What comes at once is measured by the guard.
        limits = Limits(_CONNECTIONS, LONGEST_HEADERS)
        pair = (certificate.cert, certificate.key) if certificate else None
        self._served = Served(app, listening, "monitor", limits, pair)
        self.url = f"{'https' if certificate else 'http'}://{self._served.place}/"

    def __enter__(self: _Server) -> _Server:
        self._served.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._served.__exit__(kind, error, trace)


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
