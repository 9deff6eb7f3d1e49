"""Perceptual distances between images: LPIPS from files of its weights, and a stand-in without.

LPIPS (Zhang et al., CVPR 2018) compares two images' feature maps, scaled to unit length at each pixel: their
squared difference, weighted by channel, averaged over the pixels, summed over the taps. That is the squared
Euclidean distance of two long vectors. So many images are compared as vectors, by matrix products.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torchvision import models

from realnet_edge.backbones import BACKBONES
from realnet_edge.config import ModelConfig
from realnet_edge.errors import CheckpointError
from realnet_edge.imaging import IMAGENET_MEAN, IMAGENET_STD
from realnet_edge.model.backbone import FrozenBackbone, load_pretrained, read_weights

# LPIPS's own input scaling, of values in -1..1.
_SHIFT = (-0.030, -0.088, -0.188)
_SCALE = (0.458, 0.448, 0.450)
_EPSILON = 1e-10
# Positions in torchvision's `features` after which LPIPS taps, and the channels there.
_TAPS = {"alexnet": (1, 4, 7, 9, 11), "vgg16": (3, 8, 15, 22, 29)}
_CHANNELS = {"alexnet": (64, 192, 384, 256, 256), "vgg16": (64, 128, 256, 512, 512)}


class PerceptualVectors(nn.Module, ABC):
    """Images as vectors whose squared Euclidean distances are perceptual distances.

    Args:
        weights: the weight of each channel, one tensor a tap, at least 0.

    Attributes:
        label: which distance it is, for tables.
        official: whether that is LPIPS as published.
    """

    label: str
    official: bool

    def __init__(self, weights: Sequence[Tensor]) -> None:
        super().__init__()
        for tap, weight in enumerate(weights):
            self.register_buffer(f"root{tap}", weight.sqrt()[None, :, None, None], persistent=False)

    @abstractmethod
    def maps(self, images: Tensor) -> Sequence[Tensor]:
        """Feature maps (N, C_k, h_k, w_k) of (N, H, W, 3) uint8 RGB images."""

    def forward(self, images: Tensor) -> Tensor:
        """(N, H, W, 3) uint8 RGB to (N, D) float32."""
        parts = []
        for tap, maps in enumerate(self.maps(images)):
            unit = maps / (maps.square().sum(dim=1, keepdim=True).sqrt() + _EPSILON)
            pixels = maps.shape[2] * maps.shape[3]
            parts.append((unit * self.get_buffer(f"root{tap}") / pixels**0.5).flatten(1))
        return torch.cat(parts, dim=1)


class Lpips(PerceptualVectors):
    """LPIPS on AlexNet or VGG-16, whichever the linear weights are of.

    Args:
        linear: LPIPS's own weights, such as `lpips/weights/v0.1/alex.pth` of its authors.
        network: torchvision's ImageNet weights of the network, such as `alexnet-owt-7be5be79.pth`.

    Raises:
        CheckpointError: a file is missing, unreadable or of another network.
    """

    official = True

    def __init__(self, linear: Path, network: Path) -> None:
        weights = _linear_weights(linear)
        channels = tuple(len(weight) for weight in weights)
        names = [name for name, own in _CHANNELS.items() if own == channels]
        if not names:
            raise CheckpointError(
                f"{linear}: linear weights of {channels} channels; LPIPS's of AlexNet has "
                f"{_CHANNELS['alexnet']}, of VGG-16 {_CHANNELS['vgg16']}."
            )
        super().__init__(weights)
        self.label = f"LPIPS on {names[0]}"
        self._taps = _TAPS[names[0]]
        self.network = _features(names[0], network)
        self.requires_grad_(False)
        self.eval()

    def maps(self, images: Tensor) -> Sequence[Tensor]:
        values = _standardised(images.permute(0, 3, 1, 2).float() / 127.5 - 1.0, _SHIFT, _SCALE)
        found = []
        for position, layer in enumerate(self.network):
            values = layer(values)
            if position in self._taps:
                # The layer after a tap is a convolution or a pooling: nothing changes the map in place.
                found.append(values)
        return found


class StandIn(PerceptualVectors):
    """LPIPS's formula on another ImageNet network, every channel of a tap with the same weight.

    Its distances are ordered like LPIPS's at best: they have another scale and were fitted to nobody's eye.

    Args:
        backbone: one of `realnet_edge.backbones.BACKBONES`.
        weights: file of its ImageNet weights; None for the installed package's or timm's hub.

    Raises:
        CheckpointError: no weights could be loaded.
    """

    official = False

    def __init__(self, backbone: str, weights: Path | None = None) -> None:
        strides, channels = BACKBONES[backbone].strides, BACKBONES[backbone].channels
        taps = tuple(tap for tap, stride in enumerate(strides) if stride >= 4)
        super().__init__([torch.ones(channels[tap]) for tap in taps])
        self.label = f"unweighted distance on {backbone} (stand-in for LPIPS)"
        self.pooled_label = f"{backbone} (stand-in for InceptionV3)"
        config = ModelConfig.for_backbone(backbone, taps=taps)
        self.network = FrozenBackbone(config)
        load_pretrained(self.network, config, weights)
        self.eval()

    def maps(self, images: Tensor) -> Sequence[Tensor]:
        values = images.permute(0, 3, 1, 2).float() / 255.0
        maps: Sequence[Tensor] = self.network(_standardised(values, IMAGENET_MEAN, IMAGENET_STD))
        return maps

    def pooled(self, images: Tensor) -> Tensor:
        """(N, H, W, 3) uint8 RGB to (N, C) float32: the coarsest tap averaged over its pixels."""
        return self.maps(images)[-1].mean(dim=(2, 3))


def _standardised(values: Tensor, mean: Sequence[float], deviation: Sequence[float]) -> Tensor:
    """(N, 3, H, W) less a mean and over a deviation of each channel."""
    shift, scale = (values.new_tensor(part)[None, :, None, None] for part in (mean, deviation))
    return (values - shift) / scale


def _linear_weights(path: Path) -> list[Tensor]:
    """The channels' weights of each tap, from keys such as `lin0.model.1.weight`."""
    state = read_weights(path)
    found = {key.partition(".")[0]: value.flatten() for key, value in state.items() if key.startswith("lin")}
    weights = [found[name] for name in sorted(found)]
    if not weights or min(float(weight.min()) for weight in weights) < 0.0:
        raise CheckpointError(
            f"{path}: no linear weights of LPIPS: keys such as lin0.model.1.weight with values of at least 0."
        )
    return weights


def _features(name: str, path: Path) -> nn.Sequential:
    """The convolutions of torchvision's network with weights from its file."""
    # Without memory: the classifier, which nobody needs, has nine tenths of the weights.
    with torch.device("meta"):
        network: nn.Module = getattr(models, name)(weights=None)
    features = network.features
    if not isinstance(features, nn.Sequential):
        raise CheckpointError(f"torchvision's {name} has no list of convolutions: another version is needed.")
    state = _without_prefix(read_weights(path), "features.")
    wanted = features.state_dict()
    wrong = [key for key in wanted if key not in state or state[key].shape != wanted[key].shape]
    if wrong:
        raise CheckpointError(
            f"{path}: {len(wrong)} of {name}'s {len(wanted)} tensors are missing or of another shape, the "
            f"first is features.{wrong[0]}."
        )
    features.load_state_dict({key: state[key] for key in wanted}, assign=True)
    return features


def _without_prefix(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
