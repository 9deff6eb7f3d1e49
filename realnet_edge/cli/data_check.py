"""`realnet-edge data check`: what a data folder holds and what is wrong with it."""

from __future__ import annotations

import importlib.util
import math
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from realnet_edge.cli.align import with_alignment
from realnet_edge.cli.options import data_option, json_option
from realnet_edge.cli.output import console, print_json, say
from realnet_edge.cli.pictures import refuse_other_suffixes
from realnet_edge.cli.tiles import see_images
from realnet_edge.config import DEFAULT_FPR
from realnet_edge.errors import DataError
from realnet_edge.presets import DEFAULT_PRESET, preset

if TYPE_CHECKING:
    from realnet_edge.data import CategoryData, CategoryReport, CollectionReport


@click.command("check")
@data_option
@click.option(
    "--category", metavar="NAME", help="Check this one alone, in more detail.  [default: all there]"
)
@click.option("--seed", default=0, show_default=True, help="Seed of the split that is shown.")
@click.option(
    "--contact-sheet",
    "sheet",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write a picture with good images, defects with their masks, and the foreground, a row a category; "
    "by its suffix PNG, JPEG, WebP or BMP.",
)
@json_option
@click.pass_context
def check(
    context: click.Context, data: Path, category: str | None, seed: int, sheet: Path | None, as_json: bool
) -> None:
    """Decode every image and mask; exit with 1 if there is a problem.

    Without --category every category of the folder is checked. Copies of MVTec AD, MVTec AD 2, VisA, MPDD and
    BTAD are recognised and compared with the published counts of images; what a copy lacks is a warning.
    With --category it also says whether `train` would align the parts by default, or else where images are so
    much larger than what it takes that small defects would be lost.
    """
    if sheet is not None:
        refuse_other_suffixes("--contact-sheet", sheet)
    try:
        if category is None:
            document, ok = _check_all(data, seed, sheet)
        else:
            document, ok = _check_one(data, category, seed, sheet)
    except DataError as error:
        if not as_json:
            raise
        print_json({"category": category, "ok": False, "problems": [str(error)]})
        context.exit(error.exit_code)
    if as_json:
        print_json(document)
    context.exit(0 if ok else DataError.exit_code)


def _check_one(data: Path, name: str, seed: int, sheet: Path | None) -> tuple[dict[str, Any], bool]:
    from realnet_edge.data import examine, load_category

    with console.status("Decoding images ..."):
        category = load_category(data, name)
        report = examine(category, seed)
        advice = [*_geometry(category), *_few_held_out(report.splits.get("held out", 0))]
    _show(report)
    for line in advice:
        say(f"Advice: {line}")
    _write_sheet(sheet, category.singles)
    document = {**report.to_dict(), "contact_sheet": _name(sheet), "advice": advice}
    return document, report.ok


def _geometry(category: CategoryData) -> list[str]:
    """What `train` would do by default with parts that can be aligned, or else would advise on tiles."""
    chosen = preset(DEFAULT_PRESET)
    lines: list[str] = []
    # Without PyTorch nothing is trained here either.
    if chosen.align and not category.parts and importlib.util.find_spec("torch"):
        with suppress(DataError):
            model, lines = with_alignment(chosen.model, None, True, category.train)
            if model.align:
                return lines
    advice = see_images(category.train).advice(chosen.model.grid)
    return [*lines, advice] if advice else lines


def _few_held_out(count: int) -> list[str]:
    """What to say where a threshold at the default rate takes more good images than are held out."""
    from realnet_edge.calibrate import normals_needed
    from realnet_edge.data.splits import HELD_OUT_SHARE

    needed = normals_needed(DEFAULT_FPR)
    if not 0 < count < needed:
        return []
    more = math.ceil((needed - count) / HELD_OUT_SHARE)
    return [
        f"a threshold set on {count} held-out images guarantees a false-positive rate of "
        f"{1 / (count + 1):.1%}; {DEFAULT_FPR:.0%}, the default of `build`, takes {needed}, so about {more} "
        "more good images."
    ]


