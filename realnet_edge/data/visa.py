"""VisA's split file, `split_csv/1cls.csv`: which images are trained on and which are tested on."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from realnet_edge.errors import DataError

SPLIT_FILE = Path("split_csv") / "1cls.csv"
_COLUMNS = ("object", "split", "label", "image", "mask")
_USES = {("train", "normal"): "train", ("test", "normal"): "good", ("test", "anomaly"): "defects"}
_REMEDY = "Take the file from the data set's archive or from https://github.com/amazon-science/spot-diff."


@dataclass(frozen=True)
class VisaSplit:
    """The rows of one category; paths as the file lists them, below the category's folder.

    Attributes:
        train: good images to train on.
        good: good test images.
        defects: defective test images.
    """

    train: tuple[Path, ...]
    good: tuple[Path, ...]
    defects: tuple[Path, ...]


def read_split(file: Path, folder: Path, category: str) -> VisaSplit | None:
    """What the split file says about one category; its order is kept.

    Args:
        file: the CSV file, with either kind of line ends and with or without a byte order mark.
        folder: the category's own folder.
        category: its name in the file.

    Returns:
        The split, or None where the file is missing or has no row of this category.

    Raises:
        DataError: the file cannot be read as that table, lists an image twice or one outside the category.
    """
    if not file.is_file():
        return None
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            rows = csv.DictReader(stream)
            if tuple(rows.fieldnames or ()) != _COLUMNS:
                raise DataError(
                    f"{file}: its first line is {','.join(rows.fieldnames or ()) or 'empty'!r}, expected "
                    f"{','.join(_COLUMNS)!r}. {_REMEDY}"
                )
            return _collect([(rows.line_num, row) for row in rows if row["object"] == category], file, folder)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{file}: cannot be read as a table ({error}). {_REMEDY}") from error


def _collect(rows: list[tuple[int, dict[str, str]]], file: Path, folder: Path) -> VisaSplit | None:
    if not rows:
        return None
    uses: dict[str, list[Path]] = {use: [] for use in _USES.values()}
    seen: set[Path] = set()
    for number, row in rows:
        use = _USES.get((row["split"], row["label"]))
        if use is None:
            valid = "; ".join(f"{split}, {label}" for split, label in _USES)
            raise DataError(
                f"{file}, line {number}: split and label are {row['split']!r}, {row['label']!r}; valid: "
                f"{valid}. {_REMEDY}"
            )
        image = PurePosixPath(row["image"] or "")
        if image.parts[:1] != (row["object"],) or ".." in image.parts:
            raise DataError(
                f"{file}, line {number}: image {row['image']!r} does not lie in {row['object']}/. {_REMEDY}"
            )
        path = folder.joinpath(*image.parts[1:])
        if path in seen:
            raise DataError(f"{file}, line {number}: {row['image']} is listed twice. {_REMEDY}")
        seen.add(path)
        uses[use].append(path)
    return VisaSplit(tuple(uses["train"]), tuple(uses["good"]), tuple(uses["defects"]))
