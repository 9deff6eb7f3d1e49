"""Results reach a broker and a webhook in order and once, whatever goes away in between."""

from __future__ import annotations

import base64
import json
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest
from result_peers import Mosquitto, Receiver, has_mosquitto
from waiting_peers import free_port, wait

from realnet_edge.camera import Frame, Inspection
from realnet_edge.camera.backoff import Backoff
from realnet_edge.camera.broker import Broker
from realnet_edge.camera.delivery import Delivery
from realnet_edge.camera.mqtt import Mqtt
from realnet_edge.camera.outbox import Outbox, waiting_in
from realnet_edge.camera.webhook import SIGNATURE, UID, Webhook, signature
from realnet_edge.errors import ConfigError

needs_mosquitto = pytest.mark.skipif(not has_mosquitto(), reason="no broker: apt install mosquitto openssl")


def result(index: int) -> Inspection:
    return Inspection(index, Frame(str(index), "camera", "", None, None, None, 0.0), "good", 0.5, "b", 0.1)


class Sending:
    """An outbox with one destination, and everything that was said of trouble."""

    def __init__(self, path: Path, destination: Webhook | Mqtt) -> None:
        self.trouble: list[str | None] = []
        self.refusals: list[str] = []
        self._stack = ExitStack()
        self.outbox = self._stack.enter_context(Outbox(path, [destination.name]))
        delivery = Delivery(
            self.outbox,
            destination,
            lambda _, reason: self.trouble.append(reason),
            lambda _, reason: self.refusals.append(reason),
            backoff=Backoff(0.1, 0.2),
        )
        self.delivery = self._stack.enter_context(delivery)

    def put(self, indices: Sequence[int]) -> None:
        for index in indices:
            self.outbox(result(index))

    def close(self) -> None:
        self._stack.close()


@pytest.fixture
def sending(tmp_path: Path) -> Iterator[Callable[[Webhook | Mqtt], Sending]]:
    opened: list[Sending] = []

    def start(destination: Webhook | Mqtt) -> Sending:
        opened.append(Sending(tmp_path / "outbox.db", destination))
        return opened[-1]

    yield start
    for one in opened:
        one.close()


def indices(got: Sequence[tuple[object, bytes]]) -> list[int]:
    return [json.loads(body)["index"] for _, body in got]


def test_a_webhook_gets_signed_results_in_order(sending: Callable[..., Sending]) -> None:
    receiver = Receiver([204])
    one = sending(Webhook(receiver.url, "key"))
    one.put(range(20))
    wait(lambda: len(receiver.got) == 20)
    assert indices(receiver.got) == list(range(20))
    headers, body = receiver.got[3]
    seconds = int(headers[SIGNATURE].partition(",")[0].removeprefix("t="))
    assert headers[SIGNATURE] == signature("key", seconds, body)
    assert headers[SIGNATURE] != signature("other", seconds, body)
    assert headers[UID] == json.loads(body)["uid"]
    assert len({headers[UID] for headers, _ in receiver.got}) == 20
    assert one.delivery.name.endswith("/results")
    receiver.close()


def test_a_webhook_that_fails_gets_the_same_result_again(sending: Callable[..., Sending]) -> None:
    receiver = Receiver([503, 429, 200])
    one = sending(Webhook(receiver.url, None))
    one.put(range(3))
    wait(lambda: one.delivery.sent == 3)
    assert indices(receiver.got) == [0, 0, 0, 1, 2]
    assert SIGNATURE not in receiver.got[0][0]
    assert one.trouble == ["it answers 503 Service Unavailable", None]
    receiver.close()


def test_a_result_that_is_refused_holds_nothing_up(sending: Callable[..., Sending]) -> None:
    receiver = Receiver([422, 200])
    one = sending(Webhook(receiver.url, None))
    one.put(range(4))
    wait(lambda: one.delivery.sent == 3)
    assert indices(receiver.got) == [0, 1, 2, 3]
    assert one.delivery.refused == 1
    assert (one.trouble, one.refusals) == ([], ["it answers 422 Unprocessable Entity"])
    receiver.close()


