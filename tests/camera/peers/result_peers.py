"""Those who get results, to test against: an HTTP server in this process, and the broker mosquitto."""

from __future__ import annotations

import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import paho.mqtt.client as paho
from waiting_peers import PATIENCE_S, HttpServer, Silent, free_port


class Receiver(HttpServer):
    """Answers POST requests with the codes in `answers`, the last one for ever."""

    def __init__(self, answers: list[int], port: int = 0) -> None:
        self.got: list[tuple[dict[str, str], bytes]] = []
        receiver = self

        class Handler(Silent, BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                code = answers.pop(0) if len(answers) > 1 else answers[0]
                receiver.got.append((dict(self.headers), body))
                self.send_response(code)
                self.send_header("Location", "/elsewhere")
                self.end_headers()

        super().__init__(Handler, "/results?key=hidden", port)


def has_mosquitto() -> bool:
    return all(
        shutil.which(name, path="/usr/sbin:/usr/bin") for name in ("mosquitto", "mosquitto_passwd", "openssl")
    )


class Mosquitto:
    """A broker with TLS, for user `line` with password `secret`; it can be killed and started again."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.ca = folder / "cert.pem"
        key, users = folder / "key.pem", folder / "users"
        subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
        _run("openssl", "req", "-x509", "-nodes", "-newkey", "rsa:2048", "-days", "2", *subject,
             "-keyout", key, "-out", self.ca)  # fmt: skip
        _run("mosquitto_passwd", "-b", "-c", users, "line", "secret")
        for path in (key, users):
            path.chmod(0o644)
        self._config = folder / "mosquitto.conf"
        self._config.write_text(
            f"listener {self.port} 127.0.0.1\nallow_anonymous false\npassword_file {users}\n"
            f"certfile {self.ca}\nkeyfile {key}\nuser root\n"
        )
        self.address = f"mqtts://line:secret@localhost:{self.port}/plant"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(
            [str(_program("mosquitto")), "-c", str(self._config)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def kill(self) -> None:
        if self._process:
            self._process.kill()
            self._process.wait()

    @contextmanager
    def subscribed(self) -> Iterator[list[tuple[str, bytes]]]:
        """What is published under plant/, from now on and retained."""
        got: list[tuple[str, bytes]] = []
        there = threading.Event()
        client = paho.Client(paho.CallbackAPIVersion.VERSION2)
        client.username_pw_set("line", "secret")
        client.tls_set(str(self.ca))
        client.on_message = lambda _client, _data, message: got.append((message.topic, message.payload))
        client.on_connect = lambda client, *_: client.subscribe("plant/#", qos=1)
        client.on_subscribe = lambda *_: there.set()
        client.reconnect_delay_set(1, 1)
        client.loop_start()
        end = time.monotonic() + PATIENCE_S
        while True:
            try:
                client.connect("localhost", self.port)
                break
            except OSError:
                assert time.monotonic() < end
                time.sleep(0.05)
        assert there.wait(PATIENCE_S)
        try:
            yield got
        finally:
            client.disconnect()
            client.loop_stop()


def _run(program: str, *arguments: object) -> None:
    subprocess.run([str(_program(program)), *map(str, arguments)], check=True, capture_output=True)


def _program(name: str) -> str | None:
    """Debian keeps the broker where an ordinary user's path does not lead."""
    return shutil.which(name, path="/usr/sbin:/usr/bin")
