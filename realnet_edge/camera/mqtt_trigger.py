"""Parts announced over MQTT."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from realnet_edge.camera.addresses import shown
from realnet_edge.camera.backoff import Backoff
from realnet_edge.camera.broker import Broker, checked_certificates
from realnet_edge.camera.live import CameraState
from realnet_edge.camera.triggers import REPEAT_S, Trigger, announced_id
from realnet_edge.errors import ConfigError, DataError

_TOPIC = "TOPIC being where parts are announced"
# A broker that is gone without a word is missed after one and a half times as long.
_KEEPALIVE_S = 10
# How often the thread looks whether it shall stop; messages wake it at once.
_POLL_S = 0.2
_JOIN_S = 1.0


class MqttTrigger(Trigger):
    """Each message on a topic is a part, `{"id": "A17"}` or the id alone; subscribed to with QoS 1.

    An id that comes again within `repeat_s` was sent twice, as QoS 1 does, and is inspected once. Messages
    from before the connection stood are not taken: the part has gone by, and the picture would show another
    one under its id. So the session is a clean one, and retained messages are passed over.

    Args:
        address: mqtt://HOST/TOPIC, or for TLS mqtts://USER:PASSWORD@HOST:PORT/TOPIC.
        ca: certificates that the broker's has to be signed by; the system's otherwise.
        on_state: hears when the broker is found and lost.
        timeout_s: how long the broker may take to answer.
        backoff: waits between tries; there is no last one.
        repeat_s: see `Trigger`.

    Raises:
        ConfigError: no such address, or no such file.
    """

    def __init__(
        self,
        address: str,
        ca: Path | None = None,
        on_state: Callable[[CameraState], None] = lambda state: None,
        timeout_s: float = 5.0,
        backoff: Backoff | None = None,
        repeat_s: float = REPEAT_S,
    ) -> None:
        import paho.mqtt.client

        super().__init__(shown(address), repeat_s)
        self._paho: Any = paho.mqtt.client
        self._broker = Broker.parse(address, _TOPIC)
        if not self._broker.topic:
            raise ConfigError(f"{self.name} names no topic: give mqtt://HOST/TOPIC, {_TOPIC}.")
        self._ca = checked_certificates(ca)
        self._on_state = on_state
        self._timeout = timeout_s
        self._backoff = backoff or Backoff()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._work, name="trigger", daemon=True)

    def _start(self) -> None:
        self._thread.start()

    def _stop(self) -> None:
        self._ending.set()
        self._thread.join(_JOIN_S)

    def _work(self) -> None:
        reason: str | None = None
        while not self._ending.is_set():
            self._on_state(CameraState("connecting", reason))
            try:
                reason = self._listen()
            except (OSError, ValueError) as error:
                reason = str(error)
            if self._ending.is_set():
                return
            seconds = self._backoff.next()
            self._on_state(CameraState("waiting", reason, seconds))
            self._ending.wait(seconds)

    def _listen(self) -> str:
        """Take messages until the broker is lost; gives the reason.

        Raises:
            OSError: the broker cannot be reached, or its certificate is not trusted.
            ValueError: the connection broke off while it was set up.
        """
        client = self._broker.client(self._ca, self._timeout)
        refusals: list[str] = []

        def refused(reason: Any) -> bool:
            if reason.is_failure:
                refusals.append(str(reason))
            return bool(reason.is_failure)

        def on_connect(_client: Any, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
            if not refused(reason):
                client.subscribe(self._broker.topic, qos=1)

        def on_subscribe(_client: Any, _data: Any, _mid: int, reasons: Any, _properties: Any) -> None:
            if not refused(reasons[0]):
                self._backoff.reset()
                self._on_state(CameraState("live"))

        client.on_connect, client.on_subscribe = on_connect, on_subscribe
        client.on_message = lambda _client, _data, message: self._take(message)
        client.connect(self._broker.host, self._broker.port, keepalive=_KEEPALIVE_S)
        try:
            while not self._ending.is_set() and not refusals:
                if code := client.loop(_POLL_S):
                    # A broker that refuses says why, and hangs up.
                    return refusals[0] if refusals else self._paho.error_string(code)
        finally:
            client.disconnect()
        return refusals[0] if refusals else "stopped"

    def _take(self, message: Any) -> None:
        if message.retain:
            return
        try:
            self._announce(announced_id(message.payload))
        except DataError as error:
            # Its part has come by, and must not be missing among the results.
            self._announce(None, str(error))
