"""`realnet-edge synth preview`: a picture of what training will see."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from realnet_edge.cli.align import ALIGN_METAVAR, preview_view, read_align, refuse_tiles
from realnet_edge.cli.options import category_option, data_option, json_option, source_option
from realnet_edge.cli.tiles import tile_grid, tile_options
from realnet_edge.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from realnet_edge.synthesis import View
    from realnet_edge.tiles import TileGrid

# Images that patches come from, and that rows are taken of.
_SAMPLE = 64


@click.command()
@data_option
@category_option
@click.option(
    "--foreground",
    default="auto",
    show_default=True,
    metavar="RULE",
    help="Where anomalies may lie: auto (the published rule for a copy of a published data set, else chosen "
    "from the images), whole, a rule such as otsu:dark:6:6, or a published one such as mvtec/screw.",
)
@source_option("Anomaly sources, by default all that need no folder; each gets rows of its own:")
@click.option("--images", default=2, show_default=True, type=click.IntRange(1, 64), help="Rows a source.")
@click.option(
    "--size",
    default=256,
    show_default=True,
    type=click.IntRange(32, 2048),
    help="Side in pixels of the square the network sees: image or tile.",
)
@click.option(
    "--align",
    callback=read_align,
    metavar=ALIGN_METAVAR,
    help="Show strips of aligned parts, as `train` does with them; auto: strips of no more pixels than the "
    "square.  [default: off]",
)
@tile_options
@click.option(
    "--seed", default=0, show_default=True, type=click.IntRange(min=0), help="Another seed, other anomalies."
)
@click.option(
    "--out",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="Picture to write, by its suffix PNG, JPEG, WebP or BMP.",
)
@json_option
def preview(
    data: Path,
    category: str,
    foreground: str,
    source: str | None,
    images: int,
    size: int,
    align: tuple[int, int] | str | None,
    tiles: tuple[int, int] | str | None,
    tile_overlap: int | None,
    seed: int,
    out: Path,
    as_json: bool,
) -> None:
    """Write a contact sheet: for each source normal image, foreground, mask, anomaly, blend, and a close-up.

    With --tiles each row is a tile of an image, with --align the strip of a part, as training sees it.
    """
    import numpy as np

    from realnet_edge.cli.output import print_json, say
    from realnet_edge.cli.pictures import refuse_other_suffixes, write_picture
    from realnet_edge.data import load_category
    from realnet_edge.synthesis import OWN_SOURCES, foreground_of_files, make_source, preview_sheet

    refuse_other_suffixes("--out", out)
    refuse_tiles(align, tiles)
    loaded = load_category(data, category)
    if loaded.parts:
        # Each has a foreground of its own.
        names = ", ".join(part.name for part in loaded.parts)
        raise DataError(f"a preview is of one category: give --category with one of {names}.")
    train = loaded.train
    grid = tile_grid(size, tiles, tile_overlap, train)
    aligned = preview_view(train, size, align)
    view = aligned[0] if aligned else None
    sample = _sample(train, grid, view)
    rule, reason = foreground_of_files(train, grid.size, foreground, loaded.foreground, view)
    whole = sample[0].shape[:2]
    seen = whole if view else grid.side
    mixture = make_source(source or ",".join(OWN_SOURCES), sample, seen, rule, whole)
    rows = sample[:: max(1, len(sample) // images)][:images]
    sheet = preview_sheet(rows, rule, mixture.sources, np.random.default_rng(seed), grid)
    write_picture(out, sheet)
    if aligned:
        say(f"Alignment: {aligned[1]}.")
    say(f"Foreground {reason}.")
    if grid.count > 1:
        say(f"Tiles: {grid.rows}x{grid.columns} of {grid.side} x {grid.side} pixels, one of them a row.")
    say(f"Wrote {out}: {len(rows)} images a source, {', '.join(part.name for part in mixture.sources)}.")
    if as_json:
        print_json(
            {
                "category": category,
                "foreground": rule.to_dict(),
                "reason": reason,
                "sources": [part.name for part in mixture.sources],
                "images": len(rows),
                "tiles": [grid.rows, grid.columns],
                "tile_overlap": grid.overlap,
                "align": list(whole) if view else None,
                "out": str(out),
            }
        )


def _sample(paths: Sequence[Path], grid: TileGrid, view: View | None) -> list[npt.NDArray[np.uint8]]:
    """Some images as training has them, (H, W, 3) uint8: whole, or the strips of their parts."""
    from realnet_edge.imaging import evenly_spread, load_batch

    chosen = [paths[index] for index in evenly_spread(len(paths), _SAMPLE)]
    images = load_batch(chosen, view.size if view else grid.size)
    return [view.make(image) for image in images] if view else list(images)
