"""A category of real solar cells, small enough to train on in seconds."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from realnet_edge.data import CategoryData, load_category, write_elpv


@pytest.fixture(scope="session")
def category(tmp_path_factory: pytest.TempPathFactory) -> CategoryData:
    """`cells`: 40 good solar cells to train, 6 good and 6 defective ones to test."""
    root: Path = tmp_path_factory.mktemp("elpv")
    write_elpv(root, kind="mono")
    source, target = root / "elpv-mono", root / "cells"
    for part, count in (("train/good", 40), ("test/good", 6), ("test/defect", 6)):
        (target / part).mkdir(parents=True)
        for path in sorted((source / part).iterdir())[:count]:
            shutil.copy(path, target / part)
    return load_category(root, "cells")
