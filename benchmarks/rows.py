"""Result rows of the benchmarks: appended to a CSV file, each with the machine that gave it."""

from __future__ import annotations

import csv
import datetime
import importlib.metadata
import platform
from collections.abc import Sequence
from pathlib import Path

from realnet_edge import __version__
from realnet_edge.files import atomic_path

RESULTS = Path(__file__).parent / "results"


def append_rows(file: Path, rows: Sequence[dict[str, object]]) -> None:
    """Add rows to a file of results, which is replaced as a whole."""
    old = list(csv.DictReader(file.open(newline=""))) if file.is_file() else []
    with atomic_path(file) as temporary, temporary.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows([*old, *rows])


def machine(**packages: str) -> dict[str, object]:
    """Date, processor, and versions of Python, realnet-edge and packages, each column's name=package."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").is_file() else []
    names = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return {
        "date": datetime.date.today().isoformat(),
        "device": next(names, platform.processor() or platform.machine()),
        "python": platform.python_version(),
        **{column: importlib.metadata.version(name) for column, name in packages.items()},
        "realnet_edge": __version__,
    }
