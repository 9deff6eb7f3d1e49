"""The frozen backbone as a training step runs it on a CPU: a copy with BatchNorm folded into convolutions."""

from __future__ import annotations

import copy
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from realnet_edge.model import RealNet

# Images a pass: their planes stay in the processor's cache.
_AT_ONCE = 4


class FrozenFeatures:
    """Selected features of images, from a copy of a model's backbone made for speed.

    On a CPU the copy's convolutions carry their BatchNorm, and planes lie with channels last; the model,
    which is saved and exported, stays as it is. Features differ from `RealNet.select` by rounding.

    Args:
        model: with its backbone's weights in place, which no longer change.
    """

    def __init__(self, model: RealNet) -> None:
        self._model = model
        on_cpu = model.inputs.scale.device.type == "cpu"
        self._backbone = folded(model.backbone) if on_cpu else None

    @torch.no_grad()
    def __call__(self, images: Tensor) -> list[Tensor]:
        """As `RealNet.select`."""
        if self._backbone is None:
            return self._model.select(images)
        images = images.contiguous(memory_format=torch.channels_last)
        parts = [self._model.select_from(self._backbone(part)) for part in images.split(_AT_ONCE)]
        return [torch.cat(block) for block in zip(*parts, strict=True)]


def folded(network: nn.Module) -> nn.Module:
    """A copy in evaluation mode, channels last, each BatchNorm folded into the convolution before it."""
    network = copy.deepcopy(network).eval()
    for parent in list(network.modules()):
        for (name, convolution), (follower, norm) in pairwise(list(parent.named_children())):
            if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                setattr(parent, name, fuse_conv_bn_eval(convolution, norm))
                # timm's BatchNorm brings its activation along.
                setattr(parent, follower, getattr(norm, "act", nn.Identity()))
    return network.to(memory_format=torch.channels_last)
