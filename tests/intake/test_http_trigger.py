"""Parts announced by real HTTP requests."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
import pytest
from camera_peers import MjpegServer, jpeg, steady
from trigger_peers import Reading, Shutter, ask
from waiting_peers import PATIENCE_S, wait

from realnet_edge.camera import Inspection, open_source, run_line
from realnet_edge.camera.triggered import TriggeredSource
from realnet_edge.errors import ConfigError
from realnet_edge.intake import HttpTrigger
from realnet_edge.runtime import Prediction

TOKEN = "a-token-of-more-than-16"  # noqa: S105  # the test's own


@pytest.fixture
def trigger() -> Iterator[HttpTrigger]:
    with HttpTrigger("http://127.0.0.1:0/") as opened:
        yield opened


@pytest.fixture
def reading(trigger: HttpTrigger) -> Iterator[Reading]:
    read = Reading(TriggeredSource(Shutter(), trigger, 60.0))
    wait(lambda: bool(trigger._listeners))
    yield read
    read.stop()


def test_a_request_is_a_part_and_the_same_id_again_is_the_same_part(
    trigger: HttpTrigger, reading: Reading
) -> None:
    assert ask(trigger.url, "/trigger", b'{"id": "A17"}') == (202, {"id": "A17", "repeated": False})
    assert ask(trigger.url, "/trigger", b'{"id": "A17"}') == (200, {"id": "A17", "repeated": True})
    code, first = ask(trigger.url, "/trigger")
    other, second = ask(trigger.url, "/trigger", b"{}")
    assert (code, other) == (202, 202)
    reading.stop()
    assert [frame.id for frame in reading.frames] == ["A17", first["id"], second["id"]]
    assert first["id"] != second["id"]


@pytest.mark.parametrize(
    ("path", "body", "headers", "method", "code", "said"),
    [
        ("/trigger", b'{"id": 1.5}', {}, "POST", 422, "neither a text nor a whole number"),
        ("/trigger", b"../x", {}, "POST", 422, "without slashes"),
        ("/trigger", b"x", {"Content-Length": "5000"}, "POST", 413, "too large"),
        ("/trigger", iter([b"x" * 5000]), {}, "POST", 413, "too large"),
        ("/trigger", b"", {}, "GET", 405, "POST it"),
        ("/", b"", {}, "POST", 404, "Nothing is here"),
        ("/trigger", b"", {"Host": "evil.example"}, "POST", 403, "this machine alone"),
        ("/trigger", b"", {"Origin": "http://evil.example"}, "POST", 403, "Pages of elsewhere"),
        ("/trigger", b"", {"Host": "[::1"}, "POST", 403, "this machine alone"),
        ("/trigger", b"", {"Host": ""}, "POST", 403, "this machine alone"),
        ("/trigger", b"", {"Origin": "http://["}, "POST", 403, "Pages of elsewhere"),
        ("/trigger", b"", {"Origin": "null"}, "POST", 403, "Pages of elsewhere"),
    ],
)
def test_what_is_no_announcement_announces_nothing(
    trigger: HttpTrigger,
    reading: Reading,
    path: str,
    body: bytes | Iterator[bytes],
    headers: dict[str, str],
    method: str,
    code: int,
    said: str,
) -> None:
    answered, document = ask(trigger.url, path, body, headers, method)
    assert (answered, said in document["error"]) == (code, True), document
    reading.stop()
    assert reading.frames == []


def test_a_token_is_asked_for() -> None:
    with HttpTrigger("http://127.0.0.1:0", TOKEN) as trigger:
        reading = Reading(TriggeredSource(Shutter(), trigger, 60.0))
        wait(lambda: bool(trigger._listeners))
        bearer = {"Authorization": f"Bearer {TOKEN}"}
        assert ask(trigger.url, "/trigger", b"a")[0] == 401
        assert ask(trigger.url, "/trigger", b"a", {"Authorization": "Bearer wrong"})[0] == 401
        assert ask(trigger.url, f"/trigger?token={TOKEN}", b"a")[0] == 401
        assert ask(trigger.url, "/trigger", b"b", {**bearer, "Host": "line.example"})[0] == 202
        reading.stop()
        assert [frame.id for frame in reading.frames] == ["b"]


def test_while_nobody_inspects_a_part_is_refused(trigger: HttpTrigger, reading: Reading) -> None:
    reading.stop()
    assert ask(trigger.url, "/trigger", b"a") == (503, {"error": "The line does not inspect now."})


def test_addresses_that_cannot_be_served_are_refused(trigger: HttpTrigger) -> None:
    for address in (
        "http://127.0.0.1",
        "http://127.0.0.1:0/x",
        "https://127.0.0.1:0",
        "http://u@127.0.0.1:0",
    ):
        with pytest.raises(ConfigError, match=r"valid is http://127\.0\.0\.1:8090"):
            HttpTrigger(address)
    with pytest.raises(ConfigError, match="can be reached by other machines"):
        HttpTrigger("http://0.0.0.0:0")
    with pytest.raises(ConfigError, match="5 characters: give at least 16"):
        HttpTrigger("http://0.0.0.0:0", "short")
    with pytest.raises(ConfigError, match="cannot be served"):
        HttpTrigger(trigger.url)


class _Slow:
    """An engine that is slower than parts come."""

    input_size, threshold, bundle = (8, 8), 0.5, "slow"

    def infer(self, images: npt.NDArray[np.uint8]) -> Prediction:
        time.sleep(0.02)
        return Prediction(np.zeros((len(images), 8, 8), np.float32), np.zeros(len(images), np.float32))


def test_every_part_that_was_accepted_gives_one_result_when_all_is_too_fast_and_the_line_stops(
    trigger: HttpTrigger,
) -> None:
    """Requests of four machines on a real camera, with an engine that falls behind."""
    camera = MjpegServer(lambda: steady([jpeg(20)] * 100_000, 0.005))
    source = TriggeredSource(open_source(camera.url), trigger, wait_s=5.0)
    results: list[Inspection] = []
    stop = threading.Event()
    run = threading.Thread(target=run_line, args=(_Slow(), source, [results.append], None, stop), daemon=True)
    run.start()
    wait(lambda: bool(trigger._listeners))

    def announce(machine: int) -> list[str]:
        accepted = []
        for number in range(60):
            name = f"{machine}-{number}"
            if ask(trigger.url, "/trigger", name.encode())[0] == 202:
                accepted.append(name)
        return accepted

    with ThreadPoolExecutor(4) as machines:
        announced = [machines.submit(announce, machine) for machine in range(4)]
        wait(lambda: len(results) > 60)
        stop.set()
        accepted = [name for one in announced for name in one.result(PATIENCE_S)]
    run.join(PATIENCE_S)
    camera.close()
    assert not run.is_alive()
    assert sorted(one.frame.id for one in results) == sorted(accepted)
    assert "good" in {one.verdict for one in results} <= {"good", "not_inspected"}
    assert all(one.error for one in results if one.verdict == "not_inspected")
