"""The layouts in which a category's images may lie, and the listing of its files in each.

Nothing is decoded here, and no image of a listing is in two of its parts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from realnet_edge.data.visa import SPLIT_FILE, read_split
from realnet_edge.errors import DataError
from realnet_edge.imaging import IMAGE_SUFFIXES, natural_key

GOOD = "good"
# The kind of defects that lie in a folder of all defects rather than in one of their own kind.
UNNAMED_DEFECT = "defect"

# Where a layout has no test split, about a fifth of the good images is set aside to measure false
# alarms, and at least ten (or half), below which an AUROC moves by points with each image.
GOOD_TEST_SHARE = 0.2
MIN_GOOD_TEST = 10

_VISA_GOOD = Path("Data") / "Images" / "Normal"
_VISA_DEFECTS = Path("Data") / "Images" / "Anomaly"
_VISA_MASKS = Path("Data") / "Masks" / "Anomaly"
_VISA_KIND = "anomaly"

# Where each layout's test images belong, as it reads after "add ".
TEST_FOLDERS = {
    "mvtec": "test/good and test/<kind of defect>",
    "mvtec2": "test_public/good and test_public/bad",
    "btad": "test/ok and test/ko",
    "visa": "Data/Images/Anomaly",
    "folder": "images of defective parts in defect/, then a share of the good ones is set aside too",
}
# Folders inside a category, whatever its layout: no category goes by these names.
INNER_FOLDERS = frozenset(
    {GOOD, "ok", "defect", "masks", "train", "test", "validation", "test_public", "ground_truth", "Data"}
)
# Those of them that a whole category has more of: without the rest the copy is a partial one.
_SPLIT_FOLDERS = INNER_FOLDERS - {"defect", "masks"}
_LAYOUTS = """what is looked for in a category folder is one of
  MVTec layout:  train/good/, test/good/, test/<kind>/, ground_truth/<kind>/<name>_mask.png
  MVTec AD 2:    train/good/, validation/good/, test_public/{{good,bad}}/, test_public/ground_truth/bad/
  BTAD:          train/ok/, test/ok/, test/ko/, ground_truth/ko/<name>.png
  VisA:          Data/Images/{{Normal,Anomaly}}/, Data/Masks/Anomaly/ and ../split_csv/1cls.csv
  plain folders: good/, and if there are any: defect/ or defect/<kind>/, masks/ or masks/<kind>/
  one folder:    images of good parts directly in it, the rest as in plain folders
(test, defects and masks are optional; suffixes: {suffixes})"""


@dataclass(frozen=True)
class Listing:
    """The files of one category, by what they are for.

    Attributes:
        layout: "mvtec", "mvtec2", "btad", "visa" or "folder".
        train: good images to train on, in natural order.
        good: good test images.
        kinds: the defective images of each kind.
        masks: the folder of masks, with a subfolder a kind.
        flat: the kind whose masks may also lie in `masks` itself.
        own_split: the good test images were set aside here; the folder does not tell them apart.
        gaps: what the folder lacks or holds too much, a sentence each.
    """

    layout: str
    train: tuple[Path, ...]
    good: tuple[Path, ...]
    kinds: Mapping[str, tuple[Path, ...]]
    masks: Path
    flat: str
    own_split: bool = False
    gaps: tuple[str, ...] = ()

    @property
    def defects(self) -> int:
        """How many defective images there are."""
        return sum(len(images) for images in self.kinds.values())


def layout_of(folder: Path) -> str | None:
    """The layout of a category's own folder; None where it has none."""
    if (folder / _VISA_GOOD).is_dir():
        return "visa"
    if (folder / "train" / GOOD).is_dir():
        # No other layout has a public test set beside a private one.
        return "mvtec2" if (folder / "test_public").is_dir() else "mvtec"
    if (folder / "train" / "ok").is_dir():
        return "btad"
    return "folder" if (folder / GOOD).is_dir() else None


def is_bare(folder: Path) -> bool:
    """Whether a folder is nothing but images of good parts, with defects and masks of them in it or not.

    That makes it a category for who asks for it by name. A folder of any other images looks the same, so it
    is none where categories are looked for; and folders that belong to a layout, or lie in such a one, hold
    defects or masks as well as good parts.
    """
    where = folder.absolute()
    if {where.name, where.parent.name} & INNER_FOLDERS or layout_of(folder) is not None:
        return False
    return bool(list_images(folder)) and not any((folder / name).is_dir() for name in _SPLIT_FOLDERS)


def list_category(folder: Path) -> Listing:
    """List a category's files; `folder` has a layout, or images directly in it.

    Raises:
        DataError: there is no image to train on, or VisA's split file cannot be used.
    """
    layout = layout_of(folder)
    if layout == "visa":
        return _list_visa(folder)
    if layout == "mvtec2":
        public = folder / "test_public"
        train = _good_images(folder / "train" / GOOD) + list_images(folder / "validation" / GOOD)
        kinds = {"bad": list_images(public / "bad")}
        masks = public / "ground_truth"
        return Listing(layout, train, list_images(public / GOOD), kinds, masks, UNNAMED_DEFECT)
    if layout in ("mvtec", "btad"):
        return _list_test_split(folder, layout, GOOD if layout == "mvtec" else "ok")
    return _list_plain(folder, folder / GOOD if layout else folder)


