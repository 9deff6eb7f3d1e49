"""The live page of `run`."""

from __future__ import annotations

import http.client
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner
from waiting_peers import free_port

from realnet_edge.bundle import Bundle
from realnet_edge.cli.main import cli


def ask(port: int, path: str, headers: dict[str, str]) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", path, headers=headers)
    return connection.getresponse().read().decode()


def test_a_watched_folder_is_shown_while_it_is_inspected(
    toy_bundle: Callable[..., Bundle], parts: Path, tmp_path: Path
) -> None:
    """The real command, asked over HTTP while it runs."""
    bundle, port = toy_bundle(tmp_path / "b"), free_port()
    token = tmp_path / "token"
    token.write_text("a-token-for-tests-0123\n")
    command = [sys.executable, "-m", "realnet_edge", "run", "--bundle", str(bundle.path)]
    process = subprocess.Popen(
        [*command, "--source", f"watch:{parts}", "--web", f"127.0.0.1:{port}", "--web-token", str(token)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    bearer = {"Authorization": f"Bearer {token.read_text().strip()}"}
    text, end = "", time.monotonic() + 100
    # The last one of the folder.
    while 'frames_total{verdict="not_inspected"} 1.0' not in text:
        assert time.monotonic() < end, text
        assert process.poll() is None, process.communicate()
        try:
            text = ask(port, "/metrics", bearer)
        except OSError:
            time.sleep(0.1)
    ready = ask(port, "/readyz", {})
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 0, said
    assert json.loads(ready)["ready"]
    assert 'frames_total{verdict="defect"} 2.0' in text
    assert f"Live page: http://127.0.0.1:{port}/?token=TOKEN, the first time" in said
    assert "a-token-for-tests" not in said


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--web", "0.0.0.0:8080"], "can be reached by other machines"),
        (["--web", "8080"], "8080 is no HOST:PORT"),
        (["--web", "127.0.0.1:0", "--web-token", "nothing"], "--web-token nothing: cannot be read"),
        (["--web-token", "nothing"], "add --web HOST:PORT"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    toy_bundle: Callable[..., Bundle], parts: Path, tmp_path: Path, options: list[str], message: str
) -> None:
    bundle = toy_bundle(tmp_path / "b")
    done = CliRunner().invoke(cli, ["run", "--bundle", str(bundle.path), "--source", str(parts), *options])
    assert done.exit_code == 2
    assert message in done.stderr
