"""Requests that no browser sends, over real connections to the page of a real run."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from realnet_edge.bundle import Bundle

TOKEN = "a-token-of-23-characters"  # noqa: S105  # of this test's server


def get(path: str, method: str = "GET", host: str = "127.0.0.1", **headers: object) -> bytes:
    """A request; an underscore in a header's name stands for a hyphen."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def raw(*lines: bytes) -> bytes:
    return b"\r\n".join(lines) + b"\r\n\r\n"


HOST = b"Host: 127.0.0.1"
# Of a server that shows itself to its own machine: the request, and the statuses that are right.
OPEN: dict[str, tuple[bytes, set[int]]] = {
    # Paths.
    "dots": (get("/../../etc/passwd"), {404}),
    "dots, encoded": (get("/%2e%2e/%2e%2e/etc/passwd"), {404}),
    "slashes, encoded": (get("/..%2f..%2fetc%2fpasswd"), {404}),
    "a file of the package": (get("/app.py"), {404}),
    "a folder of the package": (get("/static/page.html"), {404}),
    "dots behind a picture": (get("/defects/../../x.jpg"), {404}),
    "a picture below zero": (get("/defects/-1.jpg"), {404}),
    "a picture that nobody has": (get(f"/defects/{'9' * 30}.jpg"), {404}),
    "a number of 5000 digits": (get(f"/defects/{'9' * 5000}.jpg"), {404}),
    "a number that is none": (get("/defects/1e3.jpg"), {404}),
    "a digit of another script": (get("/defects/%D9%A3.jpg"), {404}),
    "a zero byte": (get("/defects/%00.jpg"), {404}),
    "not UTF-8": (get("/%ff%fe"), {404}),
    "two slashes": (get("//evil.example/"), {404}),
    "another server's address": (get("http://evil.example/"), {403, 404}),
    "100 kB of path": (get(f"/{'a' * 100_000}"), {404, 414, 431}),
    "a control character": (raw(b"GET /\x01 HTTP/1.1", HOST), {400}),
    "a space": (raw(b"GET /a b HTTP/1.1", HOST), {400}),
    # Methods.
    "POST": (get("/", "POST"), {403, 405}),
    "DELETE": (get("/metrics", "DELETE"), {403, 405}),
    "PUT": (get("/frame.jpg", "PUT"), {403, 405}),
    "TRACE": (get("/", "TRACE"), {403, 405}),
    "CONNECT": (get("evil.example:443", "CONNECT"), {403, 404, 405}),
    "a method of nobody's": (get("/", "BREW"), {403, 405}),
    # Hosts: a page of elsewhere must not read the line through a browser on this machine.
    "another host": (get("/", host="evil.example"), {403}),
    "a host that begins like this machine": (get("/", host="127.0.0.1.evil.example"), {403}),
    "a host with an underscore": (get("/", host="a_b.evil.example"), {403}),
    "this machine as one number": (get("/", host="2130706433"), {403}),
    "70 kB of host": (get("/", host="a" * 70_000), {400, 403, 431}),
    "no host": (raw(b"GET / HTTP/1.1"), {400}),
    "two hosts": (raw(b"GET / HTTP/1.1", HOST, b"Host: evil.example"), {400}),
    # Headers and bodies.
    "20,000 headers": (raw(b"GET / HTTP/1.1", HOST, *(b"X-%d: 1" % n for n in range(20_000))), {400, 431}),
    "a header with a zero byte": (raw(b"GET / HTTP/1.1", HOST, b"X: a\0b"), {400}),
    "a length below zero": (get("/", Content_Length=-1), {400}),
    "a length that is none": (get("/", Content_Length="many"), {400}),
    "two lengths": (raw(b"GET / HTTP/1.1", HOST, b"Content-Length: 3", b"Content-Length: 4"), {400}),
    "an unknown coding": (get("/", Transfer_Encoding="gzip"), {400, 501}),
    "a body of a terabyte": (get("/", "POST", Content_Length=10**12) + b"x" * 100_000, {403, 405, 413}),
    # Something else than HTTP.
    "HTTP 0.9": (b"GET /\r\n\r\n", {400}),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 600, {400}),
    "rubbish": (bytes(range(128, 256)) + b"\r\n\r\n", {400}),
}
# Of a server that asks for a token, before or after it has lost its patience with this address.
REFUSED = {401, 429}
GUARDED: dict[str, tuple[bytes, set[int]]] = {
    "no token": (get("/"), REFUSED),
    "events without a token": (get("/events"), REFUSED),
    "metrics without a token": (get("/metrics"), REFUSED),
    "a path by way of one that is open": (get("/healthz/../metrics"), REFUSED),
    "an open path in capitals": (get("/HEALTHZ"), REFUSED),
    "a wrong token": (get("/", Authorization="Bearer nope"), REFUSED),
    "a part of the token": (get("/", Authorization=f"Bearer {TOKEN[:-1]}"), REFUSED),
    "more than the token": (get("/", Authorization=f"Bearer {TOKEN}x"), REFUSED),
    "a token of another scheme": (get("/", Authorization=f"Basic {TOKEN}"), REFUSED),
    "a token of other letters": (get("/", Authorization="Bearer \xff\xfe"), REFUSED),
    "a cookie of nobody's": (get("/", Cookie="realnet_edge_token=x"), REFUSED),
    "a cookie that is none": (get("/", Cookie="=;;;=\xff"), REFUSED),
    "a wrong token in the address": (get("/?token=x"), REFUSED),
    "half a character for a token": (get("/?token=%ed%a0%80"), REFUSED),
}


