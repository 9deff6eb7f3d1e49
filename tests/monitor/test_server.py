"""The real server over real connections; a real browser where one is installed."""

from __future__ import annotations

import http.client
import io
import json
import socket
import threading
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
from asking import ask, origin
from browser import TOKEN
from PIL import Image
from prometheus_client.parser import text_string_to_metric_families

from realnet_edge.camera import CameraState, Inspection
from realnet_edge.errors import ConfigError, UnavailableError
from realnet_edge.monitor import LineState, MonitorServer
from realnet_edge.monitor.access import Access


def first_event(server: MonitorServer) -> dict[str, Any]:
    parts = urlsplit(server.url)
    connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=30)
    connection.request("GET", "/events")
    answer = connection.getresponse()
    line = answer.readline()
    connection.close()
    assert line.startswith(b"data: ")
    found: dict[str, Any] = json.loads(line[6:])
    return found


def test_the_page_and_what_it_needs_are_served_with_strict_headers(server: MonitorServer) -> None:
    for path, kind in (
        ("/", "text/html"),
        ("/page.js", "text/javascript"),
        ("/threshold.js", "text/javascript"),
        ("/page.css", "text/css"),
    ):
        status, headers, body = ask(server, path)
        assert (status, headers["content-type"].partition(";")[0]) == (200, kind)
        assert "default-src 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert "server" not in headers
        assert body
        # Works where there is no internet.
        assert b"https://" not in body


def test_events_carry_the_state(server: MonitorServer, state: LineState) -> None:
    assert first_event(server)["counts"] == state.snapshot()["counts"]


def test_pictures_are_of_the_last_part_and_of_the_defects(server: MonitorServer) -> None:
    assert first_event(server)["cameras"][0]["last"]["index"] == 39
    for path, index in (("/cameras/0/39.jpg", 39), ("/defects/13.jpg", 13)):
        status, headers, body = ask(server, path)
        assert (status, headers["content-type"]) == (200, "image/jpeg")
        with Image.open(io.BytesIO(body)) as picture:
            assert picture.width == 80
            corner = np.asarray(picture)[2, 2]
        np.testing.assert_allclose(corner, 40 + index, atol=6)
    assert ask(server, "/defects/14.jpg")[0] == 404
    assert ask(server, "/cameras/0/38.jpg")[0] == 404
    assert ask(server, "/cameras/1/39.jpg")[0] == 404


def test_health_and_readiness_are_told_apart(server: MonitorServer, state: LineState) -> None:
    assert ask(server, "/readyz")[0] == 200
    state.on_camera(None, CameraState("waiting", "gone", 1.0))
    status, _, body = ask(server, "/readyz")
    assert (status, json.loads(body)) == (503, {"ready": False, "reason": "camera waiting: gone"})
    assert ask(server, "/healthz")[0] == 200


def test_prometheus_reads_the_metrics(
    server: MonitorServer, state: LineState, inspected: Callable[..., Inspection]
) -> None:
    for index in range(5):
        server.metrics(inspected(index, 0.3))
    server.metrics(inspected(5, None))
    state.on_alarm("engine a: execution failed")
    state.waiting = lambda: {"mqtt://broker/": 2}
    status, headers, body = ask(server, "/metrics")
    assert status == 200
    assert headers["content-type"].startswith("text/plain")
    samples = {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(body.decode())
        for sample in family.samples
    }
    assert samples["realnet_edge_frames_total", (("camera", ""), ("verdict", "defect"))] == 4
    assert samples["realnet_edge_frames_total", (("camera", ""), ("verdict", "not_inspected"))] == 1
    assert samples["realnet_edge_dropped_frames_total", (("camera", ""),)] == 0
    assert samples["realnet_edge_reconnects_total", (("camera", ""),)] == 0
    assert samples["realnet_edge_alarms_total", ()] == 1
    assert samples["realnet_edge_latency_seconds_count", ()] == 5
    assert samples["realnet_edge_latency_seconds_sum", ()] == pytest.approx(0.1)
    assert samples["realnet_edge_score_bucket", (("le", "0.3"),)] == 5
    assert samples["realnet_edge_score_bucket", (("le", "0.25"),)] == 0
    assert samples["realnet_edge_waiting_results", (("destination", "mqtt://broker/"),)] == 2
    assert samples["realnet_edge_camera_up", (("camera", ""),)] == 1
    assert samples["realnet_edge_threshold", ()] == 0.5


