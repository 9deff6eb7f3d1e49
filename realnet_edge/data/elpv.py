"""Solar cells in electroluminescence images (ELPV) as two categories in MVTec layout.

The images come from the Python package `elpv-dataset`; nothing is fetched here. Each cell has a
probability of being defective in {0, 1/3, 2/3, 1}, given by an expert; only the certain ones are used.
Source: Buerhop-Lutz et al., EU PVSEC 2018, doi:10.4229/35thEUPVSEC20182018-5CV.3.15.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

from realnet_edge.errors import DataError, DependencyError
from realnet_edge.files import atomic_folder, read_json, write_json

CellKind = Literal["mono", "poly"]
CELL_KINDS: tuple[CellKind, ...] = ("mono", "poly")

# What is published for the ELPV figures in this project: a split of our own, fixed by the seed.
TRAIN_GOOD, TEST_GOOD, TEST_DEFECT = 300, 100, 120

_PACKAGE, _DISTRIBUTION = "elpv_dataset", "elpv-dataset"
_RECORD = "elpv.json"
_ATTRIBUTION = """\
Solar cell images of the ELPV dataset, from the Python package {distribution} {version}.
They are copied unchanged; choosing them and sorting them into folders is the only modification.

Licence: Creative Commons Attribution-NonCommercial-ShareAlike 4.0 International (CC BY-NC-SA 4.0),
https://creativecommons.org/licenses/by-nc-sa/4.0/ - not for commercial use.

Cite:
- Buerhop-Lutz, C., Deitsch, S., Maier, A., Gallwitz, F., Berger, S., Doll, B., Hauch, J., Camus, C.,
  Brabec, C. J. (2018). A Benchmark for Visual Identification of Defective Solar Cells in
  Electroluminescence Imagery. EU PVSEC. doi:10.4229/35thEUPVSEC20182018-5CV.3.15
- Deitsch, S., Christlein, V., Berger, S., Buerhop-Lutz, C., Maier, A., Gallwitz, F., Riess, C. (2019).
  Automatic classification of defective photovoltaic module cells in electroluminescence images.
  Solar Energy 185, 455-468. doi:10.1016/j.solener.2019.02.067
- Deitsch, S., Buerhop-Lutz, C., Sovetkin, E., Steland, A., Maier, A., Gallwitz, F., Riess, C. (2021).
  Segmentation of photovoltaic module cells in uncalibrated electroluminescence images.
  Machine Vision and Applications 32(4). doi:10.1007/s00138-021-01191-9