@contextmanager
def page_of_a_run(bundle: Path, folder: Path, *options: str) -> Iterator[int]:
    """The port of the page of a run in a process of its own, which waits for parts."""
    command = [sys.executable, "-m", "realnet_edge", "run", "--bundle", str(bundle), "--threads", "1"]
    command += ["--source", f"watch:{folder}", "--web", "127.0.0.1:0", *options]
    with subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True) as line:
        assert line.stderr is not None
        said: list[str] = []
        port = None
        while port is None:
            said.append(line.stderr.readline())
            assert said[-1], "".join(said)
            found = re.search(r"http://127\.0\.0\.1:(\d+)/", said[-1])
            port = int(found[1]) if found else None
        # Read on, or a full pipe would stop the line.
        reader = threading.Thread(target=lambda stream: said.extend(stream), args=(line.stderr,))
        reader.start()
        yield port
        line.terminate()
        assert line.wait(30) == 0, "".join(said)
        reader.join()


@pytest.fixture(scope="module")
def bundle(toy_bundle: Callable[..., Bundle], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy_bundle(tmp_path_factory.mktemp("bundle") / "b").path


@pytest.fixture(scope="module")
def open_port(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with page_of_a_run(bundle, tmp_path_factory.mktemp("open")) as port:
        yield port


@pytest.fixture(scope="module")
def guarded_port(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    folder = tmp_path_factory.mktemp("guarded")
    token = folder / "token"
    token.write_text(TOKEN)
    with page_of_a_run(bundle, folder, "--web-token", str(token)) as port:
        yield port


def answer(port: int, request: bytes) -> bytes:
    """The status line and headers of the answer."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        # It may answer without listening to the end.
        with suppress(ConnectionError):
            connection.sendall(request)
        found = b""
        while b"\r\n\r\n" not in found:
            try:
                more = connection.recv(4096)
            except ConnectionResetError:
                more = b""
            if not more:
                break
            found += more
    return found.partition(b"\r\n\r\n")[0]


def status(port: int, request: bytes) -> int:
    line = re.match(rb"HTTP/1\.1 (\d{3}) ", answer(port, request))
    assert line is not None, "no answer in HTTP"
    return int(line[1])


@pytest.mark.parametrize(("request_", "right"), OPEN.values(), ids=OPEN)
def test_a_request_that_no_browser_sends_gets_its_answer(
    request_: bytes, right: set[int], open_port: int
) -> None:
    assert status(open_port, request_) in right
    # And the next one finds the page where it was.
    assert status(open_port, get("/healthz")) == 200


def test_the_token_lets_in_and_leads_nowhere_else(guarded_port: int) -> None:
    assert status(guarded_port, get("/metrics", Authorization=f"Bearer {TOKEN}")) == 200
    found = answer(guarded_port, get(f"//evil.example/?token={TOKEN}"))
    (place,) = re.findall(rb"^location: (.*)$", found, re.IGNORECASE | re.MULTILINE)
    assert not place.startswith(b"//")


@pytest.mark.parametrize(("request_", "right"), GUARDED.values(), ids=GUARDED)
def test_who_has_no_token_gets_nothing(request_: bytes, right: set[int], guarded_port: int) -> None:
    assert status(guarded_port, request_) in right
