"""The official implementation's state_dict keys, translated into ours and back."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

from realnet_edge.model.realnet import RealNet
from realnet_edge.model.unet import AttentionBlock, ResidualBlock

# Official and our beginnings of keys.
_PREFIXES = {
    "backbone.feature_extractor.": "backbone.features.",
    "rrs.bn_idx.": "rrs.norm.",
    "rrs.decoder1.0._layers.0._block.1.": "discriminator.residual.0.conv.",
    "rrs.decoder1.0._layers.0._block.3.": "discriminator.residual.0.pointwise.",
    "rrs.decoder1.0._layers.1._block.1.": "discriminator.residual.1.conv.",
    "rrs.decoder1.0._layers.1._block.3.": "discriminator.residual.1.pointwise.",
    "rrs.decoder1.1.": "discriminator.reduce.0.",
    "rrs.decoder1.2.": "discriminator.reduce.1.",
    "rrs.decoder2.": "discriminator.narrow.",
    "rrs.decoder3.": "discriminator.head.",
}
# The same for what lies inside a U-Net, by the kind of its blocks.
_RESIDUAL = {
    "in_layers.0": "norm",
    "in_layers.2": "conv",
    "skip_connection": "skip",
    "h_upd.conv": "resample_main",
    "x_upd.conv": "resample_skip",
}
_ATTENTION = {"proj_out": "proj"}
_RECON = re.compile(r"^recon\.block(\d+)_recon\.")
_RECONSTRUCTION = re.compile(r"^reconstruction\.(\d+)\.")
# How the official names of the selected planes begin.
AFS = "afs.indexes."


def translate_key(key: str) -> str:
    """Our name of an official state_dict key, those of AFS excepted."""
    if match := _RECON.match(key):
        key = f"reconstruction.{int(match[1]) - 1}." + key[match.end() :]
        for official, ours in (_RESIDUAL | _ATTENTION).items():
            key = key.replace(f".{official}.", f".{ours}.")
        return key
    return _with_prefix(key, _PREFIXES)


def translate_state(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """An official state_dict under our names; tensors are passed on unchanged."""
    # Named by block and layer there; in order of their names they are the taps, finest first.
    selections = sorted(key for key in state if key.startswith(AFS))
    names = {key: f"afs.{tap}.index" for tap, key in enumerate(selections)}
    return {names.get(key) or translate_key(key): tensor for key, tensor in state.items()}


def official_state(model: RealNet, selections: list[str]) -> dict[str, Tensor]:
    """A model's state_dict under the official names; tensors are passed on unchanged.

    What the official network does not have (standardisation, exposure) is left out: a model that uses it
    must not be exported.

    Args:
        model: of a structure that the official implementation can build.
        selections: `<block>_<layer>` of each tap, finest first.
    """
    # By module, since both kinds of block have a `norm` of ours.
    prefixes = {ours: official for official, ours in _PREFIXES.items()}
    for name, module in model.named_modules():
        inner = {ResidualBlock: _RESIDUAL, AttentionBlock: _ATTENTION}.get(type(module), {})
        prefixes |= {f"{name}.{ours}.": f"{name}.{official}." for official, ours in inner.items()}
    state = {}
    for key, tensor in model.state_dict().items():
        if key.startswith("afs."):
            _, tap, kind = key.split(".")
            if kind == "index":
                state[AFS + selections[int(tap)]] = tensor
            continue
        if not key.startswith("inputs."):
            key = _with_prefix(key, prefixes)
            state[_RECONSTRUCTION.sub(lambda m: f"recon.block{int(m[1]) + 1}_recon.", key)] = tensor
    return state


def _with_prefix(key: str, prefixes: Mapping[str, str]) -> str:
    """The key with its beginning replaced, where it is one of `prefixes`."""
    for old, new in prefixes.items():
        if key.startswith(old):
            return new + key.removeprefix(old)
    return key
