"""RRS and the discriminator: from residuals of all blocks to pixel logits (paper section 3.3)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from realnet_edge.kernels.layout import is_channels_last, plane_size
from realnet_edge.kernels.rrs import rrs_gather, rrs_moments, rrs_select
from realnet_edge.kernels.rrs_reference import choose_planes, mask_planes, residual_planes, take_planes
from realnet_edge.model.statistics import follow_statistics

HIDDEN = 128
# Of fewer values at full resolution the plain steps take less time on a CPU than the ops' calls.
LEAST_ON_CPU = 1 << 20


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

    @property
    def dtype(self) -> torch.dtype:
        """What it computes in, and so takes."""
        return self.reduce.get_parameter("0.weight").dtype

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

    Attributes:
        fused: compute by `realnet_edge.kernels.rrs`; see `RealNet.use_kernels`. Processes that train together
            take the plain path while they do: their BatchNorm is over all of them.
        rank_factors: (C,) float32 above 0, what each plane's maximum and mean are multiplied by before they
            are ranked in training; None for 1. What is handed on keeps its values.
    """

    fused = False
    rank_factors: Tensor | None = None

    def __init__(self, planes: int, k_max: int, k_mean: int, order: str) -> None:
        super().__init__()
        self.k_max = k_max
        self.k_mean = k_mean
        self.order = order
        self.outputs = planes if order == "plane" else k_max + k_mean
        self.norm = nn.BatchNorm2d(planes, momentum=0.9, affine=False)

    def forward(
        self,
        selected: Sequence[Tensor],
        reconstructed: Sequence[Tensor],
        dtype: torch.dtype = torch.float32,
    ) -> tuple[Tensor, Tensor]:
        """What the discriminator sees (N, `outputs`, H, W), and the chosen planes' int64 indices (N, k).

        Args:
            selected, reconstructed: (N, C_k, H_k, W_k) a block, finest first.
            dtype: what the chosen planes are handed on in; all that decides is float32.
        """
        shared = self.training and type(self.norm) is not nn.BatchNorm2d
        # An exported graph is of standard operators.
        if self.fused and not shared and not torch.compiler.is_exporting() and self._pays(selected[0]):
            return self._by_kernels(*_one_dtype(selected, reconstructed), dtype)
        planes = residual_planes(selected, reconstructed)
        normalised = self.norm(planes.detach())
        if self.training and self.rank_factors is not None:
            normalised = normalised * self.rank_factors[:, None, None]
        indices = choose_planes(normalised, self.k_max, self.k_mean)
        hand_on = mask_planes if self.order == "plane" else take_planes
        return hand_on(planes, indices).to(dtype), indices

    def _pays(self, finest: Tensor) -> bool:
        values = finest.shape[0] * self.norm.num_features * finest.shape[2] * finest.shape[3]
        return not finest.is_cpu or values >= LEAST_ON_CPU

    def _by_kernels(
        self, selected: Sequence[Tensor], reconstructed: Sequence[Tensor], dtype: torch.dtype
    ) -> tuple[Tensor, Tensor]:
        """The same without planes at full resolution that nobody sees."""
        with torch.no_grad():
            mean, variance = self._statistics(selected, reconstructed)
            if self.training and self.rank_factors is not None:
                variance = (variance + self.norm.eps) / self.rank_factors**2 - self.norm.eps
            indices = rrs_select(
                selected, reconstructed, mean, variance, self.norm.eps, self.k_max, self.k_mean
            )
        source = indices
        if self.order == "plane":
            places = indices.new_full((indices.shape[0], self.norm.num_features), -1)
            source = places.scatter_(1, indices, indices)
        last = is_channels_last(selected[0])
        return rrs_gather(selected, reconstructed, source, channels_last=last, dtype=dtype), indices

    def _statistics(
        self, selected: Sequence[Tensor], reconstructed: Sequence[Tensor]
    ) -> tuple[Tensor, Tensor]:
        """What BatchNorm normalises by: in training the batch's own, which it then follows."""
        if not self.training:
            return self.norm.get_buffer("running_mean"), self.norm.get_buffer("running_var")
        mean, variance = rrs_moments(selected, reconstructed)
        height, width = plane_size(selected[0])
        follow_statistics(self.norm, mean, variance, selected[0].shape[0] * height * width)
        return mean, variance


def _one_dtype(
    selected: Sequence[Tensor], reconstructed: Sequence[Tensor]
) -> tuple[Sequence[Tensor], Sequence[Tensor]]:
    """Both as they are, or in float32 where autocast left them in different dtypes."""
    if len({block.dtype for block in (*selected, *reconstructed)}) == 1:
        return selected, reconstructed
    return [s.float() for s in selected], [r.float() for r in reconstructed]
