"""Fixtures that more than one folder of tests uses."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

DATA_VARIABLE = "REALNET_EDGE_DATA"
REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def repository() -> Path:
    """The checkout's root."""
    return REPOSITORY


@pytest.fixture(scope="session")
def golden() -> Path:
    """Folder of the golden cases: outputs of the official implementation."""
    return REPOSITORY / "tests" / "golden"


@pytest.fixture(scope="session")
def mvtec_root() -> Path:
    """Folder of real MVTec AD categories (it holds `screw/`), or a skip that says what is missing."""
    named = os.environ.get(DATA_VARIABLE)
    if not named:
        pytest.skip(f"{DATA_VARIABLE} is not set: needs a folder with MVTec AD's category screw")
    root = Path(named)
    # A variable that points nowhere is a mistake, not a machine without the data.
    assert (root / "screw" / "train" / "good").is_dir(), f"{DATA_VARIABLE}={named} holds no screw/train/good"
    return root


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip tests marked `gpu` where there is none, with the reason."""
    marked = [item for item in items if item.get_closest_marker("gpu")]
    if marked and not _has_gpu():
        for item in marked:
            item.add_marker(pytest.mark.skip(reason="needs an NVIDIA GPU that this machine does not have"))


def _has_gpu() -> bool:
    return Path("/dev/nvidia0").exists() or Path("/dev/nvhost-gpu").exists()


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built wheel, made from a copy of the tree so that no earlier build leaves anything in it."""
    source = tmp_path_factory.mktemp("source")
    for folder in ("realnet_edge", "kernels", "export", "calibrate"):
        shutil.copytree(REPOSITORY / folder, source / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(REPOSITORY / name, source / name)
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", "dist", "."]
    subprocess.run(command, cwd=source, check=True, capture_output=True)
    (built,) = (source / "dist").glob("*.whl")
    return built
