"""`realnet-edge synth`: look at synthetic anomalies before training on them."""

from __future__ import annotations

from pathlib import Path

import click

from realnet_edge.cli.options import category_option, data_option, json_option


@click.group()
def command() -> None:
    """Synthetic anomalies, which training uses in place of real defects."""


@command.command()
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
@click.option(
    "--source",
    default=None,
    metavar="SPEC",
    help="Anomaly sources: patches, bends, cutpaste, scratches, textures=FOLDER, joined by commas; each gets "
    "its own columns.  [default: patches,bends,cutpaste,scratches]",
)
@click.option("--images", default=6, show_default=True, type=click.IntRange(1, 64), help="Rows of the sheet.")
@click.option("--size", default=256, show_default=True, type=click.IntRange(32, 2048), help="Side in pixels.")
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
    seed: int,
    out: Path,
    as_json: bool,
) -> None:
    """Write a contact sheet: normal images, their foreground, and anomalies of each source."""
    import numpy as np

    from realnet_edge.cli.output import print_json, say
    from realnet_edge.cli.pictures import refuse_other_suffixes, write_picture
    from realnet_edge.data import load_category
    from realnet_edge.imaging import evenly_spread, load_image, preprocess
    from realnet_edge.synthesis import OWN_SOURCES, make_source, preview_sheet, resolve_foreground

    refuse_other_suffixes("--out", out)
    loaded = load_category(data, category)
    train = loaded.train
    sample = [preprocess(load_image(train[index]), (size, size)) for index in evenly_spread(len(train), 64)]
    rule, reason = resolve_foreground(foreground, sample, loaded.foreground)
    mixture = make_source(source or ",".join(OWN_SOURCES), sample, size, rule)
    rows = sample[:: max(1, len(sample) // images)][:images]
    sheet = preview_sheet(rows, rule, mixture.sources, np.random.default_rng(seed))
    write_picture(out, sheet)
    say(f"Foreground {reason}.")
    say(f"Wrote {out}: {len(rows)} images, sources {', '.join(part.name for part in mixture.sources)}.")
    if as_json:
        print_json(
            {
                "category": category,
                "foreground": rule.to_dict(),
                "reason": reason,
                "sources": [part.name for part in mixture.sources],
                "images": len(rows),
                "out": str(out),
            }
        )
