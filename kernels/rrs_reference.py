"""Reconstruction residual selection (RRS, paper section 3.3): the reference in plain PyTorch.

Residual planes of every block are brought to the finest resolution; their normalised maximum and
mean decide, per sample, which planes the discriminator sees. What is handed on are the
un-normalised residuals.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def resize(maps: Tensor, size: Sequence[int]) -> Tensor:
    """(N, C, H, W) to (N, C, *size), bilinearly with align_corners=True, as everywhere in RealNet."""
    return F.interpolate(maps, size=tuple(size), mode="bilinear", align_corners=True)


def stack_planes(maps: Sequence[Tensor]) -> Tensor:
    """Bring feature maps or residuals to the first one's resolution and concatenate their channels.

    Args:
        maps: float tensors (N, C_k, H_k, W_k), finest first.

    Returns:
        (N, sum of C_k, H_1, W_1), upsampled bilinearly with align_corners=True.
    """
    size = maps[0].shape[-2:]
    planes = [m if m.shape[-2:] == size else resize(m, size) for m in maps]
    return torch.cat(planes, dim=1) if len(planes) > 1 else planes[0]


def residual_planes(selected: Sequence[Tensor], reconstructed: Sequence[Tensor]) -> Tensor:
    """Squared residuals of all blocks at the finest resolution.

    Small differences of large numbers: computed in float32, under autocast, too.

    Args:
        selected, reconstructed: float tensors (N, C_k, H_k, W_k), finest first, alike in shape.

    Returns:
        float32 (N, sum of C_k, H_1, W_1).
    """
    pairs = zip(selected, reconstructed, strict=True)
    return stack_planes([(s.float() - r.float()) ** 2 for s, r in pairs])


def choose_planes(normalised: Tensor, k_max: int, k_mean: int) -> Tensor:
    """Choose planes by global maximum and by global mean.

    Args:
        normalised: (N, C, H, W) residual planes after BatchNorm without affine.
        k_max, k_mean: planes kept in each mode, 0..C.

    Returns:
        (N, k_max + k_mean) int64 channel indices, the maximum's first, each mode in descending
        order of its score.
    """
    chosen = []
    if k_max:
        chosen.append(normalised.amax(dim=(2, 3)).topk(k_max, dim=1).indices)
    if k_mean:
        chosen.append(normalised.mean(dim=(2, 3)).topk(k_mean, dim=1).indices)
    return torch.cat(chosen, dim=1)


def take_planes(planes: Tensor, indices: Tensor) -> Tensor:
    """The chosen planes of each sample: (N, C, H, W) by (N, k) to (N, k, H, W)."""
    # Whole planes are picked from the planes of all samples in a row: an engine then copies blocks of memory
    # instead of looking up an index for every pixel.
    samples, channels = planes.shape[:2]
    first = channels * torch.arange(samples, device=planes.device)[:, None]
    chosen = planes.flatten(0, 1).index_select(0, (indices + first).flatten())
    return chosen.reshape(*indices.shape, *planes.shape[-2:])


def mask_planes(planes: Tensor, indices: Tensor) -> Tensor:
    """All planes in their own places, those not chosen zero: (N, C, H, W) by (N, k) to (N, C, H, W)."""
    chosen = planes.new_zeros(planes.shape[:2]).scatter(1, indices, 1.0)
    return planes * chosen[:, :, None, None]


def rrs_scores_reference(
    selected: Sequence[Tensor], reconstructed: Sequence[Tensor], mean: Tensor, variance: Tensor, eps: float
) -> tuple[Tensor, Tensor]:
    """What RRS ranks planes by: global maximum and mean of every plane after normalisation.

    Args:
        selected, reconstructed: float tensors (N, C_k, H_k, W_k), finest first, alike in shape.
        mean, variance: float (C,), C the sum of C_k: BatchNorm's statistics.
        eps: added to the variance.

    Returns:
        Two tensors (N, C), maximum and mean, in float32, or float64 where the statistics are.
    """
    planes = residual_planes(selected, reconstructed).to(mean.dtype)
    normalised = (planes - mean[:, None, None]) * torch.rsqrt(variance + eps)[:, None, None]
    return normalised.amax(dim=(2, 3)), normalised.mean(dim=(2, 3))


def rank_planes(maximum: Tensor, mean: Tensor, k_max: int, k_mean: int) -> Tensor:
    """Indices of the highest scores of each mode, in descending order; equal ones by lower index.

    Args:
        maximum, mean: float (N, C) scores; NaN counts as the highest.
        k_max, k_mean: how many of each, 0..C.

    Returns:
        int64 (N, k_max + k_mean), the maximum's first.
    """
    chosen = []
    for scores, count in ((maximum, k_max), (mean, k_mean)):
        ordered = torch.sort(scores.nan_to_num(nan=torch.inf), dim=1, descending=True, stable=True)
        chosen.append(ordered.indices[:, :count])
    return torch.cat(chosen, dim=1)


def rrs_select_reference(
    selected: Sequence[Tensor],
    reconstructed: Sequence[Tensor],
    mean: Tensor,
    variance: Tensor,
    eps: float,
    k_max: int,
    k_mean: int,
) -> Tensor:
    """What `realnet_edge.kernels.rrs.rrs_select` gives, by way of all planes at full resolution."""
    scores = rrs_scores_reference(selected, reconstructed, mean, variance, eps)
    return rank_planes(*scores, k_max, k_mean)


def rrs_gather_reference(
    selected: Sequence[Tensor], reconstructed: Sequence[Tensor], source: Tensor
) -> Tensor:
    """What `realnet_edge.kernels.rrs.rrs_gather` gives, by way of all planes at full resolution."""
    chosen = take_planes(residual_planes(selected, reconstructed), source.clamp_min(0))
    return chosen * (source >= 0)[:, :, None, None]
