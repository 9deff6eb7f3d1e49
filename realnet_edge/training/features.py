"""Features of the normal training images, computed once: the backbone is frozen, and so are they."""

from __future__ import annotations

import torch
from torch import Tensor

from realnet_edge.config import ModelConfig
from realnet_edge.model import RealNet
from realnet_edge.training.compute import Compute
from realnet_edge.training.frozen import FrozenFeatures
from realnet_edge.training.samples import AnomalyDataset

_MIB = 1 << 20


class NormalFeatures:
    """Selected features of every training image as it is, without an anomaly.

    A training step needs them twice: as what reconstruction should give, and as the features of the samples
    that carry no anomaly. With them at hand the backbone sees anomalous images alone.

    Args:
        model: with backbone, standardisation and selection in place.
        images: (N, h, w, 3) uint8 training images.
        batch: images a pass through the backbone.
        compute: as the training computes.

    Attributes:
        features_of: what computed them, for other images.
    """

    def __init__(self, model: RealNet, images: Tensor, batch: int, compute: Compute) -> None:
        self.features_of = FrozenFeatures(model)
        with torch.no_grad(), compute.autocast():
            parts = [self.features_of(model.inputs(part)) for part in images.split(batch)]
        self._blocks = [torch.cat(block) for block in zip(*parts, strict=True)]

    def of(self, positions: Tensor) -> list[Tensor]:
        """(N, m_k, H_k, W_k) a block, of the images at these positions (N,) of the training images."""
        return [block[positions.to(block.device)] for block in self._blocks]


def normal_features(
    model: RealNet, dataset: AnomalyDataset, limit_mib: int, batch: int, compute: Compute
) -> NormalFeatures | None:
    """The features, or None where every sample is another image or tile, or where they take too much memory.

    Args:
        limit_mib: most memory they may take, in MiB.
    """
    taken = len(dataset.images) * bytes_an_image(model.config)
    varies = dataset.config.varies_normals or dataset.grid.count > 1
    if varies or taken > limit_mib * _MIB:
        return None
    return NormalFeatures(model, torch.from_numpy(dataset.images), batch, compute)


def bytes_an_image(config: ModelConfig) -> int:
    """What the selected features of one image take in float32."""
    height, width = config.seen_size
    positions = [(height // stride) * (width // stride) for stride in config.block_strides]
    return sum(4 * planes * area for planes, area in zip(config.block_planes, positions, strict=True))
