"""Anomaly-aware feature selection (AFS, paper section 3.2): which channels of a tap are worth keeping."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from realnet_edge.kernels.afs import afs_gather, gathered_on_cpu
from realnet_edge.kernels.layout import is_channels_last

# Keeps the min-max scaling finite where a channel does not move at all (official value).
EPSILON = 1e-4


class FeatureSelection(nn.Module):
    """Keep some channels of a tap, by their sorted index, or project all of them onto as many planes.

    With standardisation, channels are centred and scaled by statistics of normal images first; without it
    the buffers hold zeros and ones and are not applied.

    Args:
        channels: C, channels of the tap.
        planes: m, channels kept.
        standardise: apply the per-channel mean and scale.
        projected: planes are sums of all channels, weighted by the buffer `projection` (m, C), instead of
            the channels in `index` (paper table 5a: random linear projection).

    Attributes:
        fused: pick and standardise in one op; see `RealNet.use_kernels`.
    """

    fused = False
    index: Tensor
    mean: Tensor
    scale: Tensor
    projection: Tensor

    def __init__(self, channels: int, planes: int, standardise: bool, projected: bool = False) -> None:
        super().__init__()
        self.channels = channels
        self.standardise = standardise
        self.projected = projected
        if projected:
            self.register_buffer("projection", torch.eye(planes, channels))
        self.register_buffer("index", torch.arange(channels if projected else planes))
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("scale", torch.ones(channels))

    def forward(self, features: Tensor) -> Tensor:
        """(N, C, H, W) to (N, m, H, W)."""
        # An exported graph is of standard operators.
        if self.fused and not self.projected and not torch.compiler.is_exporting():
            return self._in_one_op(features)
        selected = self._standardised(features)
        return F.conv2d(selected, self.projection[..., None, None]) if self.projected else selected

    def _in_one_op(self, features: Tensor) -> Tensor:
        index = None if self._whole else self.index
        mean, scale = (self.mean, self.scale) if self.standardise else (None, None)
        if index is None and mean is None:
            return features
        # The steps one by one promote to the wider type.
        dtype = features.dtype if mean is None else torch.promote_types(features.dtype, mean.dtype)
        last = is_channels_last(features)
        # A small tap is computed in less time than the op's call takes.
        if features.is_cpu and not features.requires_grad and not torch.compiler.is_compiling():
            return gathered_on_cpu(features, index, mean, scale, channels_last=last, dtype=dtype)
        return afs_gather(features, self.index, mean, scale, channels_last=last, dtype=dtype)

    @property
    def _whole(self) -> bool:
        """All of a tap in order, which needs no gather."""
        return self.index.shape[0] == self.channels

    def _standardised(self, features: Tensor) -> Tensor:
        selected = features if self._whole else features.index_select(1, self.index)
        if not self.standardise:
            return selected
        mean = self.mean if self._whole else self.mean.index_select(0, self.index)
        scale = self.scale if self._whole else self.scale.index_select(0, self.index)
        return (selected - mean[:, None, None]) * scale[:, None, None]

    @torch.no_grad()
    def draw(self, generator: torch.Generator) -> None:
        """Replace what AFS would choose: channels at random, or a random projection.

        Weights of the projection are normal with a variance of 1/C, so that standardised channels give planes
        of about unit variance.
        """
        if self.projected:
            weights = torch.randn(self.projection.shape, generator=generator)
            self.projection.copy_(weights / math.sqrt(self.channels))
        else:
            drawn = torch.randperm(self.channels, generator=generator)[: self.index.shape[0]]
            self.index.copy_(drawn.sort().values)


def channel_losses(anomalous: Tensor, normal: Tensor, mask: Tensor) -> Tensor:
    """AFS loss of every channel over one batch (paper eq. 4).

    The squared difference of anomalous and normal features is min-max scaled over the whole batch
    and compared with the mask, resized nearest to the feature size, by mean squared error.

    Args:
        anomalous, normal: (N, C, H, W) features of one tap.
        mask: (N, 1, h, w) in {0, 1}.

    Returns:
        (C,) losses; NaN where a channel is not finite.
    """
    difference = (anomalous.float() - normal.float()) ** 2
    low = difference.amin(dim=(0, 2, 3), keepdim=True)
    high = difference.amax(dim=(0, 2, 3), keepdim=True)
    scaled = (difference - low) / (high - low + EPSILON)
    target = F.interpolate(mask.float(), size=difference.shape[-2:], mode="nearest")
    return ((scaled - target) ** 2).mean(dim=(0, 2, 3))


@torch.no_grad()
def select_channels(
    backbone: nn.Module, batches: Iterable[tuple[Tensor, Tensor, Tensor]], planes: Sequence[int]
) -> list[Tensor]:
    """Choose the channels of every tap with the smallest mean loss over batches of anomalies.

    Args:
        backbone: maps images (N, 3, H, W) to one feature tensor a tap.
        batches: (anomalous images, normal images, masks), normalised, synthetic anomalies only.
        planes: channels to keep of each tap.

    Returns:
        One sorted int64 index tensor a tap. A channel whose loss is NaN counts as the worst.
    """
    totals: list[Tensor] = []
    count = 0
    for anomalous, normal, mask in batches:
        both = backbone(torch.cat([anomalous, normal]))
        losses = []
        for features in both:
            changed, unchanged = features.chunk(2)
            losses.append(channel_losses(changed, unchanged, mask))
        totals = losses if not totals else [t + new for t, new in zip(totals, losses, strict=True)]
        count += 1
    if count == 0:
        raise ValueError("AFS needs at least one batch of synthetic anomalies.")
    chosen = []
    for total, keep in zip(totals, planes, strict=True):
        ranked = torch.nan_to_num(total / count, nan=float("inf"), posinf=float("inf"))
        chosen.append(ranked.topk(keep, largest=False).indices.sort().values)
    return chosen


@torch.no_grad()
def channel_statistics(backbone: nn.Module, batches: Iterable[Tensor]) -> list[tuple[Tensor, Tensor]]:
    """Mean and standard deviation of every tap channel over normal images.

    Args:
        backbone: as for `select_channels`.
        batches: normalised normal images (N, 3, H, W).

    Returns:
        (mean, deviation) a tap, each float32 (C,); the deviation is at least 1e-6.
    """
    sums: list[tuple[Tensor, Tensor]] = []
    count: list[int] = []
    for images in batches:
        for position, features in enumerate(backbone(images)):
            # Sums of squares lose digits in float32 where the mean is large.
            values = features.double()
            first, second = values.sum(dim=(0, 2, 3)), (values**2).sum(dim=(0, 2, 3))
            if position == len(sums):
                sums.append((torch.zeros_like(first), torch.zeros_like(second)))
                count.append(0)
            sums[position] = (sums[position][0] + first, sums[position][1] + second)
            count[position] += values.numel() // values.shape[1]
    statistics = []
    for (first, second), n in zip(sums, count, strict=True):
        mean = first / n
        deviation = (second / n - mean**2).clamp_min(0).sqrt().clamp_min(1e-6)
        statistics.append((mean.float(), deviation.float()))
    return statistics
