"""Fixtures that more than one folder of tests uses."""

from __future__ import annotations

import os
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
