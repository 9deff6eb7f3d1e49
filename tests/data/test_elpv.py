from __future__ import annotations

import importlib.util
import json
import shutil
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from realnet_edge.data import CELL_KINDS, load_category, write_elpv
from realnet_edge.data import elpv as module
from realnet_edge.data.elpv import CellKind, read_cells
from realnet_edge.errors import DataError, DependencyError

needs_package = pytest.mark.skipif(
    importlib.util.find_spec("elpv_dataset") is None, reason="needs the Python package elpv-dataset"
)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A small package of cells: 40 mono normals, 9 mono defects, 5 uncertain ones, 3 poly of each."""
    folder = tmp_path / "source"
    (folder / "images").mkdir(parents=True)
    rows = [("0.0", "mono")] * 40 + [("1.0", "mono")] * 9 + [("0.3333333333333333", "mono")] * 5
    rows += [("0.0", "poly")] * 3 + [("1.0", "poly")] * 3
    rng = np.random.default_rng(0)
    lines = []
    for number, (probability, kind) in enumerate(rows):
        name = f"images/cell{number:04}.png"
        Image.fromarray(rng.integers(0, 256, (6, 6), np.uint8)).save(folder / name)
        lines.append(f"{name}  {probability}   {kind}")
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")
    return folder


def contents(root: Path) -> dict[str, str]:
    files = (path for path in root.rglob("*") if path.is_file())
    return {path.relative_to(root).as_posix(): sha256(path.read_bytes()).hexdigest() for path in files}


def images(root: Path) -> set[str]:
    return {name for name in contents(root) if name.endswith(".png")}


@needs_package
@pytest.mark.parametrize("kind", CELL_KINDS)
def test_real_cells(tmp_path: Path, kind: CellKind) -> None:
    made = write_elpv(tmp_path, kind)
    assert (made.train_good, made.test_good, made.test_defect) == (300, 100, 120)
    assert made.shortfall is None
    category = load_category(tmp_path, f"elpv-{kind}")
    assert category.layout == "mvtec"
    probabilities = {
        cell.path.name: (cell.probability, cell.kind) for cell in read_cells(module.package_data())
    }
    normals = [*category.train, *(sample.path for sample in category.test if not sample.label)]
    assert {probabilities[path.name] for path in normals} == {(0.0, kind)}
    assert {probabilities[sample.path.name] for sample in category.defects} == {(1.0, kind)}
    digests = [sha256(p.read_bytes()).digest() for p in (*normals, *(s.path for s in category.defects))]
    assert len(digests) == 520
    assert len(set(digests)) == 520
    attribution = (made.root / "ATTRIBUTION.txt").read_text()
    for needed in ("CC BY-NC-SA 4.0", "Buerhop-Lutz", "10.4229/35thEUPVSEC20182018-5CV.3.15", "Deitsch"):
        assert needed in attribution


def test_the_same_seed_gives_the_same_folder(tmp_path: Path, source: Path) -> None:
    first = write_elpv(tmp_path / "a", "mono", 1, source).root
    again = write_elpv(tmp_path / "b", "mono", 1, source).root
    other = write_elpv(tmp_path / "c", "mono", 2, source).root
    assert contents(first) == contents(again)
    assert images(first) != images(other)


def test_without_a_seed_the_packages_order_decides(tmp_path: Path, source: Path) -> None:
    root = write_elpv(tmp_path, "mono", None, source).root

    def numbers(part: str) -> list[int]:
        return sorted(int(path.stem.removeprefix("cell")) for path in (root / part).iterdir())

    assert numbers("train/good") == list(range(30))
    assert numbers("test/good") == list(range(30, 40))
    assert numbers("test/defect") == list(range(40, 49))
    assert not write_elpv(tmp_path, "mono", None, source).written
    assert write_elpv(tmp_path, "mono", 0, source).written


def test_fewer_cells_than_wanted_are_said(tmp_path: Path, source: Path) -> None:
    made = write_elpv(tmp_path, "mono", 0, source)
    assert (made.train_good, made.test_good, made.test_defect) == (30, 10, 9)
    assert made.shortfall is not None
    assert "(30, 10, 9)" in made.shortfall
    assert len(contents(made.root)) == 30 + 10 + 9 + 2
    document = json.loads((made.root / "elpv.json").read_text())
    assert document == {"name": "elpv-mono", "seed": 0, "train_good": 30, "test_good": 10, "test_defect": 9}


def test_copies_of_a_cell_are_drawn_once(tmp_path: Path, source: Path) -> None:
    for number in range(1, 20):
        shutil.copy(source / "images" / "cell0000.png", source / "images" / f"cell{number:04}.png")
    # A copy among the defects too: one of the two has to go.
    shutil.copy(source / "images" / "cell0030.png", source / "images" / "cell0045.png")
    root = write_elpv(tmp_path, "mono", 0, source).root
    digests = [digest for name, digest in contents(root).items() if name.endswith(".png")]
    assert len(digests) == len(set(digests)) == 49 - 19 - 1


def test_a_complete_folder_is_left_alone(tmp_path: Path, source: Path) -> None:
    made = write_elpv(tmp_path, "mono", 0, source)
    shutil.rmtree(source)
    again = write_elpv(tmp_path, "mono", 0, source)
    assert made.written
    assert not again.written
    assert (again.train_good, again.seed, again.root) == (made.train_good, 0, made.root)


def test_another_seed_replaces_the_folder(tmp_path: Path, source: Path) -> None:
    write_elpv(tmp_path / "a", "mono", 0, source)
    replaced = write_elpv(tmp_path / "a", "mono", 1, source)
    fresh = write_elpv(tmp_path / "b", "mono", 1, source)
    assert replaced.written
    assert contents(replaced.root) == contents(fresh.root)


def test_someone_elses_folder_is_never_touched(tmp_path: Path, source: Path) -> None:
    (tmp_path / "elpv-mono").mkdir()
    (tmp_path / "elpv-mono" / "mine.txt").write_text("mine")
    with pytest.raises(DataError, match="was not written by this command"):
        write_elpv(tmp_path, "mono", 0, source)
    assert contents(tmp_path / "elpv-mono").keys() == {"mine.txt"}


def test_a_folder_that_lost_images_is_an_error(tmp_path: Path, source: Path) -> None:
    root = write_elpv(tmp_path, "mono", 0, source).root
    next((root / "test" / "good").iterdir()).unlink()
    with pytest.raises(DataError, match=r"test/good no longer holds 10 images: remove"):
        write_elpv(tmp_path, "mono", 0, source)


def test_nothing_is_left_when_the_source_breaks(tmp_path: Path, source: Path) -> None:
    (source / "images" / "cell0003.png").unlink()
    with pytest.raises(DataError, match=r"cell0003\.png: cannot be read"):
        write_elpv(tmp_path / "out", "mono", 0, source)
    assert not (tmp_path / "out" / "elpv-mono").exists()
    (source / "labels.csv").write_text("images/cell0000.png mono\n")
    with pytest.raises(DataError, match=r"labels\.csv: a row is not"):
        read_cells(source)
    (source / "labels.csv").unlink()
    with pytest.raises(DataError, match=r"labels\.csv: cannot be read"):
        read_cells(source)


def test_without_the_package_the_error_gives_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_PACKAGE", "elpv_dataset_that_is_not_installed")
    with pytest.raises(DependencyError, match="pip install elpv-dataset"):
        write_elpv(tmp_path, "mono")
