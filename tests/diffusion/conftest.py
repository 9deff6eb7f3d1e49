"""A category small enough to train a diffusion model on in seconds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from realnet_edge.data import CategoryData, load_category


def write_category(root: Path, name: str, level: int) -> None:
    """Thirty dark bars on a bright ground, each at a place of its own."""
    folder = root / name / "train" / "good"
    folder.mkdir(parents=True)
    for index in range(30):
        image = np.full((24, 24, 3), 210, np.uint8)
        image[4:20, 2 + index % 10 : 8 + index % 10] = level
        image[0, 0] = index
        Image.fromarray(image).save(folder / f"{index:03d}.png")


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    write_category(root, "bolt", 50)
    write_category(root, "nut", 120)
    return root


@pytest.fixture(scope="session")
def bolt(data: Path) -> CategoryData:
    return load_category(data, "bolt")
