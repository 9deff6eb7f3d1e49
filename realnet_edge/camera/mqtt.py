"""Results to an MQTT broker."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from realnet_edge.camera.addresses import shown
from realnet_edge.camera.board import Board
from realnet_edge.camera.broker import Broker, checked_certificates
from realnet_edge.camera.delivery import DeliveryError
from realnet_edge.camera.discovery import announcements, state_of, state_topic
from realnet_edge.camera.outbox import Message
from realnet_edge.errors import ConfigError

_DEFAULT_PREFIX = "realnet-edge"
_PREFIX = "PREFIX being what topics begin with"
_ONLINE, _OFFLINE = "online", "offline"


class Mqtt:
    """Publishes each result with QoS 1 under PREFIX/CATEGORY/result.

    PREFIX/CATEGORY/status holds "online", or "offline" once the connection is gone, however it ended: the
    broker itself says so then. PREFIX/CATEGORY/state, or PREFIX/CATEGORY/CAMERA/state where cameras have
    names, holds the newest result with the counts of the run (retained), whatever waits.

    Args:
        address: see `Broker.parse`.
        category: what is inspected, part of the topics.
        ca: certificates that the broker's has to be signed by; the system's otherwise.
        timeout_s: how long the broker may take.
        board: gives the states; None publishes none.
        discovery: first part of the topics under which Home Assistant looks for devices; None for none.

    Raises:
        ConfigError: no such address, or no such file; or a discovery prefix that is no topic.
    """

    def __init__(
        self,
        address: str,
        category: str,
        ca: Path | None = None,
        timeout_s: float = 5.0,
        board: Board | None = None,
        discovery: str | None = None,
    ) -> None:
        import paho.mqtt.client  # noqa: F401  # said at the start where it is not installed

        self.name = shown(address)
        self._broker = Broker.parse(address, _PREFIX)
        self._ca = checked_certificates(ca)
        self._timeout = timeout_s
        self._category = category
        self._topic = f"{self._broker.topic or _DEFAULT_PREFIX}/{category}"
        self._board = board
        if discovery is not None and (not discovery.strip("/") or set(discovery) & set("#+")):
            raise ConfigError(f"--mqtt-discovery {discovery}: give what topics begin with, homeassistant.")
        self._discovery = None if discovery is None else discovery.strip("/")
        self._published: dict[str, str] = {}
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
        # The result is there: what fails now must not have it sent again.
        with suppress(OSError, ValueError, RuntimeError):
            self._publish_states(client)

    def rest(self) -> bool:
        """See `Destination`: connects, and says how it stands now."""
        try:
            self._publish_states(self._connected())
        except (OSError, ValueError, RuntimeError) as error:
            self._drop()
            raise DeliveryError(str(error)) from None
        return True

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
        self._published.clear()
        for topic, document in self._announcements():
            client.publish(topic, document, qos=1, retain=True)
        return client

    def _announcements(self) -> Iterator[tuple[str, str]]:
        if self._discovery is None or self._board is None:
            return
        for camera in self._board.cameras:
            yield from announcements(self._discovery, self._topic, self._category, camera)

    def _publish_states(self, client: Any) -> None:
        """Retain how it stands with each camera, where that has changed."""
        if self._board is None:
            return
        for camera in self._board.cameras:
            topic = state_topic(self._topic, camera)
            state = json.dumps(state_of(self._board.standing(camera)), ensure_ascii=False, allow_nan=False)
            if self._published.get(topic) != state:
                # Its loss costs nothing: the next one says more.
                client.publish(topic, state, qos=0, retain=True)
                self._published[topic] = state

    def _drop(self) -> None:
        if self._client is not None:
            self._client.disconnect()
            self._client.loop_stop()
        self._client = None
