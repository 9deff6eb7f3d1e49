"""A category: the images to train on, and those to test with, in whichever layout they lie."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from realnet_edge.data.layouts import (
    GOOD,
    INNER_FOLDERS,
    Listing,
    is_bare,
    layout_of,
    layouts_in_words,
    list_category,
    list_folders,
    some_of,
)
from realnet_edge.data.masks import match_masks
from realnet_edge.data.recognition import Recognition, found_counts, recognise
from realnet_edge.errors import DataError
from realnet_edge.workspace import ALL, Workspace

# VisA's copy in MVTec layout lies one folder deeper than it is unpacked or made.
_INNER_ROOT = "1cls"


@dataclass(frozen=True)
class Sample:
    """One test image.

    Attributes:
        path: the image file.
        label: 0 good, 1 defect.
        mask: ground truth of a defect where there is one; always None for good images.
        kind: "good", or the defect's folder name such as "scratch_head"; behind the category's name and a
            slash where several are one.
        category: what is shown.
    """

    path: Path
    label: int
    mask: Path | None
    kind: str
    category: str = ""


@dataclass(frozen=True)
class CategoryData:
    """The image files of one category.

    Attributes:
        name: the category.
        root: its own folder; recorded file names are relative to it.
        layout: "mvtec", "mvtec2" (MVTec AD 2), "btad" (ok and ko), "visa", "folder", or "joined": several
            categories in one, for a model of them all.
        train: good images to train on, in natural order; with MVTec AD 2 its validation images, too.
        test: labelled images, good ones first, then kind by kind; never among `train`.
        own_split: the good test images were set aside here, as the folder does not tell them apart.
        recognition: the published category that this is a copy of; None for a user's own.
        gaps: what such a copy lacks, a sentence each.
        parts: the categories that are one here; empty for a single one.
    """

    name: str
    root: Path
    layout: str
    train: tuple[Path, ...]
    test: tuple[Sample, ...]
    own_split: bool = False
    recognition: Recognition | None = None
    gaps: tuple[str, ...] = ()
    parts: tuple[CategoryData, ...] = ()

    @property
    def singles(self) -> tuple[CategoryData, ...]:
        """The categories by themselves: `parts`, or this one."""
        return self.parts or (self,)

    @property
    def data_set(self) -> str:
        """Short name of the published data set, such as "mvtec"; empty for a user's own folder."""
        return self.recognition.data_set.name if self.recognition else ""

    @property
    def foreground(self) -> str | None:
        """Where published foreground rules have this category's, if they do: "mvtec/screw"."""
        return f"{self.data_set}/{self.name}" if self.recognition else None

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
        count = sum(sample.label == 0 for sample in self.test) if self.own_split else 0
        return f" ({count} more there are set aside to test on, since there are defects)" if count else ""

    def relative(self, path: Path) -> str:
        """The name under which a file of this category is recorded: POSIX, relative to `root`."""
        return path.relative_to(self.root).as_posix()


def load_category(root: Path, category: str) -> CategoryData:
    """List the images of a category; none is decoded yet (see `check_images`).

    Args:
        root: the folder that holds `category`, or the category's own folder.
        category: its name; "all" stands for all categories of `root` as one, unless one is called that.

    Raises:
        ConfigError: `category` is no plain folder name.
        DataError: there is no such folder, it has no layout or no good image, or the masks given do
            not match the defects. A copy of a published data set may lack masks and images; `gaps`
            says so.
    """
    if category == ALL and layout_of(root) is None and layout_of(root / ALL) is None:
        return _joined(root)
    folder = _category_folder(root, category)
    listing = list_category(folder)
    # Under a name of its own a category is the user's, whatever it was made from.
    recognition = recognise(folder, listing) if folder.absolute().name == category else None
    matches = match_masks(listing.kinds, listing.masks, listing.flat)
    gaps = list(listing.gaps)
    if recognition is not None:
        gaps += [*_missing_images(recognition, listing, folder), *matches.gaps()]
    else:
        matches.refuse_gaps()
    test = [Sample(path, 0, None, GOOD, category) for path in listing.good]
    for kind, images in listing.kinds.items():
        test += [Sample(path, 1, matches.found.get(path), kind, category) for path in images]
    return CategoryData(
        name=category,
        root=folder,
        layout=listing.layout,
        train=listing.train,
        test=tuple(test),
        own_split=listing.own_split,
        recognition=recognition,
        gaps=tuple(gaps),
    )


