"""`run` on what sends frames by itself, and the options that say what is seen of them."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from camera_peers import MjpegServer, jpeg, steady
from click.testing import Result
from PIL import Image
from waiting_peers import free_port, wait

from realnet_edge.camera import Source
from realnet_edge.cli.source import open_cameras, read_specs
from realnet_edge.errors import DataError


def test_every_option_reaches_the_source(monkeypatch: pytest.MonkeyPatch, run: Callable[..., Result]) -> None:
    asked: list[object] = []

    def opened(*arguments: object) -> Source:
        asked.extend(arguments)
        raise DataError("seen enough")

    monkeypatch.setattr("realnet_edge.cli.run.open_cameras", opened)
    run("--source", "rtsp://cam/x", "--timeout", 1.5, "--region", "30,0,20,40", "--rotate", 90)
    assert asked[:4] == [{None: "rtsp://cam/x"}, 1.5, ((None, (30, 0, 20, 40)),), ((None, 90),)]


def test_timeout_region_and_rotation_are_what_the_source_has(tmp_path: Path) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (40, 80, 3), np.uint8)
    Image.fromarray(picture).save(tmp_path / "part.png")
    (viewed,) = open_cameras({None: str(tmp_path / "part.png")}, 5.0, [(None, (30, 0, 20, 40))], [(None, 90)])
    frame = next(viewed.frames())
    np.testing.assert_array_equal(frame.image, np.rot90(picture[:, 30:50], -1))
    assert frame.camera is None
    (camera,) = open_cameras({None: "rtsp://cam/x"}, 1.5)
    assert camera.source._connect._timeout == 1.5  # type: ignore[attr-defined]


def test_each_camera_has_its_own_view_or_that_of_all(tmp_path: Path) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (40, 80, 3), np.uint8)
    Image.fromarray(picture).save(tmp_path / "part.png")
    part = str(tmp_path / "part.png")
    cameras = open_cameras(
        {"left": part, "right": part, "top": part},
        5.0,
        [(None, (0, 0, 20, 10)), ("right", (30, 5, 8, 9))],
        [("top", 180)],
    )
    frames = [next(camera.frames()) for camera in cameras]
    assert [frame.camera for frame in frames] == ["left", "right", "top"]
    for frame, expected in zip(
        frames, [picture[:10, :20], picture[5:14, 30:38], picture[:10, :20][::-1, ::-1]], strict=True
    ):
        np.testing.assert_array_equal(frame.image, expected)


def test_names_are_told_from_paths_and_addresses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert read_specs(["left=watch:in", "top_2=v4l2src device=/dev/video0 ! queue"]) == {
        "left": "watch:in",
        "top_2": "v4l2src device=/dev/video0 ! queue",
    }
    for spec in ("rtsp://cam/x?token=1", "v4l2src device=/dev/video0 ! queue", "watch:a=b", "./a=b"):
        assert read_specs([spec]) == {None: spec}
    assert read_specs(["a=b"]) == {"a": "b"}
    (tmp_path / "a=b").mkdir()
    assert read_specs(["a=b"]) == {None: "a=b"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--region", "1,2,3"], "'1,2,3' is not X,Y,WIDTH,HEIGHT"),
        (["--region", "0,0,0,9"], "width and height at least 1"),
        (["--rotate", "45"], "'45' is not one of"),
        (["--rotate", "left=90"], "--rotate left=...: no such camera; those of --source: none has a name"),
        (["--rotate", "90", "--rotate", "0"], "--rotate is given twice"),
        (["--source", "left=x"], "with several each needs a name"),
        (["--source", "left="], "nothing follows the name"),
        (["--batch", "9"], "takes 1 to 4 images at a time"),
        (["--batch", "0"], "0 is not in the range x>=1"),
        (["--batch-wait", "-1"], "-1.0 is not in the range 0<=x<=1000"),
        (["--timeout", "0"], "give a number of seconds above 0"),
        (["--timeout", "nan"], "give a number of seconds above 0"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    run: Callable[..., Result], parts: Path, options: list[str], message: str
) -> None:
    done = run("--source", parts, *options)
    assert done.exit_code == 2
    assert message in done.stderr


@pytest.mark.parametrize(
    ("package", "options", "extra"),
    [
        ("av", ["--source", "rtsp://cam/x"], "camera"),
        ("paho", ["--mqtt", "mqtt://host"], "camera"),
        ("paho", ["--trigger", "mqtt://host/part"], "camera"),
        ("starlette", ["--trigger", "http://127.0.0.1:0/"], "web"),
        ("harvesters", ["--source", "genicam:0"], "genicam"),
        ("asyncua", ["--opcua", "opc.tcp://127.0.0.1"], "plc"),
        ("pymodbus", ["--modbus", "modbus://host/1/0"], "plc"),
        ("uvicorn", ["--web", "127.0.0.1:0"], "web"),
        ("starlette", ["--web", "127.0.0.1:0"], "web"),
        ("prometheus_client", ["--web", "127.0.0.1:0"], "web"),
    ],
)
def test_a_package_that_is_not_there_is_named_with_its_extra(
    bundle: Path, parts: Path, package: str, options: list[str], extra: str
) -> None:
    """In a process of its own: here the packages are imported already."""
    source = [] if "--source" in options else ["--source", str(parts)]
    arguments = ["run", "--bundle", str(bundle), *source, *options]
    program = (
        f"import sys; sys.modules[{package!r}] = None; sys.argv[1:] = {arguments!r}; "
        "from realnet_edge.cli.main import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 1
    assert f"'{package}', which is not installed" in done.stderr
    assert f"pip install 'realnet-edge[{extra}]'" in done.stderr


def test_two_sources_of_one_name_are_refused(run: Callable[..., Result], parts: Path) -> None:
    done = run("--source", f"left={parts}", "--source", f"left={parts}")
    assert done.exit_code == 2
    assert "two have the same name (left, left)" in done.stderr


def test_several_cameras_are_told_apart_in_results_summary_and_messages(
    run: Callable[..., Result], parts: Path, tmp_path: Path
) -> None:
    sources = ["--source", f"left={parts}", "--source", f"right={parts}/part[0-4].png"]
    done = run(*sources, "--batch", 4, "--batch-wait", 0, "--region", "right=0,0,30,30", "--json")
    assert done.exit_code == 0, done.stderr
    document = json.loads(done.stdout)
    assert [document[key] for key in ("frames", "good", "defects", "not_inspected")] == [16, 12, 3, 1]
    assert document["source"] is None
    assert document["cameras"]["right"] == {
        "source": f"{parts}/part[0-4].png",
        "frames": 5,
        "good": 4,
        "defects": 1,
        "not_inspected": 0,
        "dropped": 0,
        "reconnects": 0,
    }
    of = [line["camera"] for line in document["inspections"]]
    assert (of.count("left"), of.count("right")) == (11, 5)
    assert "Camera left: 11 frames, 8 good, 2 defect, 1 not inspected" in done.stderr
    refused = run(*sources, "--save", tmp_path / "marked.mp4")
    assert refused.exit_code == 2
    assert "a video is of one camera" in refused.stderr


def test_batch_options_reach_the_line(
    monkeypatch: pytest.MonkeyPatch, run: Callable[..., Result], parts: Path
) -> None:
    asked: list[object] = []

    def line(*arguments: object) -> None:
        asked.extend(arguments)
        raise DataError("seen enough")

    monkeypatch.setattr("realnet_edge.camera.run_line", line)
    run("--source", parts, "--batch", 3, "--batch-wait", 20)
    assert asked[-2:] == [3, 0.02]
    assert asked[0]._batch == 3  # type: ignore[attr-defined]


def test_a_camera_that_was_never_there_does_not_keep_the_run_from_stopping(
    bundle: Path, tmp_path: Path
) -> None:
    """Beside one that nobody answers and one that sends; every result is there, and named."""
    server = MjpegServer(lambda: steady([jpeg(20)] * 5000))
    out = tmp_path / "results.jsonl"
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        addresses = {
            "there": server.url,
            "refused": f"rtsp://127.0.0.1:{free_port()}/x",
            "mute": f"http://127.0.0.1:{mute.getsockname()[1]}/x",
        }
        command = [sys.executable, "-m", "realnet_edge", "run", "--bundle", str(bundle), "--timeout", "600"]
        for name, address in addresses.items():
            command += ["--source", f"{name}={address}"]
        process = subprocess.Popen(
            [*command, "--out", str(out), "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        wait(lambda: process.poll() is not None or (out.exists() and out.read_bytes().count(b"\n") > 8))
        process.send_signal(signal.SIGINT)
        printed, said = process.communicate(timeout=60)
    server.close()
    assert process.returncode == 0, said
    summary = json.loads(printed)
    assert summary["ended"] == "stopped"
    assert summary["frames"] == summary["cameras"]["there"]["frames"] == out.read_bytes().count(b"\n")
    assert [summary["cameras"][name]["frames"] for name in ("refused", "mute")] == [0, 0]
    assert f"Camera there ({server.url}): connected" in said
    assert f"Camera refused ({addresses['refused']}): not there (" in said


def test_a_stream_is_inspected_until_it_is_stopped(bundle: Path, tmp_path: Path) -> None:
    """The real command on a camera that breaks off again and again, and Ctrl-C."""
    server = MjpegServer(lambda: steady([jpeg(20)] * 8))
    out = tmp_path / "results.jsonl"
    source = server.url.replace("http://", "http://user:${CAMERA_PASSWORD}@")
    command = [sys.executable, "-m", "realnet_edge", "run", "--bundle", str(bundle), "--source", source]
    process = subprocess.Popen(
        [*command, "--out", str(out), "--json"],
        env={**os.environ, "CAMERA_PASSWORD": "secret"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    end = time.monotonic() + 100
    while not (out.exists() and len(out.read_text().splitlines()) > 8):
        assert time.monotonic() < end
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    printed, said = process.communicate(timeout=60)
    server.close()
    assert process.returncode == 0, said
    summary, lines = json.loads(printed), out.read_text().splitlines()
    assert summary["ended"] == "stopped"
    assert summary["reconnects"] >= 1
    assert summary["frames"] == len(lines)
    assert {json.loads(line)["verdict"] for line in lines} <= {"good", "defect"}
    address = server.url.replace("http://", "http://user@")
    assert f"Camera {address}: connected" in said
    assert f"Camera {address}: not there (" in said
    assert "secret" not in said + printed + out.read_text()
