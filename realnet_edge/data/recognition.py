"""Telling a copy of a published data set from a user's own folder of the same name.

A name alone is no evidence: many lines make screws. A folder with the name and the layout of a published
category is taken for it if one of these holds:

- the layout is that data set's alone (VisA's original one, MVTec AD 2's public test set);
- its readme, or the one beside it, cites the data set's paper;
- two of its three counts (good images to train, good and defective ones to test) are the published ones;
- its kinds of defects are all the published ones, three or more;
- a category beside it is recognised by one of these, or three of them have the published count of
  training images: the folder above is the data set's.

It is never taken for it where it has a kind of defect or more images than were published.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from realnet_edge.data.layouts import Listing, layout_of, list_category
from realnet_edge.data.published import DATA_SETS, UNNAMED_KINDS, DataSet, Expected
from realnet_edge.errors import DataError

_READMES = ("readme.txt", "README.txt")
_README_BYTES = 1 << 16
# Fewer kinds than this are names that anybody would give: "hole" and "scratches".
_TELLING_KINDS = 3
_TELLING_COUNTS = 2
_TELLING_SIBLINGS = 3


@dataclass(frozen=True)
class Recognition:
    """Which published category a folder is a copy of.

    Attributes:
        data_set: the data set.
        expected: what was published of the category.
        evidence: why the folder is taken for it, as it reads after "recognised by ".
    """

    data_set: DataSet
    expected: Expected
    evidence: str


def recognise(folder: Path, listing: Listing) -> Recognition | None:
    """The published category that a category's own folder is a copy of, or None.

    Args:
        folder: the category's own folder; its name is the published one.
        listing: its files.
    """
    here = folder.absolute()
    data_set = _candidate(here.name, listing.layout)
    if data_set is None or _contradicts(data_set.categories[here.name], listing):
        return None
    evidence = _own_evidence(data_set, here, listing) or _beside(data_set, here)
    return Recognition(data_set, data_set.categories[here.name], evidence) if evidence else None


def found_counts(listing: Listing) -> dict[str, int]:
    """Images by what they are for, under the names of `Expected.counts`."""
    return {
        "train good": len(listing.train),
        "test good": len(listing.good),
        "defects": listing.defects,
    }


def _candidate(name: str, layout: str) -> DataSet | None:
    """No category's name is in two data sets."""
    fits = (d for d in DATA_SETS.values() if name in d.categories and layout in d.layouts)
    return next(fits, None)


def _contradicts(expected: Expected, listing: Listing) -> bool:
    kinds = {kind for kind, images in listing.kinds.items() if images}
    found, published = found_counts(listing), expected.counts
    if listing.own_split:
        # Which good images are tested on was not the data set's choice: only their sum can be compared.
        good = ("train good", "test good")
        too_many = sum(found[use] for use in good) > sum(published[use] for use in good)
    else:
        too_many = any(found[use] > published[use] for use in published)
    return too_many or not kinds <= (expected.kinds or UNNAMED_KINDS)


def _own_evidence(data_set: DataSet, folder: Path, listing: Listing) -> str:
    expected = data_set.categories[folder.name]
    if listing.layout == data_set.own_layout:
        return "its layout"
    readmes = [place / name for place in (folder, folder.parent) for name in _READMES]
    if data_set.mark and any(_cites(file, data_set.mark) for file in readmes):
        return "its readme"
    found = found_counts(listing)
    if sum(found[use] == count for use, count in expected.counts.items()) >= _TELLING_COUNTS:
        return "its counts of images"
    kinds = {kind for kind, images in listing.kinds.items() if images}
    if len(kinds) >= _TELLING_KINDS and kinds == expected.kinds:
        return "its kinds of defects"
    return ""


def _beside(data_set: DataSet, folder: Path) -> str:
    whole = []
    for name, expected in data_set.categories.items():
        place = folder.parent / name
        listing = _listing(place)
        if listing is None or listing.layout not in data_set.layouts or _contradicts(expected, listing):
            continue
        if name != folder.name and (evidence := _own_evidence(data_set, place, listing)):
            return f"{name} beside it ({evidence})"
        if len(listing.train) == expected.train:
            whole.append(name)
    if len(whole) >= _TELLING_SIBLINGS:
        return f"the counts of training images of {', '.join(whole)}"
    return ""


def _listing(folder: Path) -> Listing | None:
    try:
        return list_category(folder) if layout_of(folder) else None
    except DataError:
        # A damaged category beside this one is no evidence; it gets its error when it is asked for.
        return None


def _cites(file: Path, mark: str) -> bool:
    try:
        with file.open("rb") as stream:
            text = stream.read(_README_BYTES).decode("utf-8", "replace")
    except OSError:
        return False
    return mark in " ".join(text.split())
