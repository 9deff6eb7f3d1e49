"""`run` on parts: announced, sent, or dropped into a folder; the real command and real requests."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from camera_peers import MjpegServer, jpeg, steady
from click.testing import Result
from PIL import Image
from result_peers import Mosquitto, has_mosquitto
from trigger_peers import ask
from waiting_peers import wait

from realnet_edge.cli.parts import PartOptions, Parts
from realnet_edge.cli.source import open_cameras

TOKEN = "a-token-of-more-than-16"  # noqa: S105  # the test's own


@pytest.fixture
def camera() -> Iterator[MjpegServer]:
    server = MjpegServer(lambda: steady([jpeg(20)] * 100_000))
    yield server
    server.close()


class Running:
    """The command, with what it says and what it has written."""

    def __init__(self, bundle: Path, folder: Path, *arguments: object) -> None:
        self.out, self._said = folder / "results.jsonl", folder / "said"
        command = [sys.executable, "-m", "realnet_edge", "run", "--bundle", bundle, "--out", self.out]
        with self._said.open("w") as said:
            self._process = subprocess.Popen(
                [*map(str, command), *map(str, arguments)], stderr=said, cwd=folder
            )

    def said(self) -> str:
        return self._said.read_text()

    def wait_for(self, text: str) -> None:
        wait(lambda: text in self.said() or self._process.poll() is not None, self.said)
        assert text in self.said(), self.said()

    def after(self, text: str) -> str:
        """The rest of the line that begins with this."""
        self.wait_for(text)
        return self.said().split(text)[1].split("\n")[0]

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.read_text().splitlines()] if self.out.exists() else []

    def stop(self) -> int:
        self._process.send_signal(signal.SIGINT)
        return self._process.wait(60)


@contextmanager
def running(bundle: Path, folder: Path, *arguments: object) -> Iterator[Running]:
    opened = Running(bundle, folder, *arguments)
    try:
        yield opened
    finally:
        opened._process.kill()
        opened._process.wait()


def test_parts_announced_over_http_are_inspected_by_every_camera(
    bundle: Path, tmp_path: Path, camera: MjpegServer
) -> None:
    (tmp_path / "token").write_text(TOKEN + "\n")
    cameras = ["--source", f"left={camera.url}", "--source", "right=rtsp://127.0.0.1:9/x"]
    trigger = ["--trigger", "http://127.0.0.1:0/", "--trigger-token", tmp_path / "token"]
    # Long enough for the one that is there, however busy this machine is.
    with running(bundle, tmp_path, *cameras, *trigger, "--trigger-wait", "3") as line:
        url = line.after("Trigger: POST ").removesuffix("trigger")
        line.wait_for(f"Camera left ({camera.url}): connected")
        bearer = {"Authorization": f"Bearer {TOKEN}"}
        for name in ("A17", "A18"):
            assert ask(url, "/trigger", name.encode(), bearer)[0] == 202
            wait(lambda name=name: [one["id"] for one in line.lines()].count(name) == 2, line.lines)
        assert ask(url, "/trigger", b"A19")[0] == 401
        assert line.stop() == 0
    found = {(one["id"], one["camera"]): one for one in line.lines()}
    assert set(found) == {(part, side) for part in ("A17", "A18") for side in ("left", "right")}
    assert [found[part, "left"]["verdict"] for part in ("A17", "A18")] == ["good", "good"]
    assert found["A17", "right"]["verdict"] == "not_inspected"
    assert found["A17", "right"]["error"] == "no picture came within 3 s"
    assert "4 frames (stopped): 2 good, 0 defect, 2 not inspected" in line.said()


@pytest.mark.skipif(not has_mosquitto(), reason="mosquitto or openssl is not installed")
def test_parts_announced_over_mqtt_are_inspected_once_each(
    bundle: Path, tmp_path: Path, camera: MjpegServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker = Mosquitto(tmp_path)
    broker.start()
    monkeypatch.setenv("LINE_PASSWORD", "secret")
    address = f"mqtts://line:${{LINE_PASSWORD}}@localhost:{broker.port}/plant/part"
    trigger = ["--trigger", address, "--trigger-ca", broker.ca, "--trigger-delay", "0.3"]
    more = ["--trigger-wait", "30", "--web", "127.0.0.1:0"]
    with running(bundle, tmp_path, "--source", camera.url, *trigger, *more) as line:
        line.wait_for("Trigger: connected")
        line.wait_for(f"Camera {camera.url}: connected")
        publish(broker, "A1", "A1")
        wait(lambda: len(line.lines()) == 1, line.said)
        publish(broker, "A2")
        wait(lambda: len(line.lines()) == 2, line.said)
        page = line.after("Live page: ")
        assert ask(page, "/readyz", method="GET")[0] == 200
        broker.kill()
        line.wait_for("Trigger: not there (")
        code, found = ask(page, "/readyz", method="GET")
        assert (code, found["reason"].split()[0]) == (503, "trigger")
        assert line.stop() == 0
    assert [(one["id"], one["verdict"]) for one in line.lines()] == [("A1", "good"), ("A2", "good")]
    assert "secret" not in line.said()


def publish(broker: Mosquitto, *messages: str) -> None:
    import paho.mqtt.publish

    for message in messages:
        paho.mqtt.publish.single(
            "plant/part",
            message,
            qos=1,
            hostname="localhost",
            port=broker.port,
            auth={"username": "line", "password": "secret"},
            tls={"ca_certs": str(broker.ca)},
        )


def test_pictures_are_posted_and_the_verdict_is_the_answer(bundle: Path, tmp_path: Path) -> None:
    region = ["--region", "0,0,32,32"]
    with running(bundle, tmp_path, "--source", "post://127.0.0.1:0", *region) as line:
        url = line.after("Parts: POST ")
        # Until the engine is built the line says that it does not inspect.
        wait(lambda: ask(url, "/inspect?id=first", jpeg(20))[0] == 200, line.said)
        code, found = ask(url, "/inspect?id=A17", jpeg(255))
        assert (code, found["verdict"], found["id"]) == (200, "defect", "A17")
        assert ask(url, "/inspect", b"no picture")[0] == 415
        assert line.stop() == 0
    first, second = line.lines()
    assert (first["id"], first["verdict"]) == ("first", "good")
    assert second == found


def test_watched_files_are_inspected_once_over_restarts(run: Callable[..., Result], tmp_path: Path) -> None:
    folder, memory = tmp_path / "parts", tmp_path / "memory.db"
    folder.mkdir()
    for name in ("a", "b", "c"):
        Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(folder / f"{name}.png")
    arguments = ["--source", f"watch:{folder}", "--inspected", memory]
    found = []
    for limit in (1, 2):
        done = run(*arguments, "--limit", limit)
        assert done.exit_code == 0, done.stderr
        found.append([json.loads(line)["id"] for line in done.stdout.splitlines()])
    assert found == [["a.png"], ["b.png", "c.png"]]


def test_a_genicam_camera_is_inspected(run: Callable[..., Result]) -> None:
    genicam = pytest.importorskip("genicam", reason="no GenICam: pip install 'realnet-edge[genicam]'")
    producer = Path(str(genicam.__file__)).parent / "viky.cti"
    done = run("--source", "genicam:0", "--genicam-producer", producer, "--limit", 2)
    assert done.exit_code == 0, done.stderr
    assert [json.loads(line)["verdict"] for line in done.stdout.splitlines()] == ["defect", "defect"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            ["--trigger", "ftp://user:secret@host/x"],
            "--trigger ftp://user@host/x: valid are mqtt://HOST/TOPIC",
        ),
        (["--trigger", "mqtt://host"], "names no topic"),
        (["--trigger", "mqtt://host/x", "--trigger-wait", "0"], "valid are more than 0"),
        (["--trigger", "mqtt://host/x", "--trigger-delay", "-1"], "0 up to 600 s"),
        (["--trigger", "mqtt://u:${NO_SUCH}@host/x"], "--trigger asks for ${NO_SUCH}"),
        (["--trigger", "http://0.0.0.0:0/"], "(--trigger-token)"),
        (["--trigger", "http://127.0.0.1:0/", "--trigger-ca", "x.pem"], "--trigger-ca is for"),
        (["--trigger-token", "no-such-file"], "--trigger-token no-such-file: cannot be read"),
        (["--trigger-token", sys.executable], "cannot be read (not text)"),
        (["--trigger", "mqtt://host/x", "--trigger-token", __file__], "--trigger-token is for"),
        (["--inspected", "x.db"], "--inspected is for a source watch:FOLDER"),
    ],
)
def test_what_cannot_be_meant_is_refused(run: Callable[..., Result], options: list[str], said: str) -> None:
    done = run("--source", "rtsp://127.0.0.1:9/x", *options)
    assert done.exit_code == 2, done.stderr
    assert said in done.stderr


def test_of_a_camera_that_is_triggered_itself_each_picture_is_a_part() -> None:
    with ExitStack() as stack:
        parts = Parts(stack, PartOptions(trigger="camera"), "toy")
        (camera,) = open_cameras({None: "rtsp://cam/x"}, 5.0, [(None, (0, 0, 8, 8))], parts=parts)
        assert (camera.source.live, camera.source.triggered) == (True, True)


def test_of_files_each_one_is_a_part_already(run: Callable[..., Result], parts: Path) -> None:
    done = run("--source", parts, "--trigger", "mqtt://host/x")
    assert done.exit_code == 2
    assert "of files each one is a part already" in done.stderr
    done = run("--source", parts, "--trigger", "camera")
    assert done.exit_code == 2
    assert "is for cameras, not for files" in done.stderr


def test_a_region_outside_the_picture_is_said_once(run: Callable[..., Result], parts: Path) -> None:
    done = run("--source", parts, "--region", "0,0,9999,9999")
    assert done.exit_code == 1
    assert done.stderr.count("its frames are not inspected") == 1
    errors = [json.loads(line)["error"] for line in done.stdout.splitlines()]
    assert all("does not lie in" in error for error in errors[:-1])
