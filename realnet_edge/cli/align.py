"""Alignment of parts on the command line: how it is written, and what it makes of a model."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from realnet_edge.cli.pairs import Pair, pair_or
from realnet_edge.config import ModelConfig
from realnet_edge.errors import ConfigError
from realnet_edge.presets import DEFAULT_PRESET, preset

if TYPE_CHECKING:
    from realnet_edge.synthesis import View

AUTO, OFF = "auto", "off"


ALIGN_METAVAR = "auto|off|WIDTHxHEIGHT"
_read_strip = pair_or((AUTO, OFF), "width x height of a strip, such as 384x128")


def read_align(context: click.Context, parameter: click.Parameter, value: str | None) -> Pair | str | None:
    """A click callback: a strip's (height, width), or the word that was given."""
    found = _read_strip(context, parameter, value)
    if not isinstance(found, tuple):
        return found
    width, height = found
    if width < height:
        raise click.BadParameter(
            f"{value!r} is higher than wide, but parts lie along their strip: give width x height, such as "
            f"{height}x{width}."
        )
    return height, width


align_option = click.option(
    "--align",
    callback=read_align,
    metavar=ALIGN_METAVAR,
    help="Turn every part into one pose and show the network a strip along it, for parts longer than wide. "
    "auto: the strip that costs no more than the image size; a size must be of multiples of 64 with the "
    "preset edge.  [default: off; with the preset edge auto where images allow]",
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
    from realnet_edge.training.alignment_choice import (
        aligned,
        look,
        reason_against,
        reason_for,
        strip_advice,
    )

    found = look(paths)
    lines = []
    if wanted is None:
        if (reason := reason_against(model, found)) is not None:
            return model, [f"parts are not aligned: {reason}"]
        lines.append(f"parts are aligned: {reason_for(model, found)}; --align off leaves them as they lie")
    model = aligned(model, found, wanted if isinstance(wanted, tuple) else None)
    if (advice := strip_advice(model, found)) is not None:
        lines.append(advice)
    return model, lines


def refuse_tiles(wanted: Pair | str | None, tiles: Pair | str | None) -> None:
    """Refuse `--align` and `--tiles` together.

    Raises:
        ConfigError: both are wished for.
    """
    if wanted not in (None, OFF) and tiles not in (None, (1, 1)):
        raise ConfigError("--align and --tiles contradict each other: a strip is not cut. Give one of them.")


def turned_strips(degrees: float) -> str:
    """What to say where aligned parts shall be turned in training, too."""
    return (
        f"--rotate {degrees:g} turns the strips, though aligned parts all lie alike, and what leaves a strip "
        "is lost. Leave --rotate out, or give --align off."
    )


def preview_view(paths: Sequence[Path], side: int, wanted: Pair | str | None) -> tuple[View, str] | None:
    """What a network of this image size sees of aligned parts, and how they were found; None without a wish.

    Raises:
        ConfigError, DataError: a wish that cannot be met.
        DependencyError: PyTorch, which aligns, is not installed.
    """
    if wanted in (None, OFF):
        return None
    from realnet_edge.cli.training_packages import need_training_packages

    need_training_packages("synth preview --align")
    from realnet_edge.model.alignment import PartAlignment
    from realnet_edge.training.fixture import fitted_view

    plain = dataclasses.replace(preset(DEFAULT_PRESET).model, image_size=side)
    model, _ = with_alignment(plain, wanted, False, paths)
    return fitted_view(PartAlignment(model.input_size, model.seen_size), paths)