def list_images(folder: Path) -> tuple[Path, ...]:
    """Image files directly in `folder`, not hidden ones, in natural order ("2.png" before "10.png")."""
    if not folder.is_dir():
        return ()
    files = (path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES)
    return tuple(sorted((p for p in files if p.name[0] != "." and p.is_file()), key=natural_key))


def list_folders(folder: Path) -> list[Path]:
    """Folders directly in `folder`, not hidden ones, in natural order; none where it is no folder."""
    if not folder.is_dir():
        return []
    found = [path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")]
    return sorted(found, key=natural_key)


def some_of(folder: Path, limit: int = 12) -> str:
    """Names of what `folder` holds, for messages."""
    names = sorted(path.name + ("/" if path.is_dir() else "") for path in folder.iterdir())
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return (", ".join(names[:limit]) or "nothing") + more


def layouts_in_words() -> str:
    """All layouts, for messages about a folder that has none."""
    return _LAYOUTS.format(suffixes=_suffixes())


def _list_test_split(folder: Path, layout: str, good: str) -> Listing:
    train, test = _good_images(folder / "train" / good), folder / "test"
    # In BTAD's layout, too, nobody calls defects "good".
    kinds = {path.name: list_images(path) for path in list_folders(test) if path.name not in (good, GOOD)}
    good_test = tuple(path for name in dict.fromkeys((good, GOOD)) for path in list_images(test / name))
    return Listing(layout, train, good_test, kinds, folder / "ground_truth", UNNAMED_DEFECT)


def _list_plain(folder: Path, images: Path) -> Listing:
    """List a category whose images of good parts lie in `images`."""
    good = _good_images(images)
    defect = folder / "defect"
    kinds = {UNNAMED_DEFECT: list_images(defect)}
    for path in list_folders(defect):
        kinds[path.name] = kinds.get(path.name, ()) + list_images(path)
    masks = folder / "masks"
    if not any(kinds.values()):
        return Listing("folder", good, (), kinds, masks, UNNAMED_DEFECT)
    train, test = _set_aside(good)
    return Listing("folder", train, test, kinds, masks, UNNAMED_DEFECT, own_split=True)


def _list_visa(folder: Path) -> Listing:
    there, defects = _good_images(folder / _VISA_GOOD), list_images(folder / _VISA_DEFECTS)
    absolute, masks = folder.absolute(), folder / _VISA_MASKS
    file = absolute.parent / SPLIT_FILE
    split = read_split(file, folder, absolute.name)
    if split is None:
        train, test = _set_aside(there) if defects else (there, ())
        gap = (
            f"{file} is missing or lists no image of {absolute.name}: {len(test)} of the {len(there)} good "
            "images were set aside to test on instead, and figures do not compare with published ones. Copy "
            "the split_csv folder of the data set's archive there."
        )
        kinds = {_VISA_KIND: defects}
        return Listing("visa", train, test, kinds, masks, _VISA_KIND, own_split=True, gaps=(gap,))
    listed, found = [*split.train, *split.good, *split.defects], {*there, *defects}
    gaps = []
    if missing := [path for path in listed if path not in found]:
        gaps.append(f"{len(missing)} images that {file} lists are not there: {_some(missing)}.")
    if unlisted := sorted(found.difference(listed)):
        gaps.append(f"{len(unlisted)} images are not used, as {file} does not list them: {_some(unlisted)}.")
    train, test, bad = (
        tuple(sorted((path for path in part if path in found), key=natural_key))
        for part in (split.train, split.good, split.defects)
    )
    if not train:
        raise DataError(f"{folder} holds none of the {len(split.train)} training images that {file} lists.")
    return Listing("visa", train, test, {_VISA_KIND: bad}, masks, _VISA_KIND, gaps=tuple(gaps))


def _set_aside(good: tuple[Path, ...]) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
    """Good images to train on and to test on: by their names alone, so the same for every seed.

    A name's hash decides, so images added later leave the others where they are (unless there are so
    few that the minimum had to be filled up).
    """
    place = {path: int.from_bytes(sha256(path.name.encode()).digest()[:8], "big") / 2**64 for path in good}
    below = sum(value < GOOD_TEST_SHARE for value in place.values())
    count = min(max(MIN_GOOD_TEST, below), len(good) // 2)
    aside = frozenset(sorted(good, key=place.__getitem__)[:count])
    return tuple(path for path in good if path not in aside), tuple(path for path in good if path in aside)


def _good_images(folder: Path) -> tuple[Path, ...]:
    images = list_images(folder)
    if not images:
        raise DataError(
            f"{folder} holds no image (suffixes: {_suffixes()}). It holds: {some_of(folder)}. "
            "Put the images of good parts directly into it, not into subfolders."
        )
    return images


def _suffixes() -> str:
    return " ".join(sorted(IMAGE_SUFFIXES))


def _some(paths: list[Path], limit: int = 5) -> str:
    names = ", ".join(path.name for path in paths[:limit])
    return names + (f" and {len(paths) - limit} more" if len(paths) > limit else "")