@pytest.mark.parametrize(
    "path",
    ["/../../etc/passwd", "/static/page.html", "/defects/../page.js", "/defects/x.jpg", "/defects/-1.jpg"],
)
def test_nothing_of_a_path_reaches_the_disk(server: MonitorServer, path: str) -> None:
    assert ask(server, path)[0] == 404


def test_other_methods_are_refused(server: MonitorServer) -> None:
    assert ask(server, "/", "POST")[0] == 403
    assert ask(server, "/", "POST", Origin=origin(server))[0] == 405


def test_a_page_of_elsewhere_cannot_read_the_line(server: MonitorServer) -> None:
    """DNS rebinding: the name that a browser was told to be this machine's."""
    assert ask(server, "/", Host="evil.example")[0] == 403
    assert ask(server, "/", Host="localhost:1")[0] == 200


def test_a_viewers_token_is_asked_for_and_kept_in_a_cookie(guarded: MonitorServer, state: LineState) -> None:
    assert ask(guarded, "/events")[0] == 401
    assert ask(guarded, "/metrics", Authorization=f"Bearer {TOKEN}")[0] == 200
    status, headers, _ = ask(guarded, f"/?token={TOKEN}")
    assert (status, headers["location"]) == (303, "/")
    assert "httponly" in headers["set-cookie"].lower()
    assert "samesite=strict" in headers["set-cookie"].lower()
    cookie = headers["set-cookie"].partition(";")[0]
    assert ask(guarded, "/", Cookie=cookie)[0] == 200
    # Supervisors ask without one.
    assert ask(guarded, "/readyz")[0] == 200
    # A display on the wall comes back after a restart of the line.
    address = guarded.url.split("/")[2]
    guarded.__exit__(None, None, None)
    with MonitorServer(address, state, Access(TOKEN)) as again:
        assert ask(again, "/", Cookie=cookie)[0] == 200


@pytest.mark.parametrize(
    ("address", "access", "message"),
    [
        ("0.0.0.0:0", None, "can be reached by other machines"),
        ("192.0.2.1:0", None, "can be reached by other machines"),
        ("127.0.0.1", None, "is no HOST:PORT"),
        ("127.0.0.1:99999", None, "is no HOST:PORT"),
        ("192.0.2.1:0", Access(TOKEN), "this machine has no such address now"),
    ],
)
def test_what_is_not_safe_or_not_possible_is_refused(
    state: LineState, address: str, access: Access | None, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        MonitorServer(address, state, access)


def test_a_port_that_is_taken_is_said(server: MonitorServer, state: LineState) -> None:
    # Whoever starts it again has a chance: systemd is told so by the exit status.
    with pytest.raises(UnavailableError, match="another program serves there; end it, or take another port"):
        MonitorServer(f"127.0.0.1:{urlsplit(server.url).port}", state)


def test_an_open_page_does_not_keep_the_line_from_ending(state: LineState) -> None:
    with MonitorServer("127.0.0.1:0", state) as server:
        parts = urlsplit(server.url)
        # One client reads, one asks and never reads: both are still there at the end.
        reading = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=30)
        reading.request("GET", "/events")
        assert reading.getresponse().readline()
        idle = socket.create_connection((str(parts.hostname), int(parts.port or 0)))
        idle.sendall(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert "monitor" not in {thread.name for thread in threading.enumerate()}
    reading.close()
    idle.close()
