"""The real server over real connections; a real browser where one is installed."""

from __future__ import annotations

import http.client
import io
import json
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
from browser import CHROMIUM, TOKEN, browser
from PIL import Image
from prometheus_client.parser import text_string_to_metric_families

from realnet_edge.camera import CameraState, Inspection
from realnet_edge.errors import ConfigError
from realnet_edge.monitor import LineState, MonitorServer


def ask(
    server: MonitorServer, path: str, method: str = "GET", **headers: str
) -> tuple[int, dict[str, str], bytes]:
    parts = urlsplit(server.url)
    connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=30)
    connection.request(method, path, headers=headers)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, {name.lower(): value for name, value in answer.getheaders()}, body


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
    for path, kind in (("/", "text/html"), ("/page.js", "text/javascript"), ("/page.css", "text/css")):
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
    for path, index in (("/frame.jpg", 39), ("/defects/13.jpg", 13)):
        status, headers, body = ask(server, path)
        assert (status, headers["content-type"]) == (200, "image/jpeg")
        with Image.open(io.BytesIO(body)) as picture:
            assert picture.width == 80
            corner = np.asarray(picture)[2, 2]
        np.testing.assert_allclose(corner, 40 + index, atol=6)
    assert ask(server, "/defects/14.jpg")[0] == 404


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
    state.waiting = lambda: {"mqtt://broker/": 2}
    status, headers, body = ask(server, "/metrics")
    assert status == 200
    assert headers["content-type"].startswith("text/plain")
    samples = {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(body.decode())
        for sample in family.samples
    }
    assert samples["realnet_edge_frames_total", (("verdict", "defect"),)] == 4
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
    assert ask(server, "/", "POST")[0] == 405


def test_a_page_of_elsewhere_cannot_read_the_line(server: MonitorServer) -> None:
    """DNS rebinding: the name that a browser was told to be this machine's."""
    assert ask(server, "/", Host="evil.example")[0] == 403
    assert ask(server, "/", Host="localhost:1")[0] == 200


def test_a_token_is_asked_for_and_kept_in_a_cookie(guarded: MonitorServer) -> None:
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Cookie": "realnet_edge_token=wrong"}):
        assert ask(guarded, "/events", **headers)[0] == 401
    assert ask(guarded, "/?token=wrong")[0] == 401
    assert ask(guarded, "/metrics", Authorization=f"Bearer {TOKEN}")[0] == 200
    status, headers, _ = ask(guarded, f"/?token={TOKEN}")
    assert (status, headers["location"]) == (303, "/")
    assert "httponly" in headers["set-cookie"].lower()
    assert "samesite=strict" in headers["set-cookie"].lower()
    cookie = headers["set-cookie"].partition(";")[0]
    assert ask(guarded, "/", Cookie=cookie)[0] == 200
    # Supervisors ask without one.
    assert ask(guarded, "/readyz")[0] == 200


@pytest.mark.parametrize(
    ("address", "token", "message"),
    [
        ("0.0.0.0:0", None, "can be reached by other machines"),
        ("192.0.2.1:0", None, "can be reached by other machines"),
        ("127.0.0.1", None, "is no HOST:PORT"),
        ("127.0.0.1:99999", None, "is no HOST:PORT"),
        ("127.0.0.1:0", "short", "has 5 characters: give at least 16"),
        ("192.0.2.1:0", TOKEN, "cannot be served"),
    ],
)
def test_what_is_not_safe_or_not_possible_is_refused(
    state: LineState, address: str, token: str | None, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        MonitorServer(address, state, token)


def test_a_port_that_is_taken_is_said(server: MonitorServer, state: LineState) -> None:
    with pytest.raises(ConfigError, match="take another port"):
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


@pytest.mark.skipif(CHROMIUM is None, reason="no browser: apt install chromium")
def test_a_browser_shows_the_line_and_follows_it(
    server: MonitorServer, state: LineState, inspected: Callable[..., Inspection], tmp_path: Path
) -> None:
    with browser(tmp_path) as page:
        page.open(server.url, 1280, 900)
        page.wait("document.getElementById('good').textContent === '35'")
        assert page.evaluate("document.getElementById('category').textContent") == "bracket"
        trend = page.evaluate("document.getElementById('trend-text').textContent")
        assert trend == "Last 39 scores, 4 above the threshold of 0.5000 (dashed)"
        page.wait("[...document.images].every((one) => one.complete && one.naturalWidth > 0)")
        assert page.evaluate("document.querySelectorAll('#defects img').length") == 4
        # It follows without being asked.
        state(inspected(40, 0.8))
        state.on_alarm("engine toy: execution failed")
        page.wait("document.getElementById('verdict').textContent === 'defect, score 0.800'")
        assert page.evaluate("document.getElementById('alarm').innerText") == "engine toy: execution failed"
        assert page.evaluate("document.querySelectorAll('#defects img').length") == 5


@pytest.mark.skipif(CHROMIUM is None, reason="no browser: apt install chromium")
@pytest.mark.parametrize("dark", [False, True])
def test_the_page_fits_a_phone_and_can_be_read(server: MonitorServer, tmp_path: Path, dark: bool) -> None:
    with browser(tmp_path) as page:
        page.open(server.url, 390, 800, dark)
        page.wait("document.getElementById('good').textContent === '35'")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        assert page.evaluate("[...document.images].every((one) => one.alt)")
        assert page.evaluate("document.documentElement.lang") == "en"
        # WCAG 2: text on its background, at least 4.5 to 1.
        contrast = page.evaluate(_CONTRAST)
        assert len(contrast) > 20
        assert min(contrast) >= 4.5
        # The defects can be reached by keyboard, each with a name.
        names = page.evaluate("[...document.querySelectorAll('a')].map((one) => one.textContent.trim())")
        assert len(names) == 4
        assert all(names)


_CONTRAST = """
(() => {
  const light = (colour) => {
    const parts = colour.match(/[0-9.]+/g).slice(0, 3).map((part) => part / 255);
    const linear = parts.map((p) => (p <= 0.04045 ? p / 12.92 : ((p + 0.055) / 1.055) ** 2.4));
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
  };
  const behind = (element) => {
    for (let one = element; one; one = one.parentElement) {
      const colour = getComputedStyle(one).backgroundColor;
      if (!colour.endsWith(", 0)")) return colour;
    }
    return "rgb(255, 255, 255)";
  };
  const texts = [...document.querySelectorAll("h1, h2, p, dt, dd, a")].filter((one) => one.innerText);
  return texts.map((one) => {
    const both = [light(getComputedStyle(one).color), light(behind(one))].sort((x, y) => y - x);
    return (both[0] + 0.05) / (both[1] + 0.05);
  });
})()
"""
