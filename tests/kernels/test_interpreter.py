"""Runs the folder `interpreter` under Triton's interpreter, see its conftest."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


def test_kernels_equal_their_references_in_the_interpreter(repository: Path) -> None:
    pytest.importorskip("triton")
    folder = repository / "tests" / "kernels" / "interpreter"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(folder)],
        cwd=repository,
        # Options meant for this run (-n, -k, --pdb) are not meant for that one.
        env={**os.environ, "TRITON_INTERPRET": "1", "PYTEST_ADDOPTS": ""},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    # Exit code 5, nothing collected, is a failure too.
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
