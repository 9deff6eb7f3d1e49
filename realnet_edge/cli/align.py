"""Alignment of parts on the command line: how it is written, and what it makes of a model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from realnet_edge.cli.pairs import Pair, pair_or
from realnet_edge.config import ModelConfig

AUTO, OFF = "auto", "off"


align_option = click.option(
    "--align",
    callback=pair_or((AUTO, OFF), "height x width of a strip, such as 128x384"),
    metavar="auto|off|HEIGHTxWIDTH",
    help="Turn every part into one pose and show the network a strip along it, for parts longer than wide. "
    "auto: the strip that costs no more than the image size.  [default: off; with the preset edge auto where "
    "images allow]",
)


def with_alignment(
    model: ModelConfig, wanted: Pair | str | None, by_default: bool, paths: Sequence[Path]
) -> tuple[ModelConfig, list[str]]:
    """The model with the alignment that `--align` asks for or the preset has, and what to say about it.

    Args:
        wanted: what `--align` says.
        by_default: without a wish, parts are aligned where the images allow, by the rule of
            `realnet_edge.training.alignment_choice`.
        paths: good images, some of which are looked at.

    Raises:
        ConfigError, DataError: a wish that cannot be met.
    """
    if wanted == OFF or (wanted is None and not by_default):
        return model, []
    from realnet_edge.training.alignment_choice import aligned, look, reason_against, reason_for

    found = look(paths)
    if wanted is None:
        if (reason := reason_against(model, found)) is not None:
            return model, [f"parts are not aligned: {reason}"]
        reason = reason_for(model, found)
        return aligned(model, found), [f"parts are aligned: {reason}; --align off leaves them as they lie"]
    return aligned(model, found, wanted if isinstance(wanted, tuple) else None), []
