"""Results to an MQTT broker."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from realnet_edge.camera.addresses import shown
from realnet_edge.camera.broker import Broker, checked_certificates
from realnet_edge.camera.delivery import DeliveryError
from realnet_edge.camera.outbox import Message

_DEFAULT_PREFIX = "realnet-edge"
_PREFIX = "PREFIX being what topics begin with"
_ONLINE, _OFFLINE = "online", "offline"


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
        import paho.mqtt.client  # noqa: F401  # said at the start where it is not installed

        self.name = shown(address)
        self._broker = Broker.parse(address, _PREFIX)
        self._ca = checked_certificates(ca)
        self._timeout = timeout_s
        self._topic = f"{self._broker.topic or _DEFAULT_PREFIX}/{category}"
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
        client, broker = self._broker.client(self._ca, self._timeout), self._broker
        answered, refusals = threading.Event(), []

        def on_connect(_client: Any, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
            refusals.extend([str(reason)] if reason.is_failure else [])
            answered.set()

        client.on_connect = on_connect
        client.will_set(f"{self._topic}/status", _OFFLINE, qos=1, retain=True)
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
