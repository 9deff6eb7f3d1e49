"""The official implementation's state_dict keys, translated into ours."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

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
