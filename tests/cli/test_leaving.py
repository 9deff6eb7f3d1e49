"""How a process ends whose camera's thread does not."""

from __future__ import annotations

import subprocess
import sys

import pytest

# The teardown crashes, as it may with a thread in native code; whether one is there is the argument.
PROGRAM = """
import atexit, os, signal, sys, threading
import realnet_edge.camera.line
from realnet_edge.cli.main import main

def hang(name):
    threading.Thread(target=threading.Event().wait, name=name, daemon=True).start()

atexit.register(lambda: os.kill(os.getpid(), signal.SIGSEGV))
sys.stdout.reconfigure(write_through=False)
hang(sys.argv.pop(1))
main()
"""


@pytest.mark.parametrize(("command", "code"), [("--version", 0), ("no-such-command", 2)])
def test_a_camera_that_hangs_costs_neither_exit_code_nor_output(command: str, code: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, "capture left", command], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == code
    assert ("realnet-edge" in done.stdout) is (code == 0)
    assert ("No such command" in done.stderr) is (code == 2)


def test_any_other_thread_leaves_the_teardown_as_it_is() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, "progress", "--version"], capture_output=True, text=True, timeout=60
    )
    assert done.returncode < 0
