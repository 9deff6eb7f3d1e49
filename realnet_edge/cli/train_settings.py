"""From a preset and the options of `realnet-edge train` to settings."""

from __future__ import annotations

import dataclasses
from typing import Any

import click

from realnet_edge.backbones import BACKBONES
from realnet_edge.config import (
    ARCHITECTURES,
    CHECKPOINT_BY,
    ModelConfig,
    SynthesisConfig,
    TrainConfig,
    blocks_of,
    grouped,
)
from realnet_edge.errors import ConfigError
from realnet_edge.presets import Preset


def read_numbers(
    _context: click.Context, _parameter: click.Parameter, value: str | None
) -> tuple[int, ...] | None:
    """Read "24,48,96" as a tuple of whole numbers."""
    if value is None:
        return None
    try:
        return tuple(int(part) for part in value.split(","))
    except ValueError as error:
        raise click.BadParameter(f"{value!r} is not a list of whole numbers such as 24,48,96.") from error


def refuse_test_set(_context: click.Context, _parameter: click.Parameter, value: str) -> None:
    """`reproduce` can choose its checkpoints on test images; what is to inspect parts cannot be made so."""
    if value != CHECKPOINT_BY[0]:
        raise click.BadParameter(
            "train never looks at test images: a checkpoint chosen on them would have no image left that "
            "tells how good it is. `realnet-edge reproduce` has this option, for comparison with the paper."
        )


def settings_of(base: Preset, given: dict[str, Any]) -> tuple[ModelConfig, SynthesisConfig, TrainConfig]:
    """The preset's settings with some of them changed.

    Args:
        base: what holds where nothing else is given.
        given: option -> value; every one must be a setting of one of the three.

    Raises:
        ConfigError: a value that is not valid, or not together with the others.
    """
    rest = dict(given)
    model = _model_config(base.model, _taken(rest, ModelConfig))
    synthesis = dataclasses.replace(base.synthesis, **_taken(rest, SynthesisConfig))
    return model, synthesis, dataclasses.replace(base.train, **rest)


def _taken(given: dict[str, Any], settings: type[ModelConfig] | type[SynthesisConfig]) -> dict[str, Any]:
    """Take out of `given` the options that are settings of this class."""
    names = [field.name for field in dataclasses.fields(settings)]
    return {name: given.pop(name) for name in names if name in given}


def _model_config(base: ModelConfig, changes: dict[str, Any]) -> ModelConfig:
    """Apply options to the preset's model; another backbone or other taps bring their own sizes."""
    backbone = changes.get("backbone", base.backbone)
    same_taps = backbone == base.backbone and "taps" not in changes
    if same_taps and "planes" in changes:
        base = base.with_planes(changes["planes"])
    if "blocks" in changes:
        known = base.taps if same_taps else BACKBONES[backbone].default_taps
        blocks = _blocks(changes["blocks"], len(changes.get("taps", known)))
        changes = {**changes, "blocks": blocks}
        if same_taps:
            # A block is as wide as its taps' own U-Nets were together.
            widths = tuple(sum(parts) for parts in grouped(base.widths, blocks))
            changes = {"widths": widths, **changes}
    if same_taps:
        return dataclasses.replace(base, **changes)
    kept = (
        "image_size",
        "score_rule",
        "match_exposure",
        "group_width",
        "attention_limit",
        "rrs_order",
        "selection",
        "align",
        "align_from",
    )
    settings = {**{key: getattr(base, key) for key in kept}, **changes}
    return ModelConfig.for_backbone(**{**settings, "backbone": backbone})


def _blocks(architecture: str, taps: int) -> tuple[int, ...]:
    """An architecture's letter, or numbers such as 2,2, as `ModelConfig.blocks`."""
    if architecture in ARCHITECTURES:
        return blocks_of(architecture, taps)
    try:
        return tuple(int(part) for part in architecture.split(","))
    except ValueError as error:
        raise ConfigError(
            f"architecture is {architecture!r}; valid: {', '.join(ARCHITECTURES)}, or how many taps each "
            "block takes, such as 2,2."
        ) from error
