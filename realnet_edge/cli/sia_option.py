"""The option that names folders of SIA images, one for all or one a strength."""

from __future__ import annotations

from pathlib import Path

import click

from realnet_edge.experiments.experiment import STRENGTHS


def read_sia(
    _context: click.Context, _parameter: click.Parameter, values: tuple[str, ...]
) -> dict[str, Path]:
    """Read "FOLDER" and "0.1:0.2=FOLDER" as folders by strength, "" where none is named."""
    found: dict[str, Path] = {}
    for value in values:
        strength, equals, rest = value.partition("=")
        # A folder's own name may have an equals sign in it.
        if not equals or strength not in STRENGTHS or Path(value).is_dir():
            strength, rest = "", value
        if not rest or not Path(rest).is_dir():
            raise click.BadParameter(
                f"{rest!r} is no folder. Give FOLDER or STRENGTH=FOLDER, of {', '.join(STRENGTHS)}."
            )
        if strength in found:
            raise click.BadParameter(f"{value!r} is the second folder for the same rows; give one of each.")
        found[strength] = Path(rest)
    for strength, folder in found.items():
        if strength:
            _refuse_other_strength(strength, folder)
    return found


def _refuse_other_strength(strength: str, folder: Path) -> None:
    """Refuse a folder that says of its images, or of a category's in it, that they have another strength."""
    from realnet_edge.synthesis.sia import MANIFEST, read_manifest

    lowest, _, highest = strength.partition(":")
    wanted = [float(lowest), float(highest or lowest)]
    for place in (folder, *sorted(folder.iterdir())):
        if (place / MANIFEST).is_file() and (stated := read_manifest(place).get("strength")) != wanted:
            raise click.BadParameter(
                f"{place / MANIFEST} states the strength {stated}, and {wanted} was said of it."
            )


sia_option = click.option(
    "--sia",
    multiple=True,
    callback=read_sia,
    metavar="[STRENGTH=]FOLDER",
    help="Folder of SIA images, or of a folder of them for each category; rows named SIA need it. Repeatable "
    f"with a strength before it, one of {', '.join(STRENGTHS)}, for the rows of table5b.",
)
