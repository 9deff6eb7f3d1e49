"""Three disjoint parts of the good images: for weights, for the threshold, and for calibration.

The threshold's promise about false alarms holds only for normals that nothing else has seen
(split-conformal prediction), so `held_out` is used for that alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import Any, Literal, get_args

from realnet_edge.data.category import CategoryData
from realnet_edge.data.check import list_some
from realnet_edge.errors import ConfigError, DataError

Part = Literal["train", "held_out", "calibration"]

# One batch: batch statistics and the choice of features from fewer images follow single images.
MIN_TRAIN = 16
# The conformal rule attains a false-positive rate of 1 / (n + 1) at best: 10% with nine normals.
MIN_HELD_OUT = 9
# Chooses the checkpoint and sets the INT8 ranges; with fewer, one odd image sets both.
MIN_CALIBRATION = 5
# Shares of the good images.
HELD_OUT_SHARE = 0.2
CALIBRATION_SHARE = 0.1
MIN_GOOD_IMAGES = MIN_TRAIN + MIN_HELD_OUT + MIN_CALIBRATION


@dataclass(frozen=True)
class Splits:
    """File names (POSIX, relative to `CategoryData.root`) of each part, sorted.

    Attributes:
        train: weights and feature selection.
        held_out: the threshold, and nothing else.
        calibration: choice of the checkpoint and INT8 ranges.
        seed: what they were drawn with.
    """

    train: tuple[str, ...]
    held_out: tuple[str, ...]
    calibration: tuple[str, ...]
    seed: int

    def __post_init__(self) -> None:
        """Refuse a name in two parts, and names that lead out of the category's folder."""
        names = [*self.train, *self.held_out, *self.calibration]
        repeated = [name for name, count in Counter(names).items() if count > 1]
        if repeated:
            raise DataError(f"recorded splits name images twice:\n{list_some(repeated)}")
        outside = [name for name in names if not _is_inside(name)]
        if outside:
            raise DataError(
                f"recorded splits name files outside the category's folder:\n{list_some(outside)}"
            )

    def part(self, name: Part) -> tuple[str, ...]:
        """The file names of one part."""
        return {"train": self.train, "held_out": self.held_out, "calibration": self.calibration}[name]

    def paths(self, root: Path, part: Part) -> tuple[Path, ...]:
        """The files of one part, with `root` = `CategoryData.root`."""
        return tuple(root / name for name in self.part(part))

    def to_dict(self) -> dict[str, Any]:
        """A JSON document that `from_dict` takes back."""
        return {key: list(value) if key != "seed" else value for key, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Splits:
        """Splits from what `to_dict` gave.

        Raises:
            DataError: missing or unknown fields, wrong types, or a name in two parts.
        """
        expected = {*get_args(Part), "seed"}
        if set(document) != expected:
            raise DataError(
                f"recorded splits have the fields {sorted(document)}, expected {sorted(expected)}."
            )
        parts = [document[part] for part in get_args(Part)]
        names_good = all(isinstance(p, list) and all(isinstance(n, str) for n in p) for p in parts)
        seed = document["seed"]
        if not names_good or not isinstance(seed, int) or isinstance(seed, bool):
            raise DataError("recorded splits must be three lists of file names and a whole number `seed`.")
        return cls(tuple(parts[0]), tuple(parts[1]), tuple(parts[2]), seed)


def split_sizes(
    images: int, held_out: float = HELD_OUT_SHARE, calibration: float = CALIBRATION_SHARE
) -> tuple[int, int, int]:
    """Images to train on, held out and for calibration; below `MIN_TRAIN` of the first they are too few."""
    n_held_out = max(MIN_HELD_OUT, round(held_out * images))
    n_calibration = max(MIN_CALIBRATION, round(calibration * images))
    return images - n_held_out - n_calibration, n_held_out, n_calibration


def make_splits(
    category: CategoryData,
    seed: int,
    held_out: float = HELD_OUT_SHARE,
    calibration: float = CALIBRATION_SHARE,
) -> Splits:
    """Split a category's good training images; the test images are never touched.

    Each file's place follows from its name and the seed alone (SHA-256), so the result does not depend on the
    order of the files, the operating system or a library's random generator.

    Args:
        category: what `load_category` gave.
        seed: any whole number.
        held_out: share for the threshold, at least `MIN_HELD_OUT` images.
        calibration: share for calibration, at least `MIN_CALIBRATION` images.

    Raises:
        ConfigError: the shares are not in (0, 1) or leave nothing to train on.
        DataError: too few images.
    """
    if not (0 < held_out < 1 and 0 < calibration < 1 and held_out + calibration < 1):
        raise ConfigError(
            f"shares held_out={held_out:g}, calibration={calibration:g}: each must lie between 0 and 1, "
            "and their sum below 1."
        )
    names = [category.relative(path) for path in category.train]
    n_train, n_held_out, n_calibration = split_sizes(len(names), held_out, calibration)
    if n_train < MIN_TRAIN:
        raise DataError(_too_few(category, n_held_out, n_calibration))
    ranked = sorted(names, key=lambda name: sha256(f"{seed}:{name}".encode()).digest())
    cut = n_held_out + n_calibration
    return Splits(
        train=tuple(sorted(ranked[cut:])),
        held_out=tuple(sorted(ranked[:n_held_out])),
        calibration=tuple(sorted(ranked[n_held_out:cut])),
        seed=seed,
    )


def refuse_leaks(splits: Splits, category: CategoryData) -> None:
    """Refuse to test a model on images that it was made with.

    Names decide. Recorded images need not be there: a machine may hold the test images alone.

    Args:
        splits: as recorded with the model.
        category: the folder as it is now.

    Raises:
        DataError: recorded images are test images now.
    """
    tested = {category.relative(sample.path) for sample in category.test}
    names = [*splits.train, *splits.held_out, *splits.calibration]
    leaked = [name for name in names if name in tested]
    if leaked:
        raise DataError(
            f"{len(leaked)} images that the model was trained with count as test images now:\n"
            f"{list_some(leaked)}\nTrain again, so that training and test are apart. If these are other "
            "images under the same names, rename them."
        )


def _too_few(category: CategoryData, n_held_out: int, n_calibration: int) -> str:
    found = len(category.train)
    where = category.train[0].parent if category.train else category.root
    needs = f"{MIN_TRAIN} to train, {n_held_out} held out for the threshold, {n_calibration} for calibration"
    if found < MIN_GOOD_IMAGES:
        return (
            f"{category.name} needs at least {MIN_GOOD_IMAGES} good images ({needs}), "
            f"found {found} in {where}{category.set_aside}."
        )
    return (
        f"{category.name}: the shares leave {found - n_held_out - n_calibration} of {found} good images in "
        f"{where} to train on; needed: {needs}. Lower the shares or add images."
    )


def _is_inside(name: str) -> bool:
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts and "\\" not in name
