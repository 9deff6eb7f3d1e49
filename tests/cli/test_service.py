"""The unit file that `service` prints, judged by systemd's own tools, and what it starts."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from realnet_edge.bundle import Bundle
from realnet_edge.cli.main import cli
from realnet_edge.cli.unit_file import quoted

needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="needs systemd's systemd-analyze"
)
CAMERA = "rtsp://viewer:${CAMERA_PASSWORD}@camera/1?quality=100%"


@pytest.fixture(autouse=True)
def workspace(toy_bundle: Callable[..., Bundle], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with a bundle of category toy in its workspace."""
    toy_bundle(tmp_path / "workspace" / "toy" / "bundles" / "onnxruntime-fp32")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def service(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["service", *map(str, arguments)])


def unit(*arguments: object) -> str:
    done = service("--category", "toy", *arguments)
    assert done.exit_code == 0, done.stderr
    return done.stdout


def values(text: str, key: str) -> list[str]:
    return re.findall(rf"^{key}=(.*)$", text, re.MULTILINE)


def command_of(text: str) -> list[str]:
    """The words as systemd gives them to the program."""
    (line,) = values(text, "ExecStart")
    return [word.replace("$$", "$").replace("%%", "%") for word in shlex.split(line)]


@needs_systemd
@pytest.mark.parametrize(
    "options",
    [
        ["--source", CAMERA, "--out", "results/lines.jsonl"],
        ["--source", "left=/dev/video0", "--source", "right=/dev/video1", "--web", "127.0.0.1:80"],
        ["--source", "csi:0"],
        ["--source", "rtsp://c/", "--web", "0.0.0.0:80", "--web-users", "results/../people"],
        ["--source", 'videotestsrc pattern="smpte" ! videoconvert', "--watchdog", "30"],
    ],
)
def test_systemd_finds_nothing_wrong_and_little_exposed(options: list[str], tmp_path: Path) -> None:
    file = tmp_path / "toy.service"
    file.write_text(unit(*options))
    checked = subprocess.run(
        ["systemd-analyze", "verify", file], capture_output=True, text=True, check=False, timeout=60
    )
    assert checked.returncode == 0, checked.stderr
    # Of units it does not start, it says what it does not know and what it ignores.
    assert "Unknown" not in checked.stderr
    assert "ignoring" not in checked.stderr
    exposed = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=35", file],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert exposed.returncode == 0, exposed.stdout


def test_the_line_gets_the_very_options_and_no_secret_is_on_its_command_line(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("a token of 24 characters")
    text = unit("--source", CAMERA, "--save", "some pictures", "--save-all", "--web-token", token)
    words = command_of(text)
    assert words[1:4] == ["-m", "realnet_edge", "run"]
    assert words[4:] == [
        *("--category", "toy", "--source", CAMERA, "--save", "some pictures", "--save-all"),
        *("--web-token", "${CREDENTIALS_DIRECTORY}/web-token"),
    ]
    # systemd itself fills in what is not doubled.
    assert "$${CAMERA_PASSWORD}" in text
    assert values(text, "LoadCredential") == [f"web-token:{token}"]
    assert values(text, "EnvironmentFile") == ["/etc/realnet-edge/toy.env"]
    assert "must define CAMERA_PASSWORD" in text


def test_only_what_it_writes_to_is_writable_and_devices_only_where_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "results").mkdir()
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    workspace = ("--workspace", "../workspace")
    plain = unit(
        "--source", "rtsp://camera/1", "--out", "../results/lines.jsonl", "--save", "new", *workspace
    )
    assert values(plain, "ReadWritePaths") == [str(tmp_path / "here"), str(tmp_path / "results")]
    # What is to be made would have to be made in a folder of somebody else's.
    for option in ("--out", "--sqlite"):
        done = service("--category", "toy", "--source", "rtsp://c/", option, "../new/file", *workspace)
        assert (done.exit_code, done.stdout) == (2, "")
        assert f"{tmp_path / 'new'} is none yet. Make one first: sudo install -d -o" in done.stderr
    monkeypatch.chdir(tmp_path)
    assert values(plain, "WorkingDirectory") == [str(tmp_path / "here")]
    assert values(plain, "PrivateDevices") == ["yes"]
    video = unit("--source", "/dev/video0")
    assert values(video, "DeviceAllow") == ["char-video4linux rw"]
    # With ProtectClock systemd would close the devices of GPUs and of other cameras, too.
    other = unit("--source", "csi:0")
    assert not values(other, "DevicePolicy") + values(other, "ProtectClock")


