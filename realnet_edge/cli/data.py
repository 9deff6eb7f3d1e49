"""`realnet-edge data`: check a data folder, or write the ELPV example."""

from __future__ import annotations

from pathlib import Path

import click

from realnet_edge.cli.data_check import check
from realnet_edge.cli.options import json_option
from realnet_edge.cli.output import print_json, say


@click.group("data")
def command() -> None:
    """Check a data folder, or write the ELPV example."""


command.add_command(check)


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
