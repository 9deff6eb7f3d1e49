from __future__ import annotations

import hashlib
import json
import math
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from realnet_edge.files import atomic_folder, atomic_path, read_json, sha256_file, write_json


class InterruptedWorkError(Exception):
    """What these tests raise in the middle of writing."""


def write_half(path: Path) -> None:
    path.write_text("half of the n")
    raise InterruptedWorkError


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_appears_only_when_the_block_succeeds(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "down" / "result.json"
    with atomic_path(target) as temporary:
        temporary.write_text("half")
        assert not target.exists()
        assert temporary.parent == target.parent
        assert temporary.suffix == ".json"
    assert target.read_text() == "half"
    assert names(target.parent) == ["result.json"]


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "result.json"
    target.write_text("old")
    with pytest.raises(InterruptedWorkError), atomic_path(target) as temporary:
        write_half(temporary)
    assert target.read_text() == "old"
    assert names(tmp_path) == ["result.json"]


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o077, 0o600)])
def test_permissions_follow_the_umask(tmp_path: Path, mask: int, mode: int) -> None:
    before = os.umask(mask)
    try:
        write_json(tmp_path / "result.json", 1)
        assert os.umask(mask) == mask
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "result.json").stat().st_mode) == mode


def test_a_folder_appears_whole(tmp_path: Path) -> None:
    target = tmp_path / "bundles" / "onnxruntime-fp32"
    with atomic_folder(target) as folder:
        (folder / "sub").mkdir()
        (folder / "sub" / "a").write_text("a")
        assert not target.exists()
    assert (target / "sub" / "a").read_text() == "a"
    assert names(target.parent) == ["onnxruntime-fp32"]


def test_a_folder_is_replaced_whole_and_old_files_go(tmp_path: Path) -> None:
    target = tmp_path / "bundle"
    for name in ("first", "second"):
        with atomic_folder(target) as folder:
            (folder / name).touch()
    assert names(target) == ["second"]
    assert names(tmp_path) == ["bundle"]


def test_a_failed_folder_leaves_the_old_one_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "bundle"
    with atomic_folder(target) as folder:
        (folder / "good").touch()
    with pytest.raises(InterruptedWorkError), atomic_folder(target) as folder:
        write_half(folder / "bad")
    assert names(target) == ["good"]
    assert names(tmp_path) == ["bundle"]


def test_the_old_folder_comes_back_when_the_swap_fails(tmp_path: Path) -> None:
    target = tmp_path / "bundle"
    with atomic_folder(target) as folder:
        (folder / "good").touch()
    with pytest.raises(OSError, match="No such file"), atomic_folder(target) as folder:
        folder.rmdir()
    assert names(target) == ["good"]
    assert names(tmp_path) == ["bundle"]


def test_a_kill_between_the_two_renames_loses_nothing(tmp_path: Path) -> None:
    target = tmp_path / "state"
    stranded = tmp_path / ".state.old-123"
    stranded.mkdir()
    (stranded / "a").write_text("only copy")
    with pytest.raises(InterruptedWorkError), atomic_folder(target):
        raise InterruptedWorkError
    assert (target / "a").read_text() == "only copy"
    assert list(tmp_path.iterdir()) == [target]


def test_a_killed_process_leaves_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "result.json"
    write_json(target, "old")
    program = (
        "import os, pathlib, signal, sys\n"
        "from realnet_edge.files import atomic_path\n"
        "with atomic_path(pathlib.Path(sys.argv[1])) as temporary:\n"
        "    temporary.write_text('half')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = subprocess.run([sys.executable, "-c", program, str(target)], check=False)
    assert killed.returncode == -9
    assert read_json(target) == "old"


def test_json_is_utf_8_and_readable(tmp_path: Path) -> None:
    document = {"category": "Schraube ⌀ 4", "values": [1, 2.5, None, True]}
    write_json(tmp_path / "a.json", document)
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert "Schraube ⌀ 4" in text
    assert text.endswith("}\n")
    assert read_json(tmp_path / "a.json") == document


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_values_that_json_lacks_are_refused_before_anything_is_written(tmp_path: Path, value: float) -> None:
    write_json(tmp_path / "a.json", 1)
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", {"auroc": value})
    assert json.loads((tmp_path / "a.json").read_text()) == 1
    assert names(tmp_path) == ["a.json"]


@pytest.mark.parametrize("size", [0, 3, (1 << 20), (1 << 20) + 1])
def test_sha256(tmp_path: Path, size: int) -> None:
    content = bytes(range(256)) * (size // 256) + bytes(size % 256)
    (tmp_path / "a").write_bytes(content)
    assert sha256_file(tmp_path / "a") == hashlib.sha256(content).hexdigest()
