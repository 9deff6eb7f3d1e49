"""The live page of `run`."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from result_peers import Receiver
from waiting_peers import free_port

from realnet_edge.bundle import Bundle
from realnet_edge.cli.main import cli
from realnet_edge.cli.monitor import OPERATOR_TOKEN, VIEWER_TOKEN

VIEWER, OPERATOR = "a-token-for-tests-0123", "an-operators-token-4567"


def ask(port: int, path: str, token: str | None = None, body: str | None = None) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    connection.request("POST" if body else "GET", path, body, headers)
    return connection.getresponse().read().decode()


def wait_for(what: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + 100
    while True:
        with contextlib.suppress(OSError):
            if what():
                return
        assert time.monotonic() < end
        assert process.poll() is None, process.communicate()
        time.sleep(0.1)


@contextlib.contextmanager
def running(
    bundle: Bundle, folder: Path, *options: str, **environment: str
) -> Iterator[subprocess.Popen[str]]:
    """The real command in a folder of its own."""
    command = [sys.executable, "-m", "realnet_edge", "run", "--bundle", str(bundle.path), *options]
    process = subprocess.Popen(
        command,
        cwd=folder,
        env={**os.environ, **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def test_a_watched_folder_is_shown_and_an_operators_threshold_is_kept(
    toy_bundle: Callable[..., Bundle], parts: Path, tmp_path: Path
) -> None:
    """The real command, asked over HTTP while it runs, and run again."""
    bundle, port = toy_bundle(tmp_path / "b"), free_port()
    (tmp_path / "token").write_text(f"{VIEWER}\n")
    out = tmp_path / "results.jsonl"
    page = ("--web", f"127.0.0.1:{port}", "--web-token", "token", "--out", str(out))
    with running(
        bundle, tmp_path, "--source", f"watch:{parts}", *page, **{OPERATOR_TOKEN: OPERATOR}
    ) as process:
        # The last one of the folder.
        last = 'frames_total{camera="",verdict="not_inspected"} 1.0'
        wait_for(lambda: last in ask(port, "/metrics", VIEWER), process)
        text, ready = ask(port, "/metrics", VIEWER), ask(port, "/readyz")
        wanted = json.dumps({"value": 0.99, "bundle": bundle.id})
        assert "Only an operator" in ask(port, "/threshold", VIEWER, wanted)
        assert json.loads(ask(port, "/threshold", OPERATOR, wanted))["new"] == 0.99
        lines = len(out.read_text().splitlines())
        shutil.copy(next(parts.glob("*.png")), parts / "zzz.png")
        wait_for(lambda: len(out.read_text().splitlines()) > lines, process)
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 0, said
    assert json.loads(ready)["ready"]
    assert 'frames_total{camera="",verdict="defect"} 2.0' in text
    assert f"Live page: http://127.0.0.1:{port}/?token=TOKEN, the first time" in said
    told = f"Threshold of {bundle.id}: 0.9900 instead of 0.5000, set by operators' token from 127.0.0.1"
    assert told in said.replace("\n", " ")
    assert VIEWER not in said
    assert OPERATOR not in said
    assert json.loads(out.read_text().splitlines()[0])["threshold"] == 0.5
    assert json.loads(out.read_text().splitlines()[-1])["threshold"] == 0.99
    record = json.loads((tmp_path / "toy-threshold.audit.jsonl").read_text())
    assert (record["who"], record["old"], record["new"]) == ("operators' token", 0.5, 0.99)
    again = run(bundle, parts, "--threshold-file", str(tmp_path / "toy-threshold.json"), "--json")
    assert "An operator's threshold is in force: 0.9900" in again.stderr
    assert json.loads(again.stdout)["threshold"] == 0.99


def run(bundle: Bundle, parts: Path, *options: str) -> Result:
    return CliRunner().invoke(cli, ["run", "--bundle", str(bundle.path), "--source", str(parts), *options])


@pytest.fixture
def kept(toy_bundle: Callable[..., Bundle], tmp_path: Path) -> tuple[Bundle, Path]:
    """A bundle, and a file with a threshold that an operator has set for it."""
    bundle, file = toy_bundle(tmp_path / "b"), tmp_path / "kept.json"
    entry = {"value": 0.99, "who": "anna", "at": "2026-01-31T12:00:00.000+00:00"}
    file.write_text(json.dumps({"schema_version": 1, "thresholds": {bundle.id: entry}}))
    return bundle, file


def test_the_command_lines_threshold_goes_before_an_operators(kept: tuple[Bundle, Path], parts: Path) -> None:
    done = run(kept[0], parts, "--threshold-file", str(kept[1]), "--threshold", "0.25", "--json")
    assert json.loads(done.stdout)["threshold"] == 0.25
    assert "gives way to --threshold 0.25" in done.stderr


def test_a_bundle_that_was_built_anew_has_its_own(
    kept: tuple[Bundle, Path], toy_bundle: Callable[..., Bundle], parts: Path, tmp_path: Path
) -> None:
    other = toy_bundle(tmp_path / "other", threshold=0.4)
    done = run(other, parts, "--threshold-file", str(kept[1]), "--json")
    assert json.loads(done.stdout)["threshold"] == 0.4
    assert "thresholds of operators for other builds" in done.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--web", "0.0.0.0:8080"], "can be reached by other machines"),
        (["--web", "8080"], "8080 is no HOST:PORT"),
        (["--web", "127.0.0.1:0", "--web-token", "nothing"], "--web-token nothing: cannot be read"),
        (["--web", "127.0.0.1:0", "--web-operator-token", "nothing"], "--web-operator-token nothing: cannot"),
        (["--web", "127.0.0.1:0", "--web-users", "nothing"], "nothing: cannot be read"),
        (["--web", "127.0.0.1:0", "--web-cert", "nothing"], "give both --web-cert and --web-key"),
        (["--web", "127.0.0.1:0", "--web-cert", "no", "--web-key", "no"], "--web-cert no: cannot be read"),
        (["--web-token", "nothing"], "add --web HOST:PORT"),
        (["--web-users", "nothing", "--web-key", "no"], "--web-users, --web-key: for a page that is served"),
        (["--threshold-file", "."], "is a directory"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    toy_bundle: Callable[..., Bundle], parts: Path, tmp_path: Path, options: list[str], message: str
) -> None:
    done = run(toy_bundle(tmp_path / "b"), parts, *options)
    assert done.exit_code == 2
    assert message.lower() in done.stderr.lower()


def test_tokens_come_from_a_file_or_the_environment_not_both(
    toy_bundle: Callable[..., Bundle], parts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "token").write_text(VIEWER)
    monkeypatch.setenv(VIEWER_TOKEN, OPERATOR)
    page = ("--web", "127.0.0.1:0", "--web-token", str(tmp_path / "token"))
    done = run(toy_bundle(tmp_path / "b"), parts, *page)
    assert done.exit_code == 2
    assert f"--web-token and {VIEWER_TOKEN} are both given" in done.stderr


def test_people_of_a_file_may_sign_in_and_who_may_change_nothing_is_told(
    toy_bundle: Callable[..., Bundle], parts: Path, tmp_path: Path
) -> None:
    file = tmp_path / "users"
    bundle = toy_bundle(tmp_path / "b")
    for role, told in (("viewer", True), ("operator", False)):
        arguments = ["users", "add", "anna", "--file", str(file), "--role", role]
        CliRunner().invoke(cli, arguments, input="a good password\n")
        done = run(bundle, parts, "--web", "127.0.0.1:0", "--web-users", str(file))
        assert done.exit_code == 0, done.stderr
        assert ("Nobody can change the threshold there" in done.stderr) is told
        assert "in the clear" not in done.stderr
    away = run(bundle, parts, "--web", "0.0.0.0:0", "--web-users", str(file))
    assert "Warning: tokens and passwords go to it in the clear: add --web-cert and --web-key." in away.stderr


def test_the_page_says_who_cannot_be_reached_and_what_is_not_wanted(
    toy_bundle: Callable[..., Bundle], parts: Path, tmp_path: Path
) -> None:
    bundle, port, hook = toy_bundle(tmp_path / "b"), free_port(), free_port()
    url = f"http://127.0.0.1:{hook}/results"
    options = ("--web", f"127.0.0.1:{port}", "--webhook", url)
    with running(bundle, tmp_path, "--source", f"watch:{parts}", *options) as process:

        def shown() -> Any:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
            connection.request("GET", "/events")
            line = connection.getresponse().readline()
            connection.close()
            return json.loads(line.removeprefix(b"data: "))

        wait_for(lambda: "Connection refused" in shown()["problems"].get(url, {}).get("reason", ""), process)
        receiver = Receiver([400, 200], hook)
        try:
            wait_for(lambda: not shown()["problems"] and not any(shown()["waiting"].values()), process)
            assert shown()["alarms"][0]["text"] == f"{url}: it answers 400 Bad Request"
        finally:
            receiver.close()
