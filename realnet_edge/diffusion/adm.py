"""Weights of the public ADM networks (Dhariwal and Nichol, 2021) in their own format, for our U-Net.

The 256 x 256 ImageNet checkpoint is a pickled state_dict. Its blocks are numbered through from the finest
level down and up again; attention keeps queries, keys and values of each head together in one projection.
Both follow from the structure alone, so checkpoints of other sizes with such blocks are read as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor

from realnet_edge.config.diffusion import DiffusionModelConfig
from realnet_edge.diffusion.unet import NoisePredictor
from realnet_edge.errors import CheckpointError
from realnet_edge.model.official_pickle import read_pickle

_CLASSES = "label_emb.weight"
# ADM's and diffusers' names inside a residual block.
_RESIDUAL = {
    "in_layers.0": "norm1",
    "in_layers.2": "conv1",
    "emb_layers.1": "time_emb_proj",
    "out_layers.0": "norm2",
    "out_layers.3": "conv2",
    "skip_connection": "conv_shortcut",
}
_ENDS = {
    "time_embed.0": "time_embedding.linear_1",
    "time_embed.2": "time_embedding.linear_2",
    "input_blocks.0.0": "conv_in",
    "out.0": "conv_norm_out",
    "out.2": "conv_out",
}
_PARTS = ("weight", "bias")
_FITTING = (
    "--init takes a checkpoint of the network that is trained: the 256x256 ImageNet model for preset paper."
)
# A block's ADM name, diffusers' name, and whether it is attention.
Block = tuple[str, str, bool]
# Takes a tensor out of a checkpoint.
Take = Callable[[str], Tensor]


def load_adm(model: NoisePredictor, path: Path) -> None:
    """Fill a model with an ADM checkpoint's weights, in place.

    The embedding of ImageNet's classes has no meaning here: every category begins with their mean.

    Raises:
        CheckpointError: not a file of tensors, or its network is another one; the first tensor that does not
            fit is named.
    """
    state = translate_adm(read_pickle(path), model.config, str(path))
    own = model.unet.state_dict()
    for key, tensor in own.items():
        if state[key].shape != tensor.shape:
            raise CheckpointError(
                f"{path}: {key!r} has shape {tuple(state[key].shape)}, this network needs "
                f"{tuple(tensor.shape)}. {_FITTING}"
            )
    model.unet.load_state_dict(state)


def translate_adm(
    state: Mapping[str, Tensor], config: DiffusionModelConfig, name: str = "checkpoint"
) -> dict[str, Tensor]:
    """An ADM state_dict under diffusers' names.

    Args:
        state: as the checkpoint has it.
        config: the structure that its blocks are counted by.
        name: what error messages call it.

    Raises:
        CheckpointError: a tensor is missing, or there are some that the structure has no place for.
    """
    left = dict(state)

    def take(key: str) -> Tensor:
        tensor = left.pop(key, None)
        if not isinstance(tensor, Tensor):
            raise CheckpointError(
                f"{name}: no ADM checkpoint of this structure, {key!r} is missing. {_FITTING}"
            )
        return tensor.float()

    classes = left.pop(_CLASSES, None)
    found = {f"{ours}.{part}": take(f"{theirs}.{part}") for theirs, ours in _ENDS.items() for part in _PARTS}
    width = found["time_embedding.linear_2.bias"].shape[0]
    mean = torch.zeros(width) if classes is None else classes.float().mean(dim=0)
    found["class_embedding.weight"] = mean.repeat(len(config.categories), 1)
    for theirs, ours, attends in _blocks(config):
        if attends:
            found |= _attention(theirs, ours, config.head_width, take)
            continue
        for inner, name_of_ours in _RESIDUAL.items():
            # A block that does not change the width has no convolution beside it.
            if inner == "skip_connection" and f"{theirs}.{inner}.weight" not in left:
                continue
            found |= {f"{ours}.{name_of_ours}.{part}": take(f"{theirs}.{inner}.{part}") for part in _PARTS}
    if left:
        raise CheckpointError(
            f"{name}: {len(left)} tensors have no place in this structure, {min(left)!r} first. {_FITTING}"
        )
    return found


def _blocks(config: DiffusionModelConfig) -> Iterator[Block]:
    """Every residual and attention block, in ADM's order."""
    levels = len(config.multipliers)
    number = 1
    for level, attends in enumerate(config.attends):
        for block in range(config.blocks):
            yield f"input_blocks.{number}.0", f"down_blocks.{level}.resnets.{block}", False
            if attends:
                yield f"input_blocks.{number}.1", f"down_blocks.{level}.attentions.{block}", True
            number += 1
        if level < levels - 1:
            yield f"input_blocks.{number}.0", f"down_blocks.{level}.downsamplers.0", False
            number += 1
    yield "middle_block.0", "mid_block.resnets.0", False
    yield "middle_block.1", "mid_block.attentions.0", True
    yield "middle_block.2", "mid_block.resnets.1", False
    number = 0
    for level, attends in enumerate(reversed(config.attends)):
        for block in range(config.blocks + 1):
            yield f"output_blocks.{number}.0", f"up_blocks.{level}.resnets.{block}", False
            if attends:
                yield f"output_blocks.{number}.1", f"up_blocks.{level}.attentions.{block}", True
            if block == config.blocks and level < levels - 1:
                yield f"output_blocks.{number}.{1 + attends}", f"up_blocks.{level}.upsamplers.0", False
            number += 1


def _attention(theirs: str, ours: str, head: int, take: Take) -> dict[str, Tensor]:
    """An attention block's tensors: one projection of heads becomes three."""
    found = {f"{ours}.group_norm.{part}": take(f"{theirs}.norm.{part}") for part in _PARTS}
    for part in _PARTS:
        # (3 C, C, 1) or (3 C,): for each head its queries, keys and values.
        joint = take(f"{theirs}.qkv.{part}").squeeze(-1) if part == "weight" else take(f"{theirs}.qkv.{part}")
        heads = joint.unflatten(0, (-1, 3, head))
        for place, target in enumerate(("to_q", "to_k", "to_v")):
            found[f"{ours}.{target}.{part}"] = heads[:, place].flatten(0, 1)
        projected = take(f"{theirs}.proj_out.{part}")
        found[f"{ours}.to_out.0.{part}"] = projected.squeeze(-1) if part == "weight" else projected
    return found
