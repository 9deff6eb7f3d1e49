"""`realnet-edge data`: check a data folder, or write the ELPV example."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from realnet_edge.cli.options import category_option, data_option, json_option
from realnet_edge.cli.output import console, print_json, say
from realnet_edge.cli.tiles import see_images
from realnet_edge.errors import DataError
from realnet_edge.presets import DEFAULT_PRESET, preset

if TYPE_CHECKING:
    from realnet_edge.data import CategoryReport


@click.group("data")
def command() -> None:
    """Check a data folder, or write the ELPV example."""


@command.command("check")
@data_option
@category_option
@click.option("--seed", default=0, show_default=True, help="Seed of the split that is shown.")
@json_option
@click.pass_context
def check(context: click.Context, data: Path, category: str, seed: int, as_json: bool) -> None:
    """Decode every image and mask of a category; exit with 1 if there is a problem.

    Says so where images are so much larger than what `train` takes by default that small defects would be
    lost.
    """
    from realnet_edge.data import examine, load_category

    try:
        with console.status("Decoding images ..."):
            images = load_category(data, category)
            report = examine(images, seed)
            advice = see_images(images.train).advice(preset(DEFAULT_PRESET).model.grid)
    except DataError as error:
        if not as_json:
            raise
        print_json({"category": category, "ok": False, "problems": [str(error)]})
        context.exit(error.exit_code)
    if as_json:
        print_json({**report.to_dict(), "advice": [advice] if advice else []})
    else:
        _show(report)
        if advice:
            say(f"Advice: {advice}")
    context.exit(0 if report.ok else DataError.exit_code)


@command.command("elpv")
@click.argument("dest", type=click.Path(file_okay=False, path_type=Path))
@click.option("--seed", type=int, show_default="0", help="Decides which cells are drawn.")
@click.option("--in-order", is_flag=True, help="Draw none: take the first ones in the package's own order.")
@json_option
def elpv(dest: Path, seed: int | None, in_order: bool, as_json: bool) -> None:
    """Write the ELPV solar cells to DEST as the categories elpv-mono and elpv-poly.

    The images come from the Python package elpv-dataset (CC BY-NC-SA 4.0, not for commercial use).
    """
    from realnet_edge.data import CELL_KINDS, write_elpv

    if in_order and seed is not None:
        raise click.UsageError("--seed draws cells and --in-order draws none: give one of them.")
    made = [write_elpv(dest, kind, None if in_order else seed or 0) for kind in CELL_KINDS]
    for category in made:
        say(
            f"{category.root}: {category.train_good} good to train, {category.test_good} good and "
            f"{category.test_defect} defective to test" + ("" if category.written else " (was there already)")
        )
        if category.shortfall:
            say(f"Warning: {category.shortfall}")
    if as_json:
        print_json([category.to_dict() for category in made])


def _show(report: CategoryReport) -> None:
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=f"{escape(report.category)} ({report.layout} layout)", title_justify="left")
    table.add_column("what")
    table.add_column("images", justify="right")
    sections = (
        report.counts,
        {"defects with a mask": report.masks},
        {f"split: {name}": count for name, count in report.splits.items()},
        {f"size {name}": count for name, count in report.sizes.items()},
        {f"stored as {name}": count for name, count in report.modes.items()},
    )
    for section in sections:
        for name, count in section.items():
            table.add_row(escape(name), str(count))
        table.add_section()
    console.print(table)
    for warning in report.warnings:
        say(f"Warning: {warning}")
    for problem in report.problems:
        say(f"Problem: {problem}")
    say(f"{report.root}: " + ("ready." if report.ok else f"{len(report.problems)} problems to mend."))
