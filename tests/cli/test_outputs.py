"""Results of `run` that go to a broker and a webhook."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from result_peers import Mosquitto, Receiver, has_mosquitto
from waiting_peers import free_port, wait

from realnet_edge.camera.webhook import SIGNATURE
from realnet_edge.cli.main import cli
from realnet_edge.cli.sent import SECRET


@pytest.fixture
def run(bundle: Path, parts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    monkeypatch.chdir(tmp_path)

    def call(*arguments: object) -> Result:
        fixed = ["run", "--bundle", bundle, "--source", parts]
        return CliRunner().invoke(cli, [*map(str, [*fixed, *arguments])])

    return call


def test_a_webhook_gets_the_lines(
    run: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SECRET, "key")
    receiver = Receiver([200])
    done = run("--webhook", receiver.url, "--outbox", "waiting.db")
    receiver.close()
    assert done.exit_code == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    posted = [json.loads(body) for _, body in receiver.got]
    for body in posted:
        assert body.pop("uid")
    assert posted == lines
    assert all(SIGNATURE in headers for headers, _ in receiver.got)
    assert f"http://127.0.0.1:{receiver.port}/results: 11 results delivered" in done.stderr
    assert "hidden" not in done.output
    assert (tmp_path / "waiting.db").exists()


def test_what_a_dead_webhook_did_not_get_waits_beside(run: Callable[..., Result], tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}/results"
    done = run("--webhook", url, "--out", "lines.jsonl")
    assert done.exit_code == 0
    assert "Connection refused" in done.stderr
    assert f"{url}: 0 results delivered, 11 wait in toy-outbox.db for the next run" in done.stderr
    assert len((tmp_path / "lines.jsonl").read_text().splitlines()) == 11
    # Nor are they forgotten by a run that delivers to nobody.
    later = run()
    assert later.exit_code == 2
    assert f"toy-outbox.db: 11 results wait for {url}, to which this run does not deliver" in later.stderr


@pytest.mark.skipif(not has_mosquitto(), reason="no broker: apt install mosquitto openssl")
def test_a_broker_gets_the_lines(
    run: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker = Mosquitto(tmp_path)
    broker.start()
    monkeypatch.setenv("BROKER_PASSWORD", "secret")
    address = broker.address.replace("secret", "${BROKER_PASSWORD}")
    options = ["--mqtt", address, "--mqtt-ca", broker.ca, "--mqtt-discovery", "plant/found"]

    def bodies(topic: str) -> list[dict[str, Any]]:
        return [json.loads(body) for name, body in got if name == topic]

    with broker.subscribed() as got:
        done = run(*options)
        assert done.exit_code == 0, done.stderr
        verdicts = [json.loads(line)["verdict"] for line in done.stdout.splitlines()]
        # A machine that is too busy for it ends the run first; the next one delivers what waits.
        for _ in range(10):
            if len(bodies("plant/toy/result")) >= len(verdicts):
                break
            run(*options, "--limit", 1)
        wait(lambda: ("plant/toy/status", b"offline") in got)
    with broker.subscribed() as later:
        wait(lambda: len(later) >= 12)
    broker.kill()
    assert [body["verdict"] for body in bodies("plant/toy/result")][: len(verdicts)] == verdicts
    assert "secret" not in done.output
    # Whoever comes later finds the newest state, and what Home Assistant needs to find it.
    retained = {topic: json.loads(body) for topic, body in later if not topic.endswith("status")}
    state = retained.pop("plant/toy/state")
    assert state["verdict"] == verdicts[state["index"]]
    assert state["frames"] == state["good"] + state["defects"] + state["not_inspected"] == state["index"] + 1
    assert {document["unique_id"] for document in retained.values()} == {
        f"plant_toy_{key}"
        for key in (
            *("verdict", "score", "threshold", "state", "reject"),
            *("frames", "good", "defects", "not_inspected", "dropped"),
        )
    }
    for topic, document in retained.items():
        assert topic.startswith(("plant/found/sensor/plant_toy/", "plant/found/binary_sensor/plant_toy/"))
        assert document["state_topic"] == "plant/toy/state"
        assert document["availability_topic"] == "plant/toy/status"
        (key,) = re.findall(r"value_json\.(\w+)", document["value_template"])
        assert key in state


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--outbox", "x.db"], "add --mqtt or --webhook"),
        (["--mqtt-discovery"], "add --mqtt"),
        (["--mqtt", "mqtt://host", "--mqtt-discovery", "a/#"], "give what topics begin with"),
        (["--webhook", "ftp://host"], "valid is an address with http:// or https://"),
        (["--mqtt", "host"], "is no broker"),
        (["--mqtt", "mqtt://host", "--mqtt-ca", "nothing.pem"], "no such file of certificates"),
        (["--mqtt", "mqtt://${NOT_SET}@host"], "--mqtt asks for ${NOT_SET}"),
        (["--save-all"], "add --save FOLDER"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    run: Callable[..., Result], options: list[str], message: str
) -> None:
    done = run(*options)
    assert done.exit_code == 2
    assert message in done.stderr