"""


@dataclass(frozen=True)
class Cell:
    """One image of the package: its file, the probability of a defect and the kind of module."""

    path: Path
    probability: float
    kind: str


@dataclass(frozen=True)
class ElpvCategory:
    """A category that `write_elpv` made.

    Attributes:
        name: "elpv-mono" or "elpv-poly".
        root: its folder.
        seed: what the images were drawn with; None where they are the package's first.
        train_good, test_good, test_defect: how many there are; fewer than `TRAIN_GOOD`, `TEST_GOOD`,
            `TEST_DEFECT` where the package has no more.
        written: False where the folder was complete already and was left alone.
    """

    name: str
    root: Path
    seed: int | None
    train_good: int
    test_good: int
    test_defect: int
    written: bool

    @property
    def shortfall(self) -> str | None:
        """A sentence where the package had too few images, else None."""
        wanted = (TRAIN_GOOD, TEST_GOOD, TEST_DEFECT)
        got = (self.train_good, self.test_good, self.test_defect)
        if got == wanted:
            return None
        return f"{self.name}: wanted {wanted} (train good, test good, test defect), the package has {got}."

    def to_dict(self) -> dict[str, Any]:
        """A JSON document with all fields."""
        return {**asdict(self), "root": str(self.root)}


def write_elpv(dest: Path, kind: CellKind, seed: int | None = 0, source: Path | None = None) -> ElpvCategory:
    """Write `dest`/elpv-`kind` in MVTec layout: train/good, test/good, test/defect; there are no masks.

    Normal cells have probability 0 and defective ones 1. The draw depends on the seed and the file
    names alone. The folder appears whole or not at all; a complete one of the same seed is left alone.

    Args:
        dest: folder that will hold the category.
        kind: "mono" or "poly" (crystalline); they look so different that each is a category.
        seed: any whole number; None takes the first cells in the package's own order. Neighbours there come
            from the same modules, so figures on the two kinds of split differ widely.
        source: folder with labels.csv and images/; that of the installed package by default.

    Raises:
        DependencyError: `elpv-dataset` is not installed.
        DataError: a folder of that name is there that this function did not make, or the source
            cannot be read.
    """
    name = f"elpv-{kind}"
    root = dest / name
    there = _recorded(root)
    if there is not None and there.seed == seed:
        return there
    cells = _certain(read_cells(source or package_data()), kind, seed)
    normals = [cell.path for cell in cells if cell.probability == 0.0]
    defects = [cell.path for cell in cells if cell.probability == 1.0][:TEST_DEFECT]
    # Where there are too few normals, training and test keep their proportion.
    n_train = min(TRAIN_GOOD, len(normals) * TRAIN_GOOD // (TRAIN_GOOD + TEST_GOOD))
    chosen = {
        "train/good": normals[:n_train],
        "test/good": normals[n_train : n_train + TEST_GOOD],
        "test/defect": defects,
    }
    n_train, n_test, n_defect = (len(part) for part in chosen.values())
    made = ElpvCategory(name, root, seed, n_train, n_test, n_defect, written=True)
    with atomic_folder(root) as folder:
        for part, paths in chosen.items():
            _copy(paths, folder / part)
        (folder / "ATTRIBUTION.txt").write_text(_attribution(), encoding="utf-8")
        counts = {key: value for key, value in asdict(made).items() if key not in ("root", "written")}
        write_json(folder / _RECORD, counts)
    return made


def package_data() -> Path:
    """The data folder of the installed package, found without importing it.

    Raises:
        DependencyError: it is not installed.
    """
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise DependencyError(
            f"the solar cells come with the Python package {_DISTRIBUTION}, which is not installed. "
            f"Install it with: pip install {_DISTRIBUTION}"
        )
    return Path(spec.submodule_search_locations[0]) / "data"


def read_cells(source: Path) -> list[Cell]:
    """The rows of labels.csv: image file, probability of a defect, "mono" or "poly".

    Raises:
        DataError: the list is missing or a row does not read that way.
    """
    table = source / "labels.csv"
    try:
        lines = table.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise DataError(
            f"{table}: cannot be read ({error.strerror}). Install {_DISTRIBUTION} again."
        ) from error
    rows = [line.split() for line in lines if line.strip()]
    try:
        return [Cell(source / file, float(probability), kind) for file, probability, kind in rows]
    except ValueError as error:
        raise DataError(f"{table}: a row is not 'file probability kind' ({error}).") from error


def _certain(cells: Sequence[Cell], kind: CellKind, seed: int | None) -> list[Cell]:
    """Cells of probability 0 or 1, each content once, in an order that seed and names alone decide."""
    ranked = [cell for cell in cells if cell.kind == kind and cell.probability in (0.0, 1.0)]
    if seed is not None:
        ranked.sort(key=lambda cell: sha256(f"{seed}:{cell.path.name}".encode()).digest())
    unique: dict[bytes, Cell] = {}
    try:
        for cell in ranked:
            unique.setdefault(sha256(cell.path.read_bytes()).digest(), cell)
    except OSError as error:
        raise DataError(f"{error.filename}: cannot be read. Install {_DISTRIBUTION} again.") from error
    return list(unique.values())


def _copy(paths: Sequence[Path], folder: Path) -> None:
    folder.mkdir(parents=True)
    for path in paths:
        shutil.copyfile(path, folder / path.name)


def _recorded(root: Path) -> ElpvCategory | None:
    """What was written at `root` before; None where nothing is there.

    Raises:
        DataError: something else is there; it might be the user's own.
    """
    if not root.exists():
        return None
    try:
        document: dict[str, Any] = read_json(root / _RECORD)
        recorded = ElpvCategory(root=root, written=False, **document)
    except (OSError, ValueError, TypeError) as error:
        raise DataError(
            f"{root} is there and was not written by this command: choose another folder."
        ) from error
    for part, count in (
        ("train/good", recorded.train_good),
        ("test/good", recorded.test_good),
        ("test/defect", recorded.test_defect),
    ):
        if len(list((root / part).glob("*.png"))) != count:
            raise DataError(
                f"{root / part} no longer holds {count} images: remove {root} and write it again."
            )
    return recorded


def _attribution() -> str:
    try:
        version = importlib.metadata.version(_DISTRIBUTION)
    except importlib.metadata.PackageNotFoundError:
        version = "(version unknown)"
    return _ATTRIBUTION.format(distribution=_DISTRIBUTION, version=version)
