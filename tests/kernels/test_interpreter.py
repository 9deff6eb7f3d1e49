"""Runs the folder `interpreter` under Triton's interpreter, see its conftest."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest


def test_kernels_equal_their_references_in_the_interpreter(repository: Path) -> None:
    triton = pytest.importorskip("triton")
    if _numbers(triton.__version__) < (3, 9) and _numbers(np.__version__) >= (2, 4):
        # Seen with 3.6 and 2.4: loop bounds are arrays of one element, which NumPy then makes no numbers of.
        pytest.skip("this Triton's interpreter needs NumPy before 2.4")
    folder = repository / "tests" / "kernels" / "interpreter"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(folder)],
        cwd=repository,
        # Options meant for this run (-n, -k, --pdb) are not meant for that one.
        env={**os.environ, "TRITON_INTERPRET": "1", "PYTEST_ADDOPTS": ""},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    # Exit code 5, nothing collected, is a failure too.
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2])
