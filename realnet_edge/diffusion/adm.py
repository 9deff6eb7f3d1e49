"""Weights of the public ADM networks (Dhariwal and Nichol, 2021) in their own format, for ours.

The 256 x 256 ImageNet checkpoints, diffusion and classifier, are pickled state_dicts. Their blocks are
numbered through from the finest level down and up again; attention keeps queries, keys and values of each
head together in one projection. Both follow from the structure alone, so checkpoints of other sizes with such
blocks are read as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from realnet_edge.config.diffusion import AdmConfig, ClassifierConfig, DiffusionModelConfig
from realnet_edge.diffusion.classifier import NoisedClassifier
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
}
_PARTS = ("weight", "bias")
_FITTING = (
    "--init takes a checkpoint of the network that is trained: the 256x256 ImageNet model, or classifier, "
    "for preset paper."
)
# A block's ADM name, diffusers' name, and whether it is attention.
Block = tuple[str, str, bool]


class _Tensors:
    """What is left of a checkpoint.

    Args:
        state: as the checkpoint has it.
        name: what error messages call it.
    """

    def __init__(self, state: Mapping[str, Tensor], name: str) -> None:
        self.left = dict(state)
        self.name = name

    def take(self, key: str) -> Tensor:
        """Take a tensor out, as float32."""
        tensor = self.left.pop(key, None)
        if not isinstance(tensor, Tensor):
            raise CheckpointError(
                f"{self.name}: no ADM checkpoint of this structure, {key!r} is missing. {_FITTING}"
            )
        return tensor.float()

    def take_layer(self, theirs: str, ours: str) -> dict[str, Tensor]:
        """A layer's weight and bias under our name."""
        return {f"{ours}.{part}": self.take(f"{theirs}.{part}") for part in _PARTS}

    def refuse_rest(self) -> None:
        """Everything must have had a place."""
        if self.left:
            raise CheckpointError(
                f"{self.name}: {len(self.left)} tensors have no place in this structure, "
                f"{min(self.left)!r} first. {_FITTING}"
            )


def load_adm(model: NoisePredictor, path: Path) -> None:
    """Fill a model with an ADM checkpoint's weights, in place.

    The embedding of ImageNet's classes has no meaning here: every category begins with their mean.

    Raises:
        CheckpointError: not a file of tensors, or its network is another one; the first tensor that does not
            fit is named.
    """
    _fill(model.unet, translate_adm(read_pickle(path), model.config, str(path)), path)


def load_adm_classifier(model: NoisedClassifier, path: Path) -> None:
    """Fill a classifier with an ADM classifier's weights, in place.

    ImageNet's classes have no meaning here: the last layer begins at random.

    Raises:
        CheckpointError: as `load_adm`.
    """
    last = {f"conv_out.proj.{part}": getattr(model.unet.conv_out.proj, part) for part in _PARTS}
    state = translate_adm_classifier(read_pickle(path), model.config, str(path))
    _fill(model.unet, {**state, **last}, path)


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
    tensors = _Tensors(state, name)
    classes = tensors.left.pop(_CLASSES, None)
    found = _trunk(tensors, config)
    found |= tensors.take_layer("out.2", "conv_out")
    width = found["time_embedding.linear_2.bias"].shape[0]
    mean = torch.zeros(width) if classes is None else classes.float().mean(dim=0)
    found["class_embedding.weight"] = mean.repeat(len(config.categories), 1)
    found |= _translated(tensors, _up(config), config.head_width)
    tensors.refuse_rest()
    return found


def translate_adm_classifier(
    state: Mapping[str, Tensor], config: ClassifierConfig, name: str = "checkpoint"
) -> dict[str, Tensor]:
    """An ADM classifier's state_dict under diffusers' and timm's names, without its last layer.

    Args:
        state, config, name: as `translate_adm` has them.

    Raises:
        CheckpointError: a tensor is missing, or there are some that the structure has no place for.
    """
    tensors = _Tensors(state, name)
    found = _trunk(tensors, config)
    # (C, 1 + positions) there, and both projections are convolutions over positions.
    found["conv_out.pos_embed"] = tensors.take("out.2.positional_embedding").T.contiguous()
    found["conv_out.qkv.weight"] = tensors.take("out.2.qkv_proj.weight").squeeze(-1)
    found["conv_out.qkv.bias"] = tensors.take("out.2.qkv_proj.bias")
    for part in _PARTS:
        tensors.take(f"out.2.c_proj.{part}")
    tensors.refuse_rest()
    return found


def _fill(unet: nn.Module, state: Mapping[str, Tensor], path: Path) -> None:
    """Copy translated weights into a network; the first that does not fit is named."""
    for key, tensor in unet.state_dict().items():
        if state[key].shape != tensor.shape:
            raise CheckpointError(
                f"{path}: {key!r} has shape {tuple(state[key].shape)}, this network needs "
                f"{tuple(tensor.shape)}. {_FITTING}"
            )
    unet.load_state_dict(state)


def _trunk(tensors: _Tensors, config: AdmConfig) -> dict[str, Tensor]:
    """What U-Net and classifier have in common: both ends, the way down and the middle."""
    found: dict[str, Tensor] = {}
    for theirs, ours in _ENDS.items():
        found |= tensors.take_layer(theirs, ours)
    return found | _translated(tensors, _down(config), config.head_width)


def _translated(tensors: _Tensors, blocks: Iterable[Block], head: int) -> dict[str, Tensor]:
    """The tensors of these blocks under diffusers' names."""
    found: dict[str, Tensor] = {}
    for theirs, ours, attends in blocks:
        if attends:
            found |= _attention(theirs, ours, head, tensors)
            continue
        for inner, name_of_ours in _RESIDUAL.items():
            # A block that does not change the width has no convolution beside it.
            if inner == "skip_connection" and f"{theirs}.{inner}.weight" not in tensors.left:
                continue
            found |= tensors.take_layer(f"{theirs}.{inner}", f"{ours}.{name_of_ours}")
    return found


def _down(config: AdmConfig) -> Iterator[Block]:
    """Every residual and attention block of the way down and the middle, in ADM's order."""
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


def _up(config: AdmConfig) -> Iterator[Block]:
    """Those of the way up."""
    levels = len(config.multipliers)
    number = 0
    for level, attends in enumerate(reversed(config.attends)):
        for block in range(config.blocks + 1):
            yield f"output_blocks.{number}.0", f"up_blocks.{level}.resnets.{block}", False
            if attends:
                yield f"output_blocks.{number}.1", f"up_blocks.{level}.attentions.{block}", True
            if block == config.blocks and level < levels - 1:
                yield f"output_blocks.{number}.{1 + attends}", f"up_blocks.{level}.upsamplers.0", False
            number += 1


def _attention(theirs: str, ours: str, head: int, tensors: _Tensors) -> dict[str, Tensor]:
    """An attention block's tensors: one projection of heads becomes three."""
    take = tensors.take
    found = tensors.take_layer(f"{theirs}.norm", f"{ours}.group_norm")
    for part in _PARTS:
        # (3 C, C, 1) or (3 C,): for each head its queries, keys and values.
        joint = take(f"{theirs}.qkv.{part}").squeeze(-1) if part == "weight" else take(f"{theirs}.qkv.{part}")
        heads = joint.unflatten(0, (-1, 3, head))
        for place, target in enumerate(("to_q", "to_k", "to_v")):
            found[f"{ours}.{target}.{part}"] = heads[:, place].flatten(0, 1)
        projected = take(f"{theirs}.proj_out.{part}")
        found[f"{ours}.to_out.0.{part}"] = projected.squeeze(-1) if part == "weight" else projected
    return found
