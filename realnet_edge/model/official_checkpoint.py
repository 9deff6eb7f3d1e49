"""Checkpoints of the official implementation: what their tensors say about the network, and back again."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from realnet_edge.config import ModelConfig
from realnet_edge.errors import CheckpointError, ConfigError
from realnet_edge.files import atomic_path
from realnet_edge.model.backbone import FrozenBackbone
from realnet_edge.model.official import AFS, official_state, translate_state
from realnet_edge.model.official_pickle import read_pickle
from realnet_edge.model.realnet import RealNet
from realnet_edge.model.weights import load_state

# The official name of timm's first tap; ResNets' stem, timm's tap 0, has none there.
_FIRST_LAYER = {"resnet18": 0, "resnet34": 0, "resnet50": 0, "wide_resnet50_2": 0, "efficientnet_b4": 1}
_SELECTION = re.compile(r"^afs\.indexes\.block(\d+)_layer(\d+)$")
_BACKBONE = "backbone.feature_extractor."
_MODES = ("max", "mean")


@dataclass(frozen=True)
class OfficialCheckpoint:
    """An official checkpoint as a network of ours.

    Attributes:
        model: in evaluation mode.
        config: the structure that its tensors and settings state.
        epoch: when it was saved; None where the file does not say.
        best_metric: the official key metric on the test images, in percent or 0..1 as it was stored.
        assumed: what the file does not say and was assumed, one sentence each.
    """

    model: RealNet
    config: ModelConfig
    epoch: int | None
    best_metric: float | None
    assumed: tuple[str, ...]


def read_official(
    path: Path, image_size: int = 256, rrs_max: int | None = None, rrs_mean: int | None = None
) -> OfficialCheckpoint:
    """Read a checkpoint that the official training saved.

    Backbone, taps, blocks, planes and widths follow from names and shapes of its tensors, the modes of RRS
    from the settings that are stored beside them.

    Args:
        path: a file of `torch.save`: {"epoch", "arch", "state_dict", "best_metric"}, or a state_dict alone.
        image_size: side of the images that it takes, in pixels; not in the file.
        rrs_max, rrs_mean: planes that RRS keeps in each mode, where the file does not say.

    Raises:
        CheckpointError: not readable, not a RealNet, or a tensor that does not fit; the first one is named.
    """
    document = read_pickle(path)
    stored = document.get("state_dict", document)
    state = {str(key).removeprefix("module."): value for key, value in stored.items()}
    if not all(isinstance(value, Tensor) for value in state.values()):
        raise CheckpointError(f"{path}: its state_dict holds more than tensors.")
    try:
        taps, planes, blocks = _selected(state)
        backbone, taps = _backbone(state, taps)
        total = _shape(state, "rrs.decoder1.1.weight")[1]
        kept, assumed = _rrs_modes(document.get("arch"), total, rrs_max, rrs_mean)
        config = ModelConfig(
            backbone=backbone,
            taps=taps,
            planes=planes,
            widths=tuple(
                _shape(state, f"recon.block{block + 1}_recon.input_blocks.0.weight")[0]
                for block in range(len(blocks))
            ),
            rrs_max=kept[0],
            rrs_mean=kept[1],
            image_size=image_size,
            blocks=() if set(blocks) == {1} else blocks,
        )
        model = RealNet(config)
        _require_fit(model, state)
        load_state(model, _complete(model, translate_state(state)))
    except (CheckpointError, ConfigError) as error:
        raise CheckpointError(f"{path}: {error}") from error
    epoch, metric = document.get("epoch"), document.get("best_metric")
    return OfficialCheckpoint(
        model.eval(),
        config,
        epoch if isinstance(epoch, int) else None,
        None if metric is None else float(metric),
        (*assumed, f"images of {image_size} x {image_size} pixels"),
    )


def write_official(path: Path, model: RealNet) -> None:
    """Write a model as the official code reads it; `path` is replaced only when all is written.

    Raises:
        CheckpointError: the model has something that the official network has not; all of it is listed.
    """
    config = model.config
    ours = _not_official(config)
    if ours:
        raise CheckpointError(
            f"the official RealNet cannot hold this model: {'; '.join(ours)}. Models trained with "
            "`--preset paper` can be exported."
        )
    first = _FIRST_LAYER[config.backbone]
    selections = [
        f"block{block + 1}_layer{tap + first}"
        for block, taps in enumerate(config.grouped(config.taps))
        for tap in taps
    ]
    state = {key: value.detach().cpu() for key, value in official_state(model, selections).items()}
    document = {"epoch": 0, "arch": _arch(config), "state_dict": state, "best_metric": 0.0}
    with atomic_path(path) as temporary:
        torch.save(document, temporary)


def _selected(state: Mapping[str, Tensor]) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """Official layer numbers and planes of the taps, finest first, and how many taps each block takes."""
    found = sorted((int(m[1]), int(m[2]), key) for key in state if (m := _SELECTION.match(key)))
    if not found:
        shown = ", ".join(list(state)[:3]) or "none at all"
        raise CheckpointError(
            f"not a RealNet: no key is of the form afs.indexes.block1_layer1 (its keys are {shown}, ...)."
        )
    blocks = Counter(block for block, _, _ in found)
    if sorted(blocks) != list(range(1, len(blocks) + 1)):
        raise CheckpointError(f"its blocks are numbered {sorted(blocks)}, expected 1, 2, ...")
    layers = tuple(layer for _, layer, _ in found)
    planes = tuple(len(state[key]) for _, _, key in found)
    return layers, planes, tuple(blocks[block] for block in sorted(blocks))


def _backbone(state: Mapping[str, Tensor], layers: tuple[int, ...]) -> tuple[str, tuple[int, ...]]:
    """The backbone whose tensors these are, and the taps as timm counts them."""
    given = {key.removeprefix(_BACKBONE): v.shape for key, v in state.items() if key.startswith(_BACKBONE)}
    fits: dict[str, tuple[int, tuple[int, ...]]] = {}
    misfits = {}
    for name, first in _FIRST_LAYER.items():
        taps = tuple(layer - first for layer in layers)
        try:
            config = ModelConfig.for_backbone(name, taps=taps, image_size=1024)
        except ConfigError as error:
            misfits[name] = f"no layers {layers} ({error})"
            continue
        with torch.device("meta"):
            wanted = {k: v.shape for k, v in FrozenBackbone(config).features.state_dict().items()}
        wrong = next((key for key, shape in wanted.items() if given.get(key) != shape), None)
        if wrong is None:
            fits[name] = len(wanted), taps
        else:
            misfits[name] = f"{_BACKBONE}{wrong} is not {tuple(wanted[wrong])}"
    if fits:
        # All of ResNet18's tensors are also in ResNet34.
        best = max(fits, key=lambda name: fits[name][0])
        return best, fits[best][1]
    listed = "".join(f"\n  {name}: {reason}" for name, reason in misfits.items())
    raise CheckpointError(f"its backbone is none of the official ones:{listed}")


def _rrs_modes(
    arch: Any, total: int, rrs_max: int | None, rrs_mean: int | None
) -> tuple[tuple[int, int], tuple[str, ...]]:
    """Planes kept by maximum and by mean, and what had to be assumed."""
    if rrs_max is not None or rrs_mean is not None:
        by_max = rrs_max if rrs_max is not None else total - (rrs_mean or 0)
        by_mean = rrs_mean if rrs_mean is not None else total - by_max
        if by_max + by_mean != total or min(by_max, by_mean) < 0:
            raise CheckpointError(
                f"rrs_max {by_max} and rrs_mean {by_mean} given, but its discriminator takes {total} planes."
            )
        return (by_max, by_mean), ()
    settings = _net_settings(arch, "rrs")
    if settings is None:
        halves = (total - total // 2, total // 2)
        return halves, (f"RRS keeps {halves[0]} planes by their maximum and {halves[1]} by their mean",)
    modes, numbers = list(settings.get("modes", ())), list(settings.get("mode_numbers", ()))
    kept = dict(zip(modes, numbers, strict=False))
    if modes != [mode for mode in _MODES if mode in kept] or sum(kept.values()) != total:
        raise CheckpointError(
            f"its RRS has the modes {modes} with {numbers} planes for a discriminator of {total}; expected "
            "max, mean, or max before mean, and as many planes."
        )
    return (int(kept.get("max", 0)), int(kept.get("mean", 0))), ()


def _net_settings(arch: Any, part: str) -> dict[str, Any] | None:
    """Settings of one part in the official `arch`, a list of {"name", "kwargs"}."""
    for entry in arch if isinstance(arch, list) else ():
        if isinstance(entry, dict) and entry.get("name") == part:
            settings = entry.get("kwargs")
            return dict(settings) if isinstance(settings, dict) else None
    return None


def _require_fit(model: RealNet, state: Mapping[str, Tensor]) -> None:
    """Refuse a tensor that is missing, of another shape or unknown, by the name that it has in the file."""
    selections = [key.removeprefix(AFS) for key in sorted(state) if key.startswith(AFS)]
    wanted = official_state(model, selections)
    for key, tensor in wanted.items():
        shape = _shape(state, key)
        if shape != tensor.shape:
            raise CheckpointError(
                f"{key!r} has shape {tuple(shape)}; the network that the other tensors state needs "
                f"{tuple(tensor.shape)}."
            )
    # Stages of the backbone behind the last tap are of no use here.
    unknown = next((key for key in state if key not in wanted and not key.startswith(_BACKBONE)), None)
    if unknown is not None:
        raise CheckpointError(f"{unknown!r} belongs to nothing in the network that the other tensors state.")


def _complete(model: RealNet, translated: dict[str, Tensor]) -> dict[str, Tensor]:
    """Add what only we have, at rest, and leave out stages of the backbone behind the last tap."""
    own = model.state_dict()
    resting = {k: v for k, v in own.items() if k.startswith("afs.") and not k.endswith(".index")}
    used = {k: v for k, v in translated.items() if k in own or not k.startswith("backbone.")}
    return {**resting, **used}


def _shape(state: Mapping[str, Tensor], key: str) -> torch.Size:
    if key not in state:
        raise CheckpointError(f"{key!r} is missing.")
    return state[key].shape


def _not_official(config: ModelConfig) -> list[str]:
    """What of a structure the official network has not."""
    found = []
    if config.backbone not in _FIRST_LAYER:
        found.append(f"backbone {config.backbone} (official: {', '.join(_FIRST_LAYER)})")
    elif config.taps[0] + _FIRST_LAYER[config.backbone] < 1:
        found.append("a tap at the stem")
    published = ModelConfig()
    names = ("standardise", "match_exposure", "group_width", "attention_limit", "rrs_order")
    values = {name: getattr(config, name) for name in names}
    found += [f"{name} is {value!r}" for name, value in values.items() if value != getattr(published, name)]
    if config.grid.count > 1:
        found.append(f"tiles is {config.tiles!r}")
    if config.align:
        found.append(f"parts are aligned to strips of {config.align!r}")
    if config.selection == "projection":
        found.append("planes are projected")
    # Norms of 32 groups and attention heads of 64, on levels of 1, 2 and 4 widths.
    if any(width % 32 for width in config.widths):
        found.append(f"widths {config.widths} are not multiples of 32")
    if config.widths != tuple(int(_ratio(config) * planes) for planes in config.block_planes):
        found.append(f"widths {config.widths} are not one share of the blocks' planes {config.block_planes}")
    return found


def _ratio(config: ModelConfig) -> float:
    """Width of a U-Net as a share of what it reconstructs: one number for all blocks there."""
    return config.widths[0] / config.block_planes[0]


def _arch(config: ModelConfig) -> list[dict[str, Any]]:
    """The official settings of the network, as its training stores them."""
    kept = {"max": config.rrs_max, "mean": config.rrs_mean}
    modes = [mode for mode in _MODES if kept[mode]]
    return [
        {"name": "backbone", "kwargs": {"backbone": config.backbone}},
        {"name": "afs", "kwargs": {"init_bsn": 64}},
        {"name": "recon", "kwargs": {"hide_channels_ratio": _ratio(config)}},
        {"name": "rrs", "kwargs": {"modes": modes, "mode_numbers": [kept[mode] for mode in modes]}},
    ]
