"""RRS and the discriminator: from residuals of all blocks to pixel logits (paper section 3.3)."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from realnet_edge.kernels.rrs import rrs_gather, rrs_mask, rrs_select, stack_planes

HIDDEN = 128


class ResidualLayer(nn.Module):
    """ReLU, 3x3 convolution, ReLU, 1x1 convolution, added to the input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.pointwise = nn.Conv2d(channels, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.pointwise(F.relu(self.conv(F.relu(x))))
        return out


class Discriminator(nn.Module):
    """(N, k, H, W) chosen residual planes to (N, 2, 2H, 2W) logits of normal and anomalous."""

    def __init__(self, planes: int) -> None:
        super().__init__()
        self.residual = nn.Sequential(ResidualLayer(planes), ResidualLayer(planes), nn.ReLU())
        self.reduce = nn.Sequential(
            nn.Conv2d(planes, HIDDEN, 3, padding=1), nn.BatchNorm2d(HIDDEN), nn.ReLU()
        )
        self.narrow = nn.Sequential(
            nn.Conv2d(HIDDEN, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, 8, 3, padding=1), nn.ReLU()
        )
        self.head = nn.Sequential(nn.Conv2d(8, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 2, 3, padding=1))

    def forward(self, x: Tensor) -> Tensor:
        x = self.narrow(self.reduce(self.residual(x)))
        x = F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=True)
        logits: Tensor = self.head(x)
        return logits


class ResidualSelection(nn.Module):
    """RRS: choose k_max + k_mean residual planes per sample.

    BatchNorm without affine (momentum 0.9) only decides; the planes handed on are un-normalised.

    Args:
        planes: C, residual planes of all blocks.
        k_max, k_mean: planes kept by their maximum and by their mean.
        order: "score" hands on the chosen planes alone, each mode in descending order (the paper); "plane"
            hands on all planes in their own places, with those that were not chosen set to zero.
    """

    def __init__(self, planes: int, k_max: int, k_mean: int, order: str) -> None:
        super().__init__()
        self.k_max = k_max
        self.k_mean = k_mean
        self.order = order
        self.outputs = planes if order == "plane" else k_max + k_mean
        self.norm = nn.BatchNorm2d(planes, momentum=0.9, affine=False)

    def forward(self, residuals: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """What the discriminator sees (N, `outputs`, H, W), and the chosen planes' int64 indices (N, k)."""
        # Full precision here even under autocast: noise in the scores permutes the planes.
        planes = stack_planes([r.float() for r in residuals])
        indices = rrs_select(self.norm(planes.detach()), self.k_max, self.k_mean)
        hand_on = rrs_mask if self.order == "plane" else rrs_gather
        return hand_on(planes, indices), indices