def _joined(root: Path) -> CategoryData:
    """All categories of a folder as one."""
    parts = [load_category(folder, folder.absolute().name) for folder in category_folders(root)]
    return join_categories(root, parts)


def join_categories(root: Path, parts: Sequence[CategoryData]) -> CategoryData:
    """Several categories as one, for a model of them all.

    Args:
        root: a folder that holds them.
        parts: single categories.

    Raises:
        DataError: fewer than two.
    """
    if len(parts) < 2:
        names = ", ".join(part.name for part in parts) or "none"
        raise DataError(
            f"{ALL!r} is for two or more categories together; of those in {root} there is here: {names}."
        )
    test = [replace(sample, kind=f"{part.name}/{sample.kind}") for part in parts for sample in part.test]
    return CategoryData(
        name=ALL,
        root=root,
        layout="joined",
        train=tuple(path for part in parts for path in part.train),
        test=tuple(sorted(test, key=lambda sample: sample.label)),
        own_split=any(part.own_split for part in parts),
        gaps=tuple(f"{part.name}: {gap}" for part in parts for gap in part.gaps),
        parts=tuple(parts),
    )


def load_categories(root: Path, names: str) -> CategoryData:
    """List the images of one category, of all, or of several as one.

    Args:
        names: as `load_category` has it, or two and more names joined by commas.

    Raises:
        ConfigError, DataError: as `load_category`; or two names stand for one folder.
    """
    if "," not in names:
        return load_category(root, names)
    parts = [load_category(root, name) for name in names.split(",")]
    if len({part.root for part in parts}) < len(parts):
        raise DataError(
            f"{names!r} names one folder twice in {root}. Give the folder that holds the categories, and "
            "each name once."
        )
    return join_categories(root, parts)


def category_folders(root: Path) -> list[Path]:
    """The folders of all categories in `root`, in natural order; `root` itself where it is one category.

    Raises:
        DataError: there is none.
    """
    if not root.is_dir():
        raise DataError(f"{root}: no such folder. Give the folder that holds the categories.")
    if layout_of(root):
        return [root]
    for place in (root, root / _INNER_ROOT):
        if found := [path for path in list_folders(place) if layout_of(path)]:
            return found
    raise DataError(f"{root} holds no category; {layouts_in_words()}. It holds: {some_of(root)}.")


def _category_folder(root: Path, category: str) -> Path:
    folder = Workspace(root).category(category).root
    if not root.is_dir():
        raise DataError(f"{root}: no such folder. Give the folder that holds {category!r}, or its own.")
    _refuse_inner(root, category)
    for place in (folder, root, root / _INNER_ROOT / category):
        if layout_of(place):
            return place
    # Its own folder goes by its own name alone: any other may be a slip of the pen.
    for place in (folder, root):
        if place.absolute().name == category and is_bare(place):
            return place
    if folder.is_dir():
        raise DataError(
            f"{folder}: no known layout is there; {layouts_in_words()}. It holds: {some_of(folder)}."
        )
    names = ", ".join(path.name for path in list_folders(root) if layout_of(path)) or "none"
    raise DataError(
        f"{root} holds no category {category!r}. Categories there: {names}; {layouts_in_words()}."
    )


def _refuse_inner(root: Path, category: str) -> None:
    """`--data parts/bracket --category good` names a folder of images, not a category."""
    if layout_of(root) and category in INNER_FOLDERS and (root / category).is_dir():
        name = root.absolute().name
        raise DataError(
            f"{root} is the folder of one category, and {category!r} is a folder inside it, no category. "
            f"Give --category {name}, or any other name that the part shall have."
        )


def _missing_images(recognition: Recognition, listing: Listing, folder: Path) -> list[str]:
    """Counts that are not the published ones, and kinds of defects without an image."""
    expected, found = recognition.expected.counts, found_counts(listing)
    if listing.own_split:
        good = "good images"
        expected = {good: expected["train good"] + expected["test good"], "defects": expected["defects"]}
        found = {good: found["train good"] + found["test good"], "defects": found["defects"]}
    wrong = [f"{found[use]} of {count} {use}" for use, count in expected.items() if found[use] != count]
    if not wrong:
        return []
    kinds = sorted(recognition.expected.kinds - {kind for kind, images in listing.kinds.items() if images})
    absent = f"; no image of {', '.join(kinds)}" if kinds else ""
    title, source = recognition.data_set.title, recognition.data_set.source
    return [
        f"the copy of {title} {folder.absolute().name} is incomplete: {', '.join(wrong)}{absent}. Unpack the "
        f"data set's archive again ({source}); figures of this copy do not compare with published ones."
    ]