@pytest.mark.parametrize("answer", [302, 401, 404])
def test_a_wrong_address_loses_nothing(sending: Callable[..., Sending], answer: int) -> None:
    """A redirect is not followed, either: results go where the user said."""
    receiver = Receiver([answer, 200])
    one = sending(Webhook(receiver.url, None))
    one.put(range(2))
    wait(lambda: one.delivery.sent == 2)
    assert indices(receiver.got) == [0, 0, 1]
    assert one.delivery.refused == 0
    receiver.close()


def test_user_and_password_are_sent_as_such(sending: Callable[..., Sending]) -> None:
    receiver = Receiver([200])
    one = sending(Webhook(receiver.url.replace("://", "://line%40a:p%3Aw@"), None))
    one.put([0])
    wait(lambda: one.delivery.sent == 1)
    assert receiver.got[0][0]["Authorization"] == "Basic " + base64.b64encode(b"line@a:p:w").decode()
    assert "p%3Aw" not in one.delivery.name
    receiver.close()


def test_what_could_not_be_delivered_is_delivered_by_the_next_run(
    sending: Callable[..., Sending], tmp_path: Path
) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}/results"
    before = sending(Webhook(url, None))
    before.put(range(3))
    wait(lambda: bool(before.trouble))
    before.close()
    receiver = Receiver([200], port)
    after = Sending(tmp_path / "outbox.db", Webhook(url, None))
    after.put(range(3, 5))
    wait(lambda: after.delivery.sent == 5)
    assert indices(receiver.got) == [0, 1, 2, 3, 4]
    assert after.outbox.waiting(after.delivery.name) == 0
    after.close()
    with sqlite3.connect(tmp_path / "outbox.db") as database:
        assert database.execute("SELECT COUNT(*) FROM message").fetchone() == (0,)
    receiver.close()


@needs_mosquitto
def test_a_broker_that_is_killed_gets_every_result_once(
    sending: Callable[..., Sending], tmp_path: Path
) -> None:
    broker = Mosquitto(tmp_path)
    one = sending(Mqtt(broker.address, "screw", broker.ca, timeout_s=2.0))
    one.put(range(3))
    wait(lambda: bool(one.trouble))
    broker.start()
    with broker.subscribed() as got:
        one.put(range(3, 6))
        wait(lambda: one.delivery.sent == 6)
        wait(lambda: sum(topic == "plant/screw/result" for topic, _ in got) >= 3)
    broker.kill()
    one.put(range(6, 9))
    wait(lambda: len(one.trouble) == 3)
    broker.start()
    with broker.subscribed() as again:
        one.put([9])
        wait(lambda: one.delivery.sent == 10)
        wait(lambda: any(json.loads(body)["index"] == 9 for topic, body in again if topic.endswith("result")))
        one.close()
        wait(lambda: ("plant/screw/status", b"offline") in again)
    broker.kill()
    seen = indices([(topic, body) for topic, body in (*got, *again) if topic == "plant/screw/result"])
    # Who subscribes late misses the first ones, and nobody sees one twice.
    assert seen == sorted(set(seen))
    assert "secret" not in "".join(filter(None, one.trouble))
    assert one.delivery.name == f"mqtts://line@localhost:{broker.port}/plant"


@needs_mosquitto
def test_a_broker_that_refuses_or_is_not_who_it_says_is_trouble(
    sending: Callable[..., Sending], tmp_path: Path
) -> None:
    broker = Mosquitto(tmp_path)
    broker.start()
    with broker.subscribed() as got:
        wrong = sending(Mqtt(broker.address.replace("secret", "wrong"), "screw", broker.ca))
        wrong.put([0])
        wait(lambda: bool(wrong.trouble))
        assert wrong.trouble[0] == "Not authorized"
        wrong.close()
        stranger = Sending(tmp_path / "other.db", Mqtt(broker.address, "screw"))
        stranger.put([0])
        wait(lambda: bool(stranger.trouble))
        assert "certificate verify failed" in str(stranger.trouble[0])
        stranger.close()
        assert not [topic for topic, _ in got if topic.endswith("result")]
    broker.kill()


