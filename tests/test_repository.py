"""What the repository's files must not hold: names of one machine, of a registry, or left-overs."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

# Written in pieces, so that this file does not find itself.
REGISTRY_HOSTS = re.compile("|".join(["pypi" + r"\.org", "python" + "hosted", "npm" + r"js\.org"]))
MACHINE_PATHS = re.compile(
    "|".join(["/" + "root/", "/" + "home/[a-z]", r"(?<![\w.])/" + "work/", r"\.\./" + "shared"])
)
LEFT_OVERS = re.compile(
    "|".join(["TO" + "DO", "FIX" + "ME", "NotImplemented" + "Error", r"pytest\.skip" + r"\(\)"])
)
# Looks beside the checkout for the data that full runs use.
MAY_LOOK_AROUND = frozenset({".ci/run"})
LARGEST = 3 << 20  # bytes


def _tracked(repository: Path) -> list[Path]:
    if not (repository / ".git").exists():
        pytest.skip("not a git checkout: there is no list of tracked files to look at")
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=repository,
        capture_output=True,
        check=True,
    )
    paths = [repository / name for name in listed.stdout.decode().split("\0") if name]
    return [path for path in paths if path.is_file()]


def _lines_with(repository: Path, pattern: re.Pattern[str]) -> list[str]:
    found = []
    for path in _tracked(repository):
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError:  # pictures and arrays
            continue
        name = path.relative_to(repository).as_posix()
        found += [f"{name}:{i}: {line}" for i, line in enumerate(lines, 1) if pattern.search(line)]
    return found


def test_no_registry_host_is_named(repository: Path) -> None:
    assert _lines_with(repository, REGISTRY_HOSTS) == []


def test_no_path_of_one_machine_is_named(repository: Path) -> None:
    found = _lines_with(repository, MACHINE_PATHS)
    assert [line for line in found if line.split(":")[0] not in MAY_LOOK_AROUND] == []


def test_no_left_overs(repository: Path) -> None:
    assert _lines_with(repository, LEFT_OVERS) == []


def test_no_large_files(repository: Path) -> None:
    assert [p.name for p in _tracked(repository) if p.stat().st_size > LARGEST] == []


@pytest.mark.parametrize(
    ("pattern", "line"),
    [
        (REGISTRY_HOSTS, "index-url = https://pypi" + ".org/simple"),
        (MACHINE_PATHS, "root: /work" + "/main"),
        (MACHINE_PATHS, "data = ../" + "shared/data"),
        (LEFT_OVERS, "# TO" + "DO: later"),
    ],
)
def test_patterns_find_what_they_are_for(pattern: re.Pattern[str], line: str) -> None:
    assert pattern.search(line)