def _check_all(data: Path, seed: int, sheet: Path | None) -> tuple[dict[str, Any], bool]:
    from realnet_edge.data import examine_all

    with console.status("Decoding images ...") as status:
        found = examine_all(data, seed, lambda name: status.update(f"Decoding images of {name} ..."))
    _show_all(found)
    written = _write_sheet(sheet, found.usable)
    return {**found.to_dict(), "contact_sheet": _name(sheet) if written else None}, found.ok


def _write_sheet(sheet: Path | None, categories: tuple[CategoryData, ...]) -> bool:
    if sheet is None:
        return False
    if not categories:
        say(f"{sheet} was not written: no category can be listed.")
        return False
    from realnet_edge.cli.contact_sheet import write_contact_sheet

    with console.status("Drawing the contact sheet ..."):
        write_contact_sheet(sheet, categories)
    say(f"Wrote {sheet}: a row of pictures a category.")
    return True


def _name(sheet: Path | None) -> str | None:
    return None if sheet is None else str(sheet)


def _show(report: CategoryReport) -> None:
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=f"{escape(report.category)} ({report.layout} layout)", title_justify="left")
    table.add_column("what")
    table.add_column("images", justify="right")
    sections = (
        report.counts,
        {"defects with a mask": report.masks},
        {f"published: {name}": count for name, count in report.expected.items()},
        {f"split: {name}": count for name, count in report.splits.items()},
        {f"size {name}": count for name, count in report.sizes.items()},
        {f"stored as {name}": count for name, count in report.modes.items()},
    )
    for section in sections:
        for name, count in section.items():
            table.add_row(escape(name), str(count))
        table.add_section()
    console.print(table)
    if report.data_set:
        say(f"{report.category}: {_origin(report)}")
    _say_findings(report, "")
    say(f"{report.root}: " + _verdict(report))


def _show_all(found: CollectionReport) -> None:
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=escape(found.root), title_justify="left")
    table.add_column("category", no_wrap=True)
    for heading in ("train\ngood", "test\ngood", "defects", "masks"):
        table.add_column(heading, justify="right")
    for heading in ("sizes", "as\npublished", "problems"):
        table.add_column(heading)
    for report in found.categories:
        counts = [str(count) for count in report.found.values()]
        table.add_row(
            escape(report.category),
            *counts,
            str(report.masks),
            _sizes(report),
            _compared(report),
            _count(report),
        )
    console.print(table)
    for report in found.categories:
        if report.data_set:
            say(f"{report.category}: {_origin(report)}")
        _say_findings(report, f" {report.category}:")
    for warning in found.warnings:
        say(f"Warning: {warning}")
    ready = sum(report.ok for report in found.categories)
    say(f"{found.root}: {ready} of {len(found.categories)} categories ready.")


def _say_findings(report: CategoryReport, whose: str) -> None:
    for warning in report.warnings:
        say(f"Warning:{whose} {warning}")
    for problem in report.problems:
        say(f"Problem:{whose} {problem}")


def _origin(report: CategoryReport) -> str:
    from realnet_edge.data import DATA_SETS

    title = DATA_SETS[report.data_set].title
    return f"a copy of {title}, recognised by {report.evidence}."


def _sizes(report: CategoryReport) -> str:
    """The most frequent size, and how many others there are."""
    names = list(report.sizes)
    return f"{names[0]} and {len(names) - 1} more" if len(names) > 1 else "".join(names)


def _compared(report: CategoryReport) -> str:
    """Whether the counts are the published ones, and which those are where they are not."""
    if report.complete is None:
        return "unknown"
    return "yes" if report.complete else f"no: {'/'.join(map(str, report.expected.values()))}"


def _count(report: CategoryReport) -> str:
    if report.problems:
        return str(len(report.problems))
    return f"none ({len(report.warnings)} warned of)" if report.warnings else "none"


def _verdict(report: CategoryReport) -> str:
    count = len(report.problems)
    return "ready." if report.ok else f"{count} problem{'s' if count > 1 else ''} to mend."