@pytest.mark.parametrize(
    "address",
    [
        "mqtt://",
        "http://host",
        "mqtt://host:99999",
        "mqtt://host:x",
        "mqtt://host/a/%2B/#".replace("%2B", "+"),
    ],
)
def test_what_is_no_broker_is_refused(address: str) -> None:
    with pytest.raises(ConfigError, match="is no broker: valid is mqtt://HOST"):
        Broker.parse(address, "PREFIX being what topics begin with")


def test_a_brokers_address_is_taken_apart() -> None:
    assert Broker.parse("mqtt://host", "TOPIC") == Broker("host", 1883, False, None, None, "")
    full = Broker.parse("mqtts://a%40b:p%2Fw@host:99/plant/line1/", "TOPIC")
    assert full == Broker("host", 99, True, "a@b", "p/w", "plant/line1")


def test_a_full_disk_stops_nothing_and_loses_nothing(tmp_path: Path) -> None:
    path, alarms = tmp_path / "outbox.db", list[str]()
    with Outbox(path, ["one"], on_alarm=alarms.append) as outbox:
        (pages,) = outbox._database.execute("PRAGMA page_count").fetchone()
        # What SQLite answers then is what it answers when the file system is full.
        outbox._database.execute(f"PRAGMA max_page_count = {pages + 2}")
        for index in range(60):
            outbox(result(index))
        (written,) = outbox._database.execute("SELECT COUNT(*) FROM message").fetchone()
        assert 0 < written < 60
        assert outbox.waiting("one") == 60
        outbox._database.execute("PRAGMA max_page_count = 10000")
        outbox(result(60))
        (written,) = outbox._database.execute("SELECT COUNT(*) FROM message").fetchone()
        assert written == 61
        found = []
        while message := outbox.next("one"):
            found.append(json.loads(message.body)["index"])
            outbox.delivered("one", message)
        assert found == list(range(61))
        assert outbox.given_up == 0
    assert alarms == [
        f"{path}: cannot be written (database or disk is full); results wait in memory",
        f"{path}: works again",
    ]


def test_too_many_results_give_up_the_oldest_and_say_so(tmp_path: Path) -> None:
    with Outbox(tmp_path / "outbox.db", ["one"], kept=5) as outbox:
        for index in range(8):
            outbox(result(index))
        message = outbox.next("one")
        assert message is not None
        assert json.loads(message.body)["index"] == 3
        assert (outbox.given_up, outbox.waiting("one")) == (3, 5)


def test_each_destination_has_its_own_place_and_the_slowest_keeps_the_results(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    with Outbox(path, ["fast", "slow"]) as outbox:
        for index in range(3):
            outbox(result(index))
        while message := outbox.next("fast"):
            outbox.delivered("fast", message)
        assert (outbox.waiting("fast"), outbox.waiting("slow")) == (0, 3)
    with Outbox(path, ["slow", "new"]) as outbox:
        # Whoever comes anew gets what comes from now on.
        assert (outbox.waiting("slow"), outbox.waiting("new")) == (3, 0)
    assert waiting_in(path) == {"slow": 3}
    # Nothing is lost to a mistyped address.
    with pytest.raises(ConfigError, match="3 results wait for slow, to which this run does not deliver"):
        Outbox(path, ["new"])
    with Outbox(path, ["slow", "new"]) as outbox:
        while message := outbox.next("slow"):
            outbox.delivered("slow", message)
    with Outbox(path, ["new"]) as outbox:
        assert outbox._database.execute("SELECT name FROM destination").fetchall() == [("new",)]


def test_an_outbox_belongs_to_one_run(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    with Outbox(path, ["one"]) as outbox:
        outbox(result(0))
        with pytest.raises(ConfigError, match="another run uses it"):
            Outbox(path, ["one"])
        assert outbox.waiting("one") == 1


def test_what_is_no_outbox_or_another_runs_has_nothing_waiting(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    assert waiting_in(path) == {}
    path.write_text("no database, but long enough to be looked at" * 40)
    assert waiting_in(path) == {}
    path.unlink()
    with Outbox(path, ["one"]) as outbox:
        outbox(result(0))
        assert waiting_in(path) == {}


def test_a_file_that_is_no_outbox_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("no database, but long enough to be looked at" * 40)
    with pytest.raises(ConfigError, match="cannot be used as the outbox"):
        Outbox(path, ["one"])
    assert path.read_text().startswith("no database")
