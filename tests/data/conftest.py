"""Small data folders made of real image files."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

WriteImages = Callable[..., list[Path]]


@pytest.fixture
def write_images() -> WriteImages:
    """A function that writes noise images, each different, to `folder`/<number>.png."""

    def write(folder: Path, count: int, size: tuple[int, int] = (12, 16), mode: str = "L") -> list[Path]:
        folder.mkdir(parents=True, exist_ok=True)
        paths = []
        for number in range(count):
            path = folder / f"{number}.png"
            rng = np.random.default_rng(zlib.crc32(str(path).encode()))
            Image.fromarray(rng.integers(0, 256, size, np.uint8)).convert(mode).save(path)
            paths.append(path)
        return paths

    return write


@pytest.fixture
def write_masks() -> Callable[..., list[Path]]:
    """A function that writes one mask an image, with a marked block, to `folder`/<name><ending>."""

    def write(folder: Path, images: list[Path], ending: str = "_mask.png") -> list[Path]:
        folder.mkdir(parents=True, exist_ok=True)
        paths = []
        for image in images:
            with Image.open(image) as opened:
                mask = np.zeros((opened.height, opened.width), np.uint8)
            mask[2:6, 3:9] = 255
            paths.append(folder / f"{image.stem}{ending}")
            Image.fromarray(mask).save(paths[-1])
        return paths

    return write


@pytest.fixture
def mvtec(tmp_path: Path, write_images: WriteImages, write_masks: Callable[..., list[Path]]) -> Path:
    """A folder with the category `nut` in MVTec layout: 40 train, 5 good, 4 bent, 3 cut, with masks."""
    nut = tmp_path / "nut"
    write_images(nut / "train" / "good", 40)
    write_images(nut / "test" / "good", 5)
    for kind, count in (("bent", 4), ("cut", 3)):
        write_masks(nut / "ground_truth" / kind, write_images(nut / "test" / kind, count))
    return tmp_path
