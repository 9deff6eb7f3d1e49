"""Where a category's images lie: MVTec AD's layout, or plain folders of good and defective parts."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from realnet_edge.data.masks import find_masks
from realnet_edge.errors import DataError
from realnet_edge.imaging import IMAGE_SUFFIXES, natural_key
from realnet_edge.workspace import Workspace

GOOD = "good"
# The kind of defects that lie in `defect/` itself rather than in a folder of their own.
UNNAMED_DEFECT = "defect"

# Plain folders come without a test split. About a fifth of the good images is set aside to measure
# false alarms, and at least ten (or half), below which an AUROC moves by points with each image.
GOOD_TEST_SHARE = 0.2
MIN_GOOD_TEST = 10

_LAYOUTS = """what is looked for in a category folder is either
  MVTec layout:  train/good/, test/good/, test/<kind>/, ground_truth/<kind>/<name>_mask.png
  plain folders: good/, and if there are any: defect/ or defect/<kind>/, masks/ or masks/<kind>/
(test, defects and masks are optional; suffixes: {suffixes})"""


@dataclass(frozen=True)
class Sample:
    """One test image.

    Attributes:
        path: the image file.
        label: 0 good, 1 defect.
        mask: ground truth of a defect where there is one; always None for good images.
        kind: "good", or the defect's folder name such as "scratch_head".
    """

    path: Path
    label: int
    mask: Path | None
    kind: str


@dataclass(frozen=True)
class CategoryData:
    """The image files of one category.

    Attributes:
        name: the category.
        root: its own folder; recorded file names are relative to it.
        layout: "mvtec" or "folder".
        train: good images to train on, in natural order.
        test: labelled images, good ones first, then kind by kind; never among `train`.
    """

    name: str
    root: Path
    layout: str
    train: tuple[Path, ...]
    test: tuple[Sample, ...]

    @property
    def defects(self) -> tuple[Sample, ...]:
        return tuple(sample for sample in self.test if sample.label)

    @property
    def has_masks(self) -> bool:
        """Whether pixel metrics are possible: there are defects, and each has a mask."""
        return bool(self.defects) and all(sample.mask is not None for sample in self.defects)

    @property
    def set_aside(self) -> str:
        """For messages that count good images: how many of the folder's are test images; else empty."""
        count = sum(sample.label == 0 for sample in self.test) if self.layout == "folder" else 0
        return f" ({count} more there are set aside to test on, since there are defects)" if count else ""

    def relative(self, path: Path) -> str:
        """The name under which a file of this category is recorded: POSIX, relative to `root`."""
        return path.relative_to(self.root).as_posix()


def load_category(root: Path, category: str) -> CategoryData:
    """List the images of a category; none is decoded yet (see `check_images`).

    Args:
        root: the folder that holds `category`, or the category's own folder.
        category: its name.

    Raises:
        ConfigError: `category` is no plain folder name.
        DataError: there is no such folder, it has neither layout or no good image, or the masks
            given do not match the defects.
    """
    folder = _category_folder(root, category)
    if (folder / "train" / GOOD).is_dir():
        return _load_mvtec(folder, category)
    return _load_plain(folder, category)


def list_images(folder: Path) -> tuple[Path, ...]:
    """Image files directly in `folder`, not hidden ones, in natural order ("2.png" before "10.png")."""
    if not folder.is_dir():
        return ()
    files = (path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES)
    return tuple(sorted((p for p in files if p.name[0] != "." and p.is_file()), key=natural_key))


def _category_folder(root: Path, category: str) -> Path:
    folder = Workspace(root).category(category).root
    if not root.is_dir():
        raise DataError(f"{root}: no such folder. Give the folder that holds {category!r}, or its own.")
    if folder.is_dir() and _has_layout(folder):
        return folder
    if _has_layout(root):
        return root
    if folder.is_dir():
        raise DataError(f"{folder}: neither layout is there; {_layouts()}. It holds: {_listing(folder)}.")
    there = [path.name for path in sorted(_folders(root), key=natural_key) if _has_layout(path)]
    names = ", ".join(there) or "none"
    raise DataError(f"{root} holds no category {category!r}. Categories there: {names}; {_layouts()}.")


def _has_layout(folder: Path) -> bool:
    return (folder / "train" / GOOD).is_dir() or (folder / GOOD).is_dir()


def _load_mvtec(folder: Path, category: str) -> CategoryData:
    train = _good_images(folder / "train" / GOOD)
    good = [Sample(path, 0, None, GOOD) for path in list_images(folder / "test" / GOOD)]
    kinds = {
        path.name: list_images(path)
        for path in sorted(_folders(folder / "test"), key=natural_key)
        if path.name != GOOD
    }
    defects = _with_masks(kinds, folder / "ground_truth")
    return CategoryData(category, folder, "mvtec", train, (*good, *defects))


def _load_plain(folder: Path, category: str) -> CategoryData:
    good = _good_images(folder / GOOD)
    defect = folder / "defect"
    kinds = {UNNAMED_DEFECT: list_images(defect)}
    for path in sorted(_folders(defect), key=natural_key):
        kinds[path.name] = kinds.get(path.name, ()) + list_images(path)
    defects = _with_masks(kinds, folder / "masks")
    if not defects:
        return CategoryData(category, folder, "folder", good, ())
    aside = _good_for_test(good)
    train = tuple(path for path in good if path not in aside)
    test = [Sample(path, 0, None, GOOD) for path in good if path in aside]
    return CategoryData(category, folder, "folder", train, (*test, *defects))


def _good_for_test(good: tuple[Path, ...]) -> frozenset[Path]:
    """The share of plain good images that is tested on: by their names alone, so the same for every seed.

    A name's hash decides, so images added later leave the others where they are (unless there are so
    few that the minimum had to be filled up).
    """
    place = {path: int.from_bytes(sha256(path.name.encode()).digest()[:8], "big") / 2**64 for path in good}
    below = sum(value < GOOD_TEST_SHARE for value in place.values())
    count = min(max(MIN_GOOD_TEST, below), len(good) // 2)
    return frozenset(sorted(good, key=place.__getitem__)[:count])


def _with_masks(kinds: dict[str, tuple[Path, ...]], masks: Path) -> list[Sample]:
    found = find_masks(kinds, masks, UNNAMED_DEFECT)
    return [Sample(path, 1, found.get(path), kind) for kind, paths in kinds.items() for path in paths]


def _good_images(folder: Path) -> tuple[Path, ...]:
    images = list_images(folder)
    if not images:
        raise DataError(
            f"{folder} holds no image (suffixes: {_suffixes()}). It holds: {_listing(folder)}. "
            "Put the images of good parts directly into it, not into subfolders."
        )
    return images


def _folders(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return [path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")]


def _listing(folder: Path, limit: int = 12) -> str:
    names = sorted(path.name + ("/" if path.is_dir() else "") for path in folder.iterdir())
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return (", ".join(names[:limit]) or "nothing") + more


def _suffixes() -> str:
    return " ".join(sorted(IMAGE_SUFFIXES))


def _layouts() -> str:
    return _LAYOUTS.format(suffixes=_suffixes())