def test_a_port_below_1024_needs_one_right_and_others_none() -> None:
    assert values(unit("--source", "rtsp://c/", "--web", "[::1]:443"), "AmbientCapabilities") == [
        "CAP_NET_BIND_SERVICE"
    ]
    assert values(unit("--source", "rtsp://c/", "--web", "[::1]:8443"), "CapabilityBoundingSet") == [""]


def test_what_the_environment_says_here_is_written_down(
    monkeypatch: pytest.MonkeyPatch, workspace: Path
) -> None:
    monkeypatch.setenv("REALNET_EDGE_WORKSPACE", str(workspace / "workspace"))
    words = command_of(unit("--source", "rtsp://c/"))
    assert words[-2:] == ["--workspace", str(workspace / "workspace")]


@pytest.mark.parametrize(
    ("options", "code", "says"),
    [
        (["--source", "rtsp://c/", "--json"], 2, "--json: a service has no end"),
        (["--source", "rtsp://c/", "--limit", "5"], 2, "--limit: a service has no end"),
        (["--source", "."], 2, "give watch:FOLDER"),
        (["--source", "rtsp://c/", "--user", "nobody-of-this-name"], 2, "no such user"),
        (["--source", "rtsp://c/", "--colour", "red"], 2, "No such option '--colour'"),
        ([], 2, "Missing option '--source'"),
        (["--source", "rtsp://c/", "--category", "bolt"], 1, "category 'bolt' has no bundle"),
        (["--source", "rtsp://c/", "--watchdog", "1"], 2, "x>=5"),
    ],
)
def test_what_cannot_be_a_service_is_refused(options: list[str], code: int, says: str) -> None:
    done = service("--category", "toy", *options)
    assert (done.exit_code, done.stdout) == (code, "")
    assert says in done.stderr


@pytest.mark.parametrize(
    ("word", "written"),
    [
        ("plain-1.2_3:/x@y,z=+", "plain-1.2_3:/x@y,z=+"),
        ("", '""'),
        ("two words", '"two words"'),
        ('a "b" \\c', '"a \\"b\\" \\\\c"'),
        ("100%", '"100%%"'),
        ("${HOME} $x", '"$${HOME} $$x"'),
        (";", '";"'),
        ("a\nExecStart=/bin/evil", '"a\\nExecStart=/bin/evil"'),
    ],
)
def test_a_word_stays_one_word(word: str, written: str) -> None:
    assert quoted(word) == written


def test_what_the_unit_starts_is_ready_lives_and_stops(tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    listener.bind(str(tmp_path / "notify"))
    listener.settimeout(60)
    words = command_of(unit("--source", "watch:parts", "--out", "lines.jsonl"))
    environment = {**os.environ, "NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "400000"}
    with subprocess.Popen(words, env=environment, stderr=subprocess.PIPE, text=True) as line:
        assert listener.recv(4096).startswith(b"READY=1\n")
        assert b"WATCHDOG=1" in listener.recv(4096)
        line.send_signal(signal.SIGTERM)
        while not (told := listener.recv(4096)).startswith(b"STOPPING=1\n"):
            assert b"WATCHDOG=1" in told
        _, said = line.communicate(timeout=30)
    listener.close()
    assert line.returncode == 0, said
