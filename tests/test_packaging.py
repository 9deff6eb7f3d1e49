"""The wheel holds the tree, nothing more and nothing less."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest

PACKAGE_OF_FOLDER = {
    "realnet_edge": "realnet_edge",
    "kernels": "realnet_edge/kernels",
    "export": "realnet_edge/export",
    "calibrate": "realnet_edge/calibrate",
}


def _expected(repository: Path) -> set[str]:
    """Names that the wheel must hold, from the files of the tree."""
    names = set()
    for folder, package in PACKAGE_OF_FOLDER.items():
        for path in (repository / folder).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                names.add(f"{package}/{path.relative_to(repository / folder).as_posix()}")
    return names


def _metadata(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return Parser().parsestr(archive.read(name).decode())


def test_wheel_holds_the_tree(wheel: Path, repository: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
    expected = _expected(repository)
    assert {"realnet_edge/kernels/__init__.py", "realnet_edge/py.typed"} <= expected
    assert sorted(held) == sorted(expected)


def test_wheel_metadata(wheel: Path, repository: Path) -> None:
    metadata = _metadata(wheel)
    version = re.search(r'__version__ = "(.+)"', (repository / "realnet_edge/__init__.py").read_text())
    assert version is not None
    assert metadata["Name"] == "realnet-edge"
    assert metadata["Version"] == version[1]
    assert metadata["License-Expression"] == "Apache-2.0"
    extras = {
        "train",
        "openvino",
        "camera",
        "sign",
        "genicam",
        "plc",
        "web",
        "kernels",
        "tensorrt",
        "tensorrt-rtx",
        "demo",
        "dev",
    }
    assert extras == set(metadata.get_all("Provides-Extra", []))


def test_base_requirements_bring_no_torch(wheel: Path) -> None:
    required = [line for line in _metadata(wheel).get_all("Requires-Dist", []) if "extra ==" not in line]
    names = {re.split(r"[^A-Za-z0-9-]", line)[0] for line in required}
    assert "onnxruntime" in names
    assert not names & {"torch", "torchvision", "timm", "onnx", "openvino"}


def test_every_requirement_is_pinned(wheel: Path, repository: Path) -> None:
    pinned = {line.split("==")[0] for line in (repository / "constraints.txt").read_text().splitlines()}
    for line in _metadata(wheel).get_all("Requires-Dist", []):
        name = re.split(r"[^A-Za-z0-9-]", line)[0]
        if name != "realnet-edge":
            assert name in pinned, f"{name} is not in constraints.txt: run `make constraints`"


def test_module_runs_as_a_program() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "realnet_edge", "--version"], capture_output=True, text=True, check=True
    )
    assert re.fullmatch(r"realnet-edge \d+\.\d+\.\d+\n", done.stdout)


@pytest.mark.parametrize("folder", ["kernels", "export", "calibrate"])
def test_mapped_folder_is_one_module(folder: str, repository: Path) -> None:
    # Found, not imported: two of them bring torch, which takes seconds and proves nothing here.
    code = f"import importlib.util as u; print(u.find_spec('realnet_edge.{folder}').origin)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=repository / "tests"
    )
    assert Path(done.stdout.strip()) == repository / folder / "__init__.py"
