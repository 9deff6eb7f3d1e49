"""RealNet: frozen backbone, AFS, one reconstruction U-Net a block, RRS, discriminator (paper figure 2)."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from realnet_edge.config import SCORE_WINDOW, ModelConfig
from realnet_edge.errors import ConfigError
from realnet_edge.kernels.rrs_reference import resize, stack_planes
from realnet_edge.model.afs import FeatureSelection
from realnet_edge.model.alignment import PartAlignment
from realnet_edge.model.backbone import FrozenBackbone
from realnet_edge.model.inputs import InputNormalisation
from realnet_edge.model.rrs import Discriminator, ResidualSelection
from realnet_edge.model.unet import ATTENTION_FACTORS, ReconstructionUNet


class RealNetOutput(NamedTuple):
    """What one forward pass gives.

    Attributes:
        logits: (N, 2, h, w) at the discriminator's resolution, twice the finest block's; channel 1 is
            anomalous. `losses` and `anomaly_map` bring them to the image's size.
        rrs_indices: (N, k_max + k_mean) int64 residual planes in the order they were chosen.
        selected: a tensor (N, m_k, H_k, W_k) a block: what AFS kept.
        reconstructed: the same shapes: what the U-Nets made of it.
    """

    logits: Tensor
    rrs_indices: Tensor
    selected: list[Tensor]
    reconstructed: list[Tensor]


class RealNet(nn.Module):
    """The network. Taps are grouped into blocks, each reconstructed at the resolution of its finest tap.

    It sees squares of `ModelConfig.image_size`; where those are tiles, `realnet_edge.model.tiling` cuts
    images into them and puts their maps together. With `ModelConfig.align` it sees strips, which `alignment`
    makes of images.

    Args:
        config: structure and sizes. Weights start untrained; `load_pretrained` fills the backbone.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.alignment = PartAlignment(config.input_size, config.seen_size) if config.align else None
        self.inputs = InputNormalisation(config.match_exposure)
        self.backbone = FrozenBackbone(config)
        self.afs = nn.ModuleList(
            FeatureSelection(channels, planes, config.standardise, config.selection == "projection")
            for channels, planes in zip(config.tap_channels, config.planes, strict=True)
        )
        self.reconstruction = nn.ModuleList(
            ReconstructionUNet(planes, width, config.group_width, _attention_factors(config, stride))
            for planes, width, stride in zip(
                config.block_planes, config.widths, config.block_strides, strict=True
            )
        )
        self.rrs = ResidualSelection(sum(config.planes), config.rrs_max, config.rrs_mean, config.rrs_order)
        self.discriminator = Discriminator(self.rrs.outputs)

    def selections(self) -> list[FeatureSelection]:
        """The AFS of every tap, finest first."""
        return [module for module in self.afs if isinstance(module, FeatureSelection)]

    def unets(self) -> list[ReconstructionUNet]:
        """The reconstruction network of every block, finest first."""
        return [module for module in self.reconstruction if isinstance(module, ReconstructionUNet)]

    def use_kernels(self, enabled: bool) -> None:
        """Run AFS and RRS as fused ops (`realnet_edge.kernels`) instead of step by step, in training, too.

        Both give the same but for rounding. An export traces the steps either way.
        """
        for selection in self.selections():
            selection.fused = enabled
        self.rrs.fused = enabled

    def select(self, images: Tensor) -> list[Tensor]:
        """Selected (and standardised) features of images that `inputs` normalised, one tensor a block."""
        with torch.no_grad():
            return self.select_from(self.backbone(images))

    def select_from(self, taps: list[Tensor]) -> list[Tensor]:
        """Selected features of each block, from what the backbone gave."""
        kept = [afs(tap) for afs, tap in zip(self.afs, taps, strict=True)]
        return [stack_planes(block) for block in self.config.grouped(kept)]

    def forward(self, images: Tensor) -> RealNetOutput:
        """From images (N, 3, H, W) of `ModelConfig.seen_size` that `inputs` normalised to logits."""
        return self.from_selected(self.select(images))

    def from_selected(self, selected: list[Tensor], joint: bool = True) -> RealNetOutput:
        """The trained part of the network, from selected features to logits.

        Args:
            selected: features of each block.
            joint: gradients of the logits reach the U-Nets, as published.
        """
        reconstructed = [unet(block) for unet, block in zip(self.reconstruction, selected, strict=True)]
        compared = reconstructed if joint else [block.detach() for block in reconstructed]
        planes, indices = self.rrs(selected, compared, self.discriminator.dtype)
        return RealNetOutput(self.discriminator(planes), indices, selected, reconstructed)


def _attention_factors(config: ModelConfig, stride: int) -> tuple[int, ...]:
    """Where the U-Net of a block of this stride attends: at few enough positions."""
    limit = config.attention_limit or math.inf
    height, width = config.seen_size
    return tuple(f for f in ATTENTION_FACTORS if (height // (stride * f)) * (width // (stride * f)) <= limit)


def losses(output: RealNetOutput, normal: list[Tensor], mask: Tensor) -> tuple[Tensor, Tensor]:
    """Reconstruction and segmentation loss (paper eq. 5 and 6).

    Args:
        output: of the (partly anomalous) images.
        normal: selected features of the same images without anomalies.
        mask: (N, H, W) int64, 1 where anomalous.

    Returns:
        The sum over blocks of mean squared reconstruction errors, and the pixel cross-entropy.
    """
    pairs = zip(output.reconstructed, normal, strict=True)
    reconstruction = torch.stack([F.mse_loss(r.float(), n.float()) for r, n in pairs]).sum()
    return reconstruction, F.cross_entropy(resize(output.logits.float(), mask.shape[-2:]), mask)


def anomaly_map(logits: Tensor, size: torch.Size) -> Tensor:
    """Logits (N, 2, h, w) of `RealNetOutput` to the anomaly map (N, *size) in [0, 1].

    The softmax over two logits is the sigmoid of their difference, and resizing is linear: one plane is
    resized instead of two, which takes half as long and gives the same map.
    """
    difference = logits[:, 1:].float() - logits[:, :1].float()
    return resize(difference, size).sigmoid()[:, 0]


def image_score(maps: Tensor, rule: str) -> Tensor:
    """Image score (N,) of anomaly maps (N, H, W), by a rule of `ModelConfig.score_rule`.

    Raises:
        ConfigError: the rule is unknown.
    """
    if rule == "avgpool16":
        return F.avg_pool2d(maps[:, None], SCORE_WINDOW, stride=1).amax(dim=(1, 2, 3))
    if rule == "max":
        return maps.amax(dim=(1, 2))
    raise ConfigError(f"score rule is {rule!r}; valid: avgpool16, max.")
