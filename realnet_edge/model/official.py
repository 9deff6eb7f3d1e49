"""The official implementation's state_dict keys, translated into ours and back."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

from realnet_edge.model.realnet import RealNet
from realnet_edge.model.unet import AttentionBlock, ResidualBlock

_RULES = [
    (re.compile(pattern), replacement)
    for pattern, replacement in [
        (r"^backbone\.feature_extractor\.", "backbone.features."),
        (r"^rrs\.bn_idx\.", "rrs.norm."),
        (r"^rrs\.decoder1\.0\._layers\.(\d+)\._block\.1\.", r"discriminator.residual.\1.conv."),
        (r"^rrs\.decoder1\.0\._layers\.(\d+)\._block\.3\.", r"discriminator.residual.\1.pointwise."),
        (r"^rrs\.decoder1\.1\.", "discriminator.reduce.0."),
        (r"^rrs\.decoder1\.2\.", "discriminator.reduce.1."),
        (r"^rrs\.decoder2\.", "discriminator.narrow."),
        (r"^rrs\.decoder3\.", "discriminator.head."),
    ]
]
_RECON = re.compile(r"^recon\.block(\d+)_recon\.")
_AFS = "afs.indexes."
_INNER = [
    (".in_layers.0.", ".norm."),
    (".in_layers.2.", ".conv."),
    (".skip_connection.", ".skip."),
    (".h_upd.conv.", ".resample_main."),
    (".x_upd.conv.", ".resample_skip."),
    (".proj_out.", ".proj."),
]


def translate_key(key: str) -> str:
    """Our name of an official state_dict key, those of AFS excepted."""
    if match := _RECON.match(key):
        key = f"reconstruction.{int(match[1]) - 1}." + key[match.end() :]
        for official, ours in _INNER:
            key = key.replace(official, ours)
        return key
    for pattern, replacement in _RULES:
        key = pattern.sub(replacement, key)
    return key


def translate_state(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """An official state_dict under our names; tensors are passed on unchanged."""
    # Named by block and layer there; in order of their names they are the taps, finest first.
    selections = sorted(key for key in state if key.startswith(_AFS))
    names = {key: f"afs.{tap}.index" for tap, key in enumerate(selections)}
    return {names.get(key) or translate_key(key): tensor for key, tensor in state.items()}


_BACK = [
    (re.compile(pattern), replacement)
    for pattern, replacement in [
        (r"^backbone\.features\.", "backbone.feature_extractor."),
        (r"^rrs\.norm\.", "rrs.bn_idx."),
        (r"^discriminator\.residual\.(\d+)\.conv\.", r"rrs.decoder1.0._layers.\1._block.1."),
        (r"^discriminator\.residual\.(\d+)\.pointwise\.", r"rrs.decoder1.0._layers.\1._block.3."),
        (r"^discriminator\.reduce\.0\.", "rrs.decoder1.1."),
        (r"^discriminator\.reduce\.1\.", "rrs.decoder1.2."),
        (r"^discriminator\.narrow\.", "rrs.decoder2."),
        (r"^discriminator\.head\.", "rrs.decoder3."),
    ]
]
_RESIDUAL_BACK = {
    "norm": "in_layers.0",
    "conv": "in_layers.2",
    "skip": "skip_connection",
    "resample_main": "h_upd.conv",
    "resample_skip": "x_upd.conv",
}


def official_state(model: RealNet, selections: list[str]) -> dict[str, Tensor]:
    """A model's state_dict under the official names; tensors are passed on unchanged.

    What the official network does not have (standardisation, exposure) is left out: a model that uses it
    must not be exported.

    Args:
        model: of a structure that the official implementation can build.
        selections: `<block>_<layer>` of each tap, finest first.
    """
    renamed = {}
    for name, module in model.named_modules():
        if isinstance(module, ResidualBlock):
            renamed.update(
                {f"{name}.{ours}.": f"{name}.{theirs}." for ours, theirs in _RESIDUAL_BACK.items()}
            )
        elif isinstance(module, AttentionBlock):
            renamed[f"{name}.proj."] = f"{name}.proj_out."
    state = {}
    for key, tensor in model.state_dict().items():
        if key.startswith("afs."):
            _, tap, kind = key.split(".")
            if kind == "index":
                state[_AFS + selections[int(tap)]] = tensor
            continue
        head, leaf = key.rsplit(".", 1)
        key = renamed.get(f"{head}.", f"{head}.") + leaf
        key = re.sub(r"^reconstruction\.(\d+)\.", lambda m: f"recon.block{int(m[1]) + 1}_recon.", key)
        for pattern, replacement in _BACK:
            key = pattern.sub(replacement, key)
        if not key.startswith("inputs."):
            state[key] = tensor
    return state
