"""MQTT brokers: their addresses, and connections that are set up alike whoever uses them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from realnet_edge.camera.addresses import shown
from realnet_edge.errors import ConfigError

_PORTS = {"mqtt": 1883, "mqtts": 8883}


@dataclass(frozen=True)
class Broker:
    """Where and how to reach a broker.

    Attributes:
        host, port: where.
        tls: whether the connection is encrypted and the broker's certificate checked.
        user, password: None for none.
        topic: what the address names there; empty for nothing.
    """

    host: str
    port: int
    tls: bool
    user: str | None
    password: str | None
    topic: str

    @classmethod
    def parse(cls, address: str, topic: str) -> Broker:
        """From mqtt://USER:PASSWORD@HOST:PORT/TOPIC, or mqtts:// for TLS; all but the host may be missing.

        Args:
            address: what the user gave.
            topic: what the part behind the host is, for the error: "PREFIX being what topics begin with".

        Raises:
            ConfigError: no such address.
        """
        parts = urlsplit(address)
        try:
            port = parts.port
        except ValueError:
            port = -1
        found = parts.path.strip("/")
        if parts.scheme not in _PORTS or not parts.hostname or port == -1 or set(found) & set("#+"):
            raise ConfigError(
                f"{shown(address)} is no broker: valid is mqtt://HOST, or for TLS "
                f"mqtts://USER:PASSWORD@HOST:PORT/{topic.partition(' ')[0]}, {topic}."
            )
        user, password = (
            None if part is None else unquote(part) for part in (parts.username, parts.password)
        )
        tls = parts.scheme == "mqtts"
        return cls(parts.hostname, port or _PORTS[parts.scheme], tls, user, password, found)

    def client(self, ca: Path | None, timeout_s: float) -> Any:
        """A client of paho that is not connected yet.

        Args:
            ca: certificates that the broker's has to be signed by; the system's otherwise.
            timeout_s: how long connecting may take.

        Raises:
            OSError: the certificates cannot be read.
        """
        import paho.mqtt.client

        library: Any = paho.mqtt.client
        client = library.Client(library.CallbackAPIVersion.VERSION2)
        client.connect_timeout = timeout_s
        client.username_pw_set(self.user, self.password)
        if self.tls:
            client.tls_set(str(ca) if ca else None)
        return client


def checked_certificates(ca: Path | None) -> Path | None:
    """A file of certificates, or None.

    Raises:
        ConfigError: no such file.
    """
    if ca is not None and not ca.is_file():
        raise ConfigError(f"{ca}: no such file of certificates.")
    return ca
