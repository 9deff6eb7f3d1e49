"""What a data folder holds and what is wrong with it, before an hour of training finds out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from realnet_edge.data.category import CategoryData
from realnet_edge.data.check import ImageFacts, duplicates, inspect_images
from realnet_edge.data.splits import make_splits
from realnet_edge.errors import DataError
from realnet_edge.imaging import load_mask

# A camera of 12 bits whose values were stored in 16-bit files unshifted fills a sixteenth of the
# range; half as much again still counts as such.
_DARK = 24
# Between two aspect ratios: cropping by a pixel or two is no other shape.
_ASPECT_TOLERANCE = 0.02
_TEST_GOOD = "test good"


@dataclass(frozen=True)
class CategoryReport:
    """The result of `examine`.

    Attributes:
        category, root, layout, data_set, foreground: as in `CategoryData`.
        evidence: what the data set was recognised by; empty where none was.
        expected: the published counts, under "train good", "test good" and "defects"; empty where unknown.
        counts: images: "train", "test good", and "test <kind>" for each kind of defect.
        masks: defects that have a ground-truth mask.
        splits: images in each part of the training images; empty where there are too few.
        sizes: "width x height" -> images.
        modes: Pillow's mode -> images.
        problems: what must be mended before training or bench can work.
        warnings: what works but probably should not be so.
    """

    category: str
    root: str
    layout: str
    counts: dict[str, int]
    masks: int
    splits: dict[str, int]
    sizes: dict[str, int]
    modes: dict[str, int]
    problems: tuple[str, ...]
    warnings: tuple[str, ...]
    data_set: str = ""
    foreground: str | None = None
    evidence: str = ""
    expected: dict[str, int] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        return not self.problems

    @property
    def found(self) -> dict[str, int]:
        """Images under the names of `expected`."""
        tested = {name: count for name, count in self.counts.items() if name.startswith("test ")}
        good = tested.pop(_TEST_GOOD, 0)
        return {
            "train good": self.counts.get("train good", 0),
            "test good": good,
            "defects": sum(tested.values()),
        }

    @property
    def complete(self) -> bool | None:
        """Whether the counts are the published ones; None where those are unknown."""
        return self.found == self.expected if self.expected else None

    def to_dict(self) -> dict[str, Any]:
        """A JSON document with all fields, `complete` and `ok`."""
        document = {**asdict(self), "problems": list(self.problems), "warnings": list(self.warnings)}
        return {**document, "complete": self.complete, "ok": self.ok}


def examine(category: CategoryData, seed: int = 0) -> CategoryReport:
    """Decode every image and mask of a category and say what it holds; problems are returned, not raised."""
    train = inspect_images(category.train)
    test = inspect_images([sample.path for sample in category.test])
    facts = [*train, *test]
    problems = [fact.problem for fact in facts if fact.problem is not None]
    known = category.recognition
    found = _mask_problems(category, test)
    # Some published masks are empty, and nobody is to mend those.
    as_published = known is not None and sum(empty for _, empty in found) <= known.expected.empty_masks
    problems += [words for words, empty in found if not (empty and as_published)]
    as_they_are = [words for words, empty in found if empty and as_published]
    splits: dict[str, int] = {}
    try:
        made = make_splits(category, seed)
        splits = {
            "train": len(made.train),
            "held out": len(made.held_out),
            "calibration": len(made.calibration),
        }
    except DataError as error:
        problems.append(str(error))
    usable = [fact for fact in facts if fact.problem is None]
    kinds = Counter(f"test {sample.kind}" for sample in category.test)
    return CategoryReport(
        category=category.name,
        root=str(category.root),
        layout=category.layout,
        counts={"train good": len(category.train), **kinds},
        masks=sum(sample.mask is not None for sample in category.test),
        splits=splits,
        sizes=_tally(f"{fact.size[1]} x {fact.size[0]}" for fact in usable),
        modes=_tally(fact.mode for fact in usable),
        problems=tuple(problems),
        warnings=(*category.gaps, *as_they_are, *_warnings(category, train, test)),
        data_set=category.data_set,
        foreground=category.foreground,
        evidence=known.evidence if known else "",
        expected=known.expected.counts if known else {},
    )


def unusable(category: str, root: Path, problem: str) -> CategoryReport:
    """The report of a category that cannot even be listed."""
    return CategoryReport(category, str(root), "", {}, 0, {}, {}, {}, (problem,), ())


def _mask_problems(category: CategoryData, test: Sequence[ImageFacts]) -> list[tuple[str, bool]]:
    """Masks that cannot be decoded, are not of their image's shape or, with True, mark nothing."""
    problems = []
    for sample, fact in zip(category.test, test, strict=True):
        if sample.mask is None or fact.problem is not None:
            continue
        try:
            mask = load_mask(sample.mask)
        except DataError as error:
            problems.append((str(error), False))
            continue
        if not _same_aspect([_aspect(mask.shape), _aspect(fact.size)]):
            words = (
                f"{sample.mask}: {mask.shape[1]} x {mask.shape[0]} pixels, but its image "
                f"{sample.path.name} has {fact.size[1]} x {fact.size[0]}."
            )
            problems.append((words, False))
        elif not mask.any():
            words = f"{sample.mask}: no pixel is marked (above 0), but {sample.path.name} is a defect."
            problems.append((words, True))
    return problems


def _warnings(category: CategoryData, train: Sequence[ImageFacts], test: Sequence[ImageFacts]) -> list[str]:
    usable = [fact for fact in (*train, *test) if fact.problem is None]
    found = [_duplicate_warning(group, category) for group in duplicates(usable)]
    if not _same_aspect([_aspect(fact.size) for fact in usable]):
        found.append(
            "the images differ in aspect ratio; each is squeezed into the same square, so parts distort."
        )
    dark = [fact for fact in usable if fact.brightest < _DARK]
    if dark:
        found.append(
            f"{len(dark)} images are nearly black, {dark[0].path} for one (brightest pixel "
            f"{dark[0].brightest} of 255): was a 12-bit camera stored in 16-bit files without scaling?"
        )
    new = {f.mode for f in test if not f.problem} - {f.mode for f in train if not f.problem}
    if train and new:
        found.append(
            f"test images are stored as {', '.join(sorted(new))}, no training image is: another camera?"
        )
    if not category.defects:
        found.append("there is no defective image: training works, accuracy cannot be measured.")
    elif not any(sample.label == 0 for sample in category.test):
        found.append("there is no good test image: image AUROC and false alarms cannot be measured.")
    elif all(sample.mask is None for sample in category.defects):
        found.append("there are no masks: pixel AUROC and AU-PRO cannot be measured.")
    return found


def _aspect(shape: tuple[int, ...]) -> float:
    return shape[1] / shape[0]


def _same_aspect(aspects: Sequence[float]) -> bool:
    return not aspects or max(aspects) <= min(aspects) * (1 + _ASPECT_TOLERANCE)


def _duplicate_warning(group: tuple[Path, ...], category: CategoryData) -> str:
    tested = {sample.path for sample in category.test}
    names = ", ".join(category.relative(path) for path in group)
    crossing = any(path in tested for path in group) and any(path not in tested for path in group)
    what = "the same image is trained and tested on" if crossing else "the same image several times"
    return f"{what}: {names}."


def _tally(values: Iterable[str]) -> dict[str, int]:
    return dict(Counter(values).most_common())
