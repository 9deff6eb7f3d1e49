"""All categories of a data folder at once, and which ones a published data set has besides."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from realnet_edge.data.category import CategoryData, category_folders, load_category
from realnet_edge.data.published import DATA_SETS
from realnet_edge.data.report import CategoryReport, examine, unusable
from realnet_edge.errors import ConfigError, DataError


@dataclass(frozen=True)
class CollectionReport:
    """The result of `examine_all`.

    Attributes:
        root: the folder that was looked at.
        categories: one report a category, in natural order of their names.
        usable: those of them that can be listed.
        missing: for each published data set that was recognised, its categories that are not there.
    """

    root: str
    categories: tuple[CategoryReport, ...]
    usable: tuple[CategoryData, ...]
    missing: dict[str, tuple[str, ...]]

    @property
    def ok(self) -> bool:
        return all(report.ok for report in self.categories)

    @property
    def warnings(self) -> list[str]:
        """What holds for the folder as a whole."""
        return [
            f"{len(absent)} of the {len(DATA_SETS[name].categories)} categories of {DATA_SETS[name].title} "
            f"are not in {self.root}: {', '.join(absent)}. To have them, unpack its archive there "
            f"({DATA_SETS[name].source})."
            for name, absent in self.missing.items()
            if absent
        ]

    def to_dict(self) -> dict[str, Any]:
        """A JSON document with the categories' documents, and `ok`."""
        return {
            "root": self.root,
            "categories": [report.to_dict() for report in self.categories],
            "missing": {name: list(absent) for name, absent in self.missing.items()},
            "warnings": self.warnings,
            "ok": self.ok,
        }


def examine_all(
    root: Path, seed: int = 0, progress: Callable[[str], None] = lambda name: None
) -> CollectionReport:
    """Examine every category of a folder; problems of a category are in its report, not raised.

    Args:
        root: the folder that holds the categories, or one category's own folder.
        seed: of the splits that are shown.
        progress: called with each category's name before it is decoded.

    Raises:
        DataError: `root` holds no category.
    """
    reports, usable = [], []
    for folder in category_folders(root):
        name = folder.absolute().name
        progress(name)
        try:
            category = load_category(folder, name)
        except (ConfigError, DataError) as error:
            reports.append(unusable(name, folder, str(error)))
            continue
        usable.append(category)
        reports.append(examine(category, seed))
    there = {report.category for report in reports}
    missing = {
        name: tuple(category for category in DATA_SETS[name].categories if category not in there)
        for name in dict.fromkeys(report.data_set for report in reports)
        if name
    }
    return CollectionReport(str(root), tuple(reports), tuple(usable), missing)
