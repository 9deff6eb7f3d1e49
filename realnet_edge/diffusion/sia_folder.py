"""Writing a folder of anomalous images that can be interrupted and gone on with.

Each image depends on the folder's seed and its own number alone. An image counts once its line is in the
list, which is written after the image.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from realnet_edge.config.diffusion import BEFORE_GUIDANCE
from realnet_edge.diffusion.sampling import Request
from realnet_edge.errors import ConfigError, DataError
from realnet_edge.files import atomic_path, write_json
from realnet_edge.synthesis.sia import (
    FORMAT_VERSION,
    IMAGE_LIST,
    MANIFEST,
    read_image_list,
    read_manifest,
)

# Images a sub-folder: file systems and viewers are slow with tens of thousands in one.
SHARD = 1000


@dataclass(frozen=True)
class Strength:
    """How far images are from normal: s, drawn for each image between two ends.

    Attributes:
        lowest, highest: the ends; equal for a fixed strength (the paper: 0.1 and 0.2).
    """

    lowest: float = 0.1
    highest: float = 0.2

    def __post_init__(self) -> None:
        if not 0.0 <= self.lowest <= self.highest < np.inf:
            raise ConfigError(
                f"strength {self.lowest:g} to {self.highest:g}; valid: 0 or more, the lower end first."
            )


def request_of(number: int, seed: int, strength: Strength, category: int) -> Request:
    """What image `number` of a folder is drawn from; the same whenever it is drawn."""
    rng = np.random.default_rng([seed, number])
    drawn = float(rng.uniform(strength.lowest, strength.highest))
    return Request(int(rng.integers(1 << 62)), drawn, category)


class SiaFolder:
    """A folder of anomalous images being written.

    Args:
        path: the folder; made where it is missing.
        settings: what must be the same for its images to belong together.
        overwrite: replace what is there.

    Raises:
        DataError: images of other settings, or other files, are there.
    """

    def __init__(self, path: Path, settings: dict[str, Any], overwrite: bool = False) -> None:
        self.path = path
        self.settings = {"format_version": FORMAT_VERSION, **settings}
        if overwrite and (path / MANIFEST).is_file():
            shutil.rmtree(path)
        self._refuse_others()
        path.mkdir(parents=True, exist_ok=True)
        write_json(path / MANIFEST, self.settings)
        self.entries = [e for e in read_image_list(path) if (path / e["file"]).is_file()]
        # Without a line that a kill cut short, and without those whose image is gone.
        with atomic_path(path / IMAGE_LIST) as temporary:
            temporary.write_text("".join(map(_line, self.entries)), encoding="utf-8")

    def missing(self, count: int) -> list[int]:
        """Numbers below `count` that have no image yet."""
        done = {entry["number"] for entry in self.entries}
        return [number for number in range(count) if number not in done]

    def add(self, numbers: Sequence[int], requests: Sequence[Request], images: npt.NDArray[np.uint8]) -> None:
        """Write some images, then their lines.

        Args:
            images: (N, S, S, 3) uint8 RGB.
        """
        lines = []
        for number, request, image in zip(numbers, requests, images, strict=True):
            name = f"{number // SHARD:05d}/{number:06d}.png"
            with atomic_path(self.path / name) as temporary:
                Image.fromarray(image).save(temporary)
            entry = {
                "number": number,
                "file": name,
                "seed": request.seed,
                "strength": request.strength,
                "model_sha256": self.settings["model_sha256"],
            }
            self.entries.append(entry)
            lines.append(_line(entry))
        with (self.path / IMAGE_LIST).open("a", encoding="utf-8") as stream:
            stream.write("".join(lines))
            stream.flush()
            os.fsync(stream.fileno())

    def _refuse_others(self) -> None:
        if not (self.path / MANIFEST).is_file():
            if self.path.is_dir() and any(self.path.iterdir()):
                raise DataError(f"{self.path}: holds other files. Name an empty or a new folder with --out.")
            return
        before = {**BEFORE_GUIDANCE, **read_manifest(self.path)}
        differing = [
            f"{key} was {before.get(key)}, is {value}"
            for key, value in self.settings.items()
            if before.get(key) != value
        ]
        if differing:
            raise DataError(
                f"{self.path}: holds images of other settings: {'; '.join(differing)}. Give the same "
                "options, another --out, or --overwrite."
            )


def _line(entry: dict[str, Any]) -> str:
    return json.dumps(entry, allow_nan=False) + "\n"
