"""Parts announced through a real broker, with TLS."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import paho.mqtt.client as paho
import pytest
from result_peers import Mosquitto, has_mosquitto
from trigger_peers import Reading, Shutter
from waiting_peers import PATIENCE_S, wait

from realnet_edge.camera import CameraState
from realnet_edge.camera.backoff import Backoff
from realnet_edge.camera.mqtt_trigger import MqttTrigger
from realnet_edge.camera.triggered import TriggeredSource
from realnet_edge.errors import ConfigError

pytestmark = pytest.mark.skipif(not has_mosquitto(), reason="mosquitto or openssl is not installed")


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    running = Mosquitto(tmp_path)
    yield running
    running.kill()


class Announced:
    """A camera that parts are announced to, being read, and what was said of the broker."""

    def __init__(self, broker: Mosquitto, address: str | None = None) -> None:
        self.states: list[CameraState] = []
        self.camera = Shutter()
        trigger = MqttTrigger(
            address or broker.address, broker.ca, self.states.append, 5.0, Backoff(0.05, 0.2)
        )
        self.reading = Reading(TriggeredSource(self.camera, trigger, wait_s=60.0))

    def phases(self) -> list[str]:
        return [state.phase for state in self.states]

    def wait_for(self, phase: str, count: int = 1) -> None:
        wait(lambda: self.phases().count(phase) >= count, lambda: self.states)


@contextmanager
def publisher(broker: Mosquitto) -> Iterator[paho.Client]:
    client = paho.Client(paho.CallbackAPIVersion.VERSION2)
    client.username_pw_set("line", "secret")
    client.tls_set(str(broker.ca))
    client.connect("localhost", broker.port)
    client.loop_start()
    yield client
    client.disconnect()
    client.loop_stop()


def say(client: paho.Client, message: str, retain: bool = False) -> None:
    client.publish("plant", message, qos=1, retain=retain).wait_for_publish(PATIENCE_S)


def test_messages_are_parts_and_one_that_is_sent_again_is_not_another(broker: Mosquitto) -> None:
    broker.start()
    line = Announced(broker)
    line.wait_for("live")
    with publisher(broker) as client:
        for number, message in enumerate(('{"id": "A17"}', "A18", '{"id": 19}')):
            say(client, message)
            # As a sender does whose first confirmation was lost on its way.
            say(client, message)
            wait(lambda: bool(line.reading.source._waiting))  # type: ignore[attr-defined]
            line.camera.shoot(number)
            assert line.reading[number].image is not None
        say(client, '{"id": [1]}')
        # Announced and not yet pictured: the sender's order stays.
        say(client, "last")
        wait(lambda: len(line.reading.source._waiting) == 2)  # type: ignore[attr-defined]
    line.reading.stop()
    *parts, unreadable, last = line.reading.frames
    assert [part.id for part in parts] == ["A17", "A18", "19"]
    assert (unreadable.image, unreadable.error) == (
        None,
        "the id '[1]' is neither a text nor a whole number.",
    )
    assert (last.id, last.image) == ("last", None)
    assert "secret" not in line.reading.source._trigger.name  # type: ignore[attr-defined]


def test_a_broker_that_goes_away_is_found_again(broker: Mosquitto) -> None:
    line = Announced(broker)
    line.wait_for("waiting", 2)
    broker.start()
    line.wait_for("live")
    lost = line.phases().count("waiting")
    broker.kill()
    line.wait_for("waiting", lost + 1)
    broker.start()
    line.wait_for("live", 2)
    with publisher(broker) as client:
        say(client, "new")
        wait(lambda: bool(line.reading.source._waiting))  # type: ignore[attr-defined]
        line.camera.shoot(2)
    assert line.reading[0].id == "new"
    line.reading.stop()


def test_a_message_that_the_broker_kept_is_too_late(broker: Mosquitto) -> None:
    broker.start()
    first = Announced(broker)
    first.wait_for("live")
    with publisher(broker) as client:
        say(client, "kept", retain=True)
        wait(lambda: bool(first.reading.source._waiting))  # type: ignore[attr-defined]
        first.reading.stop()
        second = Announced(broker)
        second.wait_for("live")
        say(client, "new")
        wait(lambda: bool(second.reading.source._waiting))  # type: ignore[attr-defined]
        second.reading.stop()
    assert [frame.id for frame in first.reading.frames] == ["kept"]
    assert [frame.id for frame in second.reading.frames] == ["new"]


def test_a_broker_that_refuses_says_so(broker: Mosquitto) -> None:
    broker.start()
    line = Announced(broker, broker.address.replace("secret", "wrong"))
    line.wait_for("waiting")
    reasons = {state.reason for state in line.states if state.phase == "waiting"}
    # Until it is up there is nobody to refuse.
    wait(lambda: any("Not authorized" in str(state.reason) for state in line.states), lambda: reasons)
    line.reading.stop()


def test_addresses_name_a_topic() -> None:
    with pytest.raises(ConfigError, match="names no topic: give mqtt://HOST/TOPIC"):
        MqttTrigger("mqtt://host")
    with pytest.raises(ConfigError, match=r"is no broker: valid is .*/TOPIC, TOPIC being where"):
        MqttTrigger("mqtt://host/line/+/part")
    with pytest.raises(ConfigError, match="no such file of certificates"):
        MqttTrigger("mqtts://host/part", Path("/nothing.pem"))
