"""Results to an MQTT broker."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from realnet_edge.camera.addresses import shown
from realnet_edge.camera.delivery import DeliveryError
from realnet_edge.camera.outbox import Message
from realnet_edge.errors import ConfigError

_PORTS = {"mqtt": 1883, "mqtts": 8883}
_PREFIX = "realnet-edge"
_ONLINE, _OFFLINE = "online", "offline"


@dataclass(frozen=True)
class Broker:
    """Where and how to reach a broker.

    Attributes:
        host, port: where.
        tls: whether the connection is encrypted and the broker's certificate checked.
        user, password: None for none.
        prefix: what topics begin with.
    """

    host: str
    port: int
    tls: bool
    user: str | None
    password: str | None
    prefix: str

    @classmethod
    def parse(cls, address: str) -> Broker:
        """From mqtt://USER:PASSWORD@HOST:PORT/PREFIX, or mqtts:// for TLS; all but the host may be missing.

        Raises:
            ConfigError: no such address.
        """
        parts = urlsplit(address)
        try:
            port = parts.port
        except ValueError:
            port = -1
        prefix = parts.path.strip("/") or _PREFIX
        if parts.scheme not in _PORTS or not parts.hostname or port == -1 or set(prefix) & set("#+"):
            raise ConfigError(
                f"{shown(address)} is no broker: valid is mqtt://HOST, or for TLS "
                "mqtts://USER:PASSWORD@HOST:PORT/PREFIX, PREFIX being what topics begin with."
            )
        user, password = (
            None if part is None else unquote(part) for part in (parts.username, parts.password)
        )
        tls = parts.scheme == "mqtts"
        return cls(parts.hostname, port or _PORTS[parts.scheme], tls, user, password, prefix)


class Mqtt:
    """Publishes each result with QoS 1 under PREFIX/CATEGORY/result.

    PREFIX/CATEGORY/status holds "online", or "offline" once the connection is gone, however it ended: the
    broker itself says so then.

    Args:
        address: see `Broker.parse`.
        category: what is inspected, part of the topics.
        ca: certificates that the broker's has to be signed by; the system's otherwise.
        timeout_s: how long the broker may take.

    Raises:
        ConfigError: no such address, or no such file.
    """

    def __init__(self, address: str, category: str, ca: Path | None = None, timeout_s: float = 5.0) -> None:
        import paho.mqtt.client

        self._paho: Any = paho.mqtt.client
        self.name = shown(address)
        self._broker = Broker.parse(address)
        if ca is not None and not ca.is_file():
            raise ConfigError(f"{ca}: no such file of certificates.")
        self._ca = ca
        self._timeout = timeout_s
        self._topic = f"{self._broker.prefix}/{category}"
        self._client: Any = None

    def send(self, message: Message) -> None:
        """See `Destination`."""
        try:
            client = self._connected()
            published = client.publish(f"{self._topic}/result", message.body, qos=1)
            published.wait_for_publish(self._timeout)
            arrived = published.is_published()
        except (OSError, ValueError, RuntimeError) as error:
            self._drop()
            raise DeliveryError(str(error)) from None
        if not arrived:
            # With the client goes its own memory of the message: it is sent again once, by us.
            self._drop()
            raise DeliveryError(f"the broker has not confirmed a result within {self._timeout:g} s")

    def close(self) -> None:
        client = self._client
        if client is not None and client.is_connected():
            client.publish(f"{self._topic}/status", _OFFLINE, qos=1, retain=True).wait_for_publish(
                self._timeout
            )
            client.disconnect()
        self._drop()

    def _connected(self) -> Any:
        if self._client is None or not self._client.is_connected():
            self._drop()
            self._client = self._connect()
        return self._client

    def _connect(self) -> Any:
        """A client that the broker has accepted.

        Raises:
            DeliveryError: it has not.
        """
        client, broker = self._paho.Client(self._paho.CallbackAPIVersion.VERSION2), self._broker
        answered, refusals = threading.Event(), []

        def on_connect(_client: Any, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
            refusals.extend([str(reason)] if reason.is_failure else [])
            answered.set()

        client.on_connect = on_connect
        client.connect_timeout = self._timeout
        client.username_pw_set(broker.user, broker.password)
        client.will_set(f"{self._topic}/status", _OFFLINE, qos=1, retain=True)
        if broker.tls:
            client.tls_set(str(self._ca) if self._ca else None)
        client.connect(broker.host, broker.port)
        client.loop_start()
        if not answered.wait(self._timeout) or refusals:
            client.disconnect()
            client.loop_stop()
            raise DeliveryError(refusals[0] if refusals else f"no answer within {self._timeout:g} s")
        client.publish(f"{self._topic}/status", _ONLINE, qos=1, retain=True)
        return client

    def _drop(self) -> None:
        if self._client is not None:
            self._client.disconnect()
            self._client.loop_stop()
        self._client = None
