"""A row's settings: those of a preset, with what the user overrides, and then what the row changes."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from realnet_edge.config import ModelConfig, SynthesisConfig, TrainConfig, blocks_of, grouped
from realnet_edge.data import CategoryData
from realnet_edge.errors import ConfigError, DataError
from realnet_edge.experiments.experiment import SIA, TEXTURES, Change
from realnet_edge.synthesis import Part, format_spec, parse_spec
from realnet_edge.synthesis.nsa_settings import PRESETS as NSA_PRESETS
from realnet_edge.training.alignment_choice import Look, aligned, look, reason_against

# What another backbone brings itself; every other setting of the model stays.
_OF_BACKBONE = frozenset(
    {"backbone", "taps", "planes", "widths", "rrs_max", "rrs_mean", "standardise", "blocks"}
)
_LEAST_WIDTH = 8
_FOLDERS = {TEXTURES: "textures, such as DTD's images/", SIA: "SIA images"}


@dataclass(frozen=True)
class Settings:
    """What one training is told.

    Attributes:
        model, synthesis, train: the three groups.
        align: parts are aligned where a category's images allow, as the preset `edge` has it; `in_category`
            decides, and the model then says so.
    """

    model: ModelConfig
    synthesis: SynthesisConfig
    train: TrainConfig
    align: bool = False

    def to_dict(self) -> dict[str, Any]:
        """The three groups as JSON values."""
        return {
            "model": self.model.to_dict(),
            "synthesis": self.synthesis.to_dict(),
            "train": self.train.to_dict(),
        }

    def with_seed(self, seed: int) -> Settings:
        """The same with another seed of splits, weights, anomalies and order."""
        return dataclasses.replace(self, train=dataclasses.replace(self.train, seed=seed))


def changed(
    base: Settings, change: Change, textures: Path | None, sia: Mapping[str, Path] | None = None
) -> Settings:
    """The settings of a row.

    Args:
        base: what the row starts from.
        change: what it changes.
        textures: the user's folder of textures, such as DTD's images/.
        sia: the user's folders of SIA images by their strength, one of `STRENGTHS`; "" for that of rows that
            ask for none.

    Raises:
        ConfigError: the change needs a folder, or does not fit the preset's network or image size.
    """
    folders = {TEXTURES: textures, SIA: (sia or {}).get(change.strength)}
    synthesis = _synthesis(base.synthesis, change, folders)
    align = base.align if change.align is None else change.align
    return Settings(_model(base.model, change), synthesis, _train(base.train, change), align)


def in_category(settings: Settings, category: CategoryData) -> Settings:
    """The same with what a category itself decides: its anomaly sources, and whether its parts are aligned.

    NSA takes the settings published for it, where there are some, and SIA images come from the folder of its
    name within the one given, where there is one.
    """
    model = settings.model
    if settings.align and not category.parts and not settings.synthesis.rotate:
        # Images that cannot be decoded are the training's to name.
        with suppress(DataError):
            found = _look(category.train)
            model = model if reason_against(model, found) else aligned(model, found)
    return Settings(model, synthesis_in_category(settings.synthesis, category), settings.train)


def synthesis_in_category(synthesis: SynthesisConfig, category: CategoryData) -> SynthesisConfig:
    """The part of `in_category` that concerns anomaly sources; no image is decoded."""
    parts = parse_spec(synthesis.source)
    own = [_own(part, category) for part in parts]
    return synthesis if own == parts else dataclasses.replace(synthesis, source=format_spec(own))


@cache
def _look(paths: tuple[Path, ...]) -> Look:
    """Every row of a plan looks at the same images."""
    return look(paths)


def _own(part: Part, category: CategoryData) -> Part:
    if part.name == "nsa" and not part.choice and category.foreground in NSA_PRESETS:
        return dataclasses.replace(part, choice=category.foreground or "")
    if part.name == SIA and (inside := Path(part.choice) / category.name).is_dir():
        return dataclasses.replace(part, choice=str(inside))
    return part


def _synthesis(base: SynthesisConfig, change: Change, folders: Mapping[str, Path | None]) -> SynthesisConfig:
    source = change.source or base.source
    if change.source in folders:
        source = _folder_source(change.source, folders[change.source], change.strength)
    if change.without_source:
        source = _without(source, change.without_source)
    noise = base.noise if change.noise is None else change.noise
    rotate = base.rotate if change.rotate is None else change.rotate
    return dataclasses.replace(base, source=source, noise=noise, rotate=rotate)


def _without(source: str, name: str) -> str:
    """A specification with one of its sources left out."""
    parts = source.split(",")
    rest = [part for part in parts if part.partition(":")[0].strip() != name]
    if not rest or len(rest) == len(parts):
        raise ConfigError(f"the anomaly source {source} is not {name} and others: nothing to leave out")
    return ",".join(rest)


def _train(base: TrainConfig, change: Change) -> TrainConfig:
    return dataclasses.replace(
        base,
        schedule=change.schedule or base.schedule,
        ema=base.ema if change.ema is None else change.ema,
        rank_noise=base.rank_noise if change.rank_noise is None else change.rank_noise,
        joint=base.joint if change.joint is None else change.joint,
        afs_batches=change.afs_batches or base.afs_batches,
    )


def _folder_source(name: str, given: Path | None, strength: str) -> str:
    if given is None:
        of_strength = (f" of strength {strength}", f" {strength}=FOLDER") if strength else ("", "")
        raise ConfigError(
            f"it needs a folder of {_FOLDERS[name]}{of_strength[0]}: give it with --{name}{of_strength[1]}"
        )
    folder = given.resolve()
    if "," in str(folder):
        raise ConfigError(
            f"--{name} {folder}: a comma separates sources, so a folder with one in its path cannot be "
            "named. Give a link to it without one."
        )
    return f"{name}={folder}:1"


def _model(base: ModelConfig, change: Change) -> ModelConfig:
    model = base
    if change.backbone:
        kept = {
            field.name: getattr(base, field.name)
            for field in dataclasses.fields(ModelConfig)
            if field.name not in _OF_BACKBONE
        }
        model = ModelConfig.for_backbone(change.backbone, **kept, planes=change.planes)
    if change.halve:
        model = model.with_planes(tuple(max(1, planes // 2) for planes in model.planes))
    changes: dict[str, Any] = _resized(model, change.image_size or model.image_size * change.scale)
    for name in ("selection", "rrs_order"):
        if value := getattr(change, name):
            changes[name] = value
    if change.standardise is not None:
        changes["standardise"] = change.standardise
    if change.drop_finest:
        changes |= _coarser(model)
    if change.widen != 1:
        widths = (math.ceil(width * change.widen / _LEAST_WIDTH) * _LEAST_WIDTH for width in model.widths)
        changes["widths"] = tuple(widths)
    if change.architecture:
        blocks = blocks_of(change.architecture, len(model.taps))
        # A block is as wide as its taps' own U-Nets were together.
        changes |= {"blocks": blocks, "widths": tuple(sum(w) for w in grouped(model.widths, blocks))}
    if change.rrs:
        changes |= _rrs(change, sum(model.planes))
    return dataclasses.replace(model, **changes)


def _resized(model: ModelConfig, size: int) -> dict[str, Any]:
    """Another image size; attention stays with the layers that have it, so its limit grows with the area."""
    limit = math.ceil(model.attention_limit * (size / model.image_size) ** 2)
    return {"image_size": size, "attention_limit": limit}


def _coarser(model: ModelConfig) -> dict[str, Any]:
    """The network without its finest tap; RRS keeps the same share of fewer planes."""
    if model.blocks:
        raise ConfigError(f"blocks are {model.blocks}, and the finest tap shares one: it cannot be left out")
    share = sum(model.planes[1:]) / sum(model.planes)
    return {
        "taps": model.taps[1:],
        "planes": model.planes[1:],
        "widths": model.widths[1:],
        "rrs_max": round(share * model.rrs_max),
        "rrs_mean": round(share * model.rrs_mean),
    }


def _rrs(change: Change, total: int) -> dict[str, Any]:
    if change.rrs == "none":
        # Every plane is chosen and has its own place: nothing is left of the choice, not even its order.
        return {"rrs_max": total, "rrs_mean": 0, "rrs_order": "plane"}
    kept = max(1, round(change.retention * total))
    if change.rrs == "both":
        half = max(1, round(change.retention * total / 2))
        return {"rrs_max": half, "rrs_mean": half}
    return {"rrs_max": kept if change.rrs == "max" else 0, "rrs_mean": kept if change.rrs == "mean" else 0}
