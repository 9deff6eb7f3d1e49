"""Telling systemd how a service does: the protocol of sd_notify(3), datagrams to a socket that it names."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping

_SOCKET, _WATCHDOG, _WATCHDOG_PID = "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"


class Notifier:
    """Sends a service's state to whoever started it.

    Args:
        address: path of an AF_UNIX socket; one that begins with "@" is in the abstract namespace.
        watchdog_s: seconds within which a sign of life is expected again and again; None where none is.
    """

    def __init__(self, address: str, watchdog_s: float | None = None) -> None:
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self.watchdog_s = watchdog_s

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Notifier | None:
        """As systemd's variables say; None where this process is no service that is to tell."""
        address = environment.get(_SOCKET, "")
        if not address.startswith(("/", "@")):
            return None
        return cls(address, _watchdog_s(environment))

    def send(self, **fields: str | int) -> bool:
        """Send NAME=VALUE for each field; False where nobody listened, which must not hold up a line."""
        # A line feed would begin another field.
        text = "\n".join(f"{name}={' '.join(str(value).splitlines())}" for name, value in fields.items())
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
                sender.setblocking(False)
                sender.sendto(text.encode(), self._address)
        except OSError:
            return False
        return True


def _watchdog_s(environment: Mapping[str, str]) -> float | None:
    """As sd_watchdog_enabled(3) reads it: the other variable says whose life is meant."""
    for_me = environment.get(_WATCHDOG_PID, str(os.getpid())) == str(os.getpid())
    given = environment.get(_WATCHDOG, "")
    return int(given) / 1e6 if for_me and given.isdecimal() and int(given) > 0 else None
