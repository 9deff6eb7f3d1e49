"""Real solar cells to train on in seconds, and result rows as runs write them."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from realnet_edge.data import CategoryData, load_category, write_elpv
from realnet_edge.experiments.plan import Request, Run
from realnet_edge.experiments.results import RunResult
from realnet_edge.experiments.settings import Settings
from realnet_edge.presets import PRESETS

MakeResult = Callable[..., RunResult]


@pytest.fixture(scope="session")
def cells(tmp_path_factory: pytest.TempPathFactory) -> CategoryData:
    """`cells`: 30 good solar cells to train, 4 good and 4 defective ones to test, with a box for a mask."""
    root: Path = tmp_path_factory.mktemp("cells")
    write_elpv(root, kind="mono")
    source, target = root / "elpv-mono", root / "data" / "cells"
    for part, count in (("train/good", 30), ("test/good", 4), ("test/defect", 4)):
        (target / part).mkdir(parents=True)
        for path in sorted((source / part).iterdir())[:count]:
            shutil.copy(path, target / part)
    (target / "ground_truth/defect").mkdir(parents=True)
    for path in (target / "test/defect").iterdir():
        mask = np.zeros((300, 300), np.uint8)
        mask[60:140, 80:200] = 255
        Image.fromarray(mask).save(target / "ground_truth/defect" / f"{path.stem}_mask.png")
    return load_category(root / "data", "cells")


@pytest.fixture(scope="session")
def nails(tmp_path_factory: pytest.TempPathFactory) -> CategoryData:
    """`nails`: 30 good ones, dark on bright ground, each turned by another angle; 2 of each to test."""
    root: Path = tmp_path_factory.mktemp("nails")
    folders = ("train/good", "test/good", "test/bent", "ground_truth/bent")
    for folder in folders:
        (root / "nails" / folder).mkdir(parents=True)
    places = [(folders[0], number, "") for number in range(30)]
    places += [
        (folder, number, "_mask" * (folder == folders[3])) for folder in folders[1:] for number in (0, 1)
    ]
    for folder, number, ending in places:
        picture = Image.new("RGB", (96, 96), (200, 200, 200))
        picture.paste((60, 60, 60), (16, 38, 32, 58))
        picture.paste((60, 60, 60), (32, 44, 80, 52))
        turned = picture.rotate(12 * number, Image.Resampling.BILINEAR, fillcolor=(200, 200, 200))
        turned.save(root / "nails" / folder / f"{number}{ending}.png")
    return load_category(root, "nails")


@pytest.fixture(scope="session")
def pair(cells: CategoryData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with `cells` and `panes`, the same cells mirrored and darker."""
    root = tmp_path_factory.mktemp("pair")
    shutil.copytree(cells.root, root / "cells")
    shutil.copytree(cells.root, root / "panes")
    for path in (root / "panes").rglob("*.png"):
        picture = np.fliplr(np.asarray(Image.open(path)))
        Image.fromarray(picture if "ground_truth" in path.parts else picture // 2).save(path)
    return root


@pytest.fixture(scope="session")
def tiny() -> Settings:
    """The preset `demo` on images of 64 pixels, for two steps."""
    chosen = PRESETS["demo"]
    return Settings(
        dataclasses.replace(chosen.model, image_size=64),
        chosen.synthesis,
        dataclasses.replace(
            chosen.train,
            steps=2,
            minutes=0,
            batch=4,
            validate_every=2,
            afs_batches=1,
            statistics_batches=0,
            workers=0,
            threads=1,
        ),
    )


@pytest.fixture
def screw(tmp_path: Path, published_copy: Callable[..., Path]) -> Path:
    """A data folder with a whole copy of MVTec AD's screw, as far as names and counts go."""
    kinds = ("manipulated_front", "scratch_head", "scratch_neck", "thread_side", "thread_top")
    published_copy(tmp_path / "data", "mvtec", "screw", (320, 41, 119), kinds)
    return tmp_path / "data"


@pytest.fixture
def request_for(tiny: Settings) -> Callable[..., Request]:
    def make(data: Path, **changes: object) -> Request:
        return dataclasses.replace(Request(data, tiny), **changes)  # type: ignore[arg-type]  # fields of Request

    return make


@pytest.fixture
def result_of() -> MakeResult:
    """The row that a run would leave, with the figures given."""

    def make(run: Run, figures: Mapping[str, float | None]) -> RunResult:
        row = RunResult(
            key=run.key,
            category=run.category.name,
            data_set=run.category.data_set,
            root=str(run.category.root),
            seed=run.seed,
            settings=run.settings.to_dict(),
            weights="",
            steps=2,
            minutes=0.1,
            stopped="steps",
            best_step=2,
            images=8,
            image_auroc=None,
            image_auroc_low=80.04,
            image_auroc_high=95.06,
            pixel_auroc=None,
            au_pro=None,
            pro_reference=None,
            size_gib=0.5,
            device="a processor",
            arithmetic="fp32",
            versions="realnet-edge 0",
            finished="2026-01-01T00:00:00+00:00",
        )
        return dataclasses.replace(row, **figures)  # type: ignore[arg-type]  # fields of RunResult

    return make
