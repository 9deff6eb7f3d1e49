"""Reconstruction residual selection (RRS, paper section 3.3) without planes at full resolution.

Two ops, `realnet_edge::rrs_select` and `realnet_edge::rrs_gather`: on a GPU Triton kernels, on a CPU
PyTorch's own operations on a few planes at a time. `rrs_reference` says what they compute, by way of all
planes. triton is imported when a tensor on a GPU first comes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from realnet_edge.kernels.bilinear import axis_gram, mean_weights, upsampling_gradient
from realnet_edge.kernels.checks import FLOATS, check_dtype, check_index_range
from realnet_edge.kernels.layout import full_precision, memory_format, plane_size
from realnet_edge.kernels.rrs_checks import check_pairs, check_select, check_source
from realnet_edge.kernels.rrs_cpu import gather_residuals, located, pool_residuals, squared_residual
from realnet_edge.kernels.rrs_reference import rank_planes

_SELECT = "realnet_edge::rrs_select"
_GATHER = "realnet_edge::rrs_gather"
_BACKWARD = "realnet_edge::rrs_gather_backward"
_TAGS = (torch.Tag.pt2_compliant_tag, torch.Tag.needs_fixed_stride_order)


def rrs_select(
    selected: Sequence[Tensor],
    reconstructed: Sequence[Tensor],
    mean: Tensor,
    variance: Tensor,
    eps: float,
    k_max: int,
    k_mean: int,
) -> Tensor:
    """Choose residual planes by the maximum and by the mean they have after upsampling and normalisation.

    Not differentiable, as in the paper: the choice is no function that could be followed downhill.

    Args:
        selected, reconstructed: float32, float16 or bfloat16 (N, C_k, H_k, W_k) of one dtype, alike in shape;
            planes are brought to the size of the first block, bilinearly with align_corners=True.
        mean, variance: float32 (C,), C the sum of C_k: BatchNorm's statistics of the upsampled planes.
        eps: added to the variance.
        k_max, k_mean: planes kept in each mode, 0..C, not both 0.

    Returns:
        int64 (N, k_max + k_mean), planes counted over all blocks, the maximum's first, each mode in
        descending order of its score; equal scores by lower index.

    Raises:
        KernelArgumentError: shapes, dtypes, devices or numbers that do not fit.
    """
    op = torch.ops.realnet_edge.rrs_select.default
    indices: Tensor = op(list(selected), list(reconstructed), mean, variance, eps, k_max, k_mean)
    return indices


def rrs_gather(
    selected: Sequence[Tensor],
    reconstructed: Sequence[Tensor],
    source: Tensor,
    *,
    channels_last: bool = False,
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """Squared residuals of the chosen planes alone, brought to the first block's size.

    Differentiable in `selected` and `reconstructed`.

    Args:
        selected, reconstructed: as `rrs_select` takes them.
        source: int64 or int32 (N, P): the plane that each place takes, counted over all blocks, 0..C - 1, or
            -1 for zeros. On a GPU nobody looks whether they are: that would wait for the device.
        channels_last: the result's layout in memory.
        dtype: the result's, float32, float16 or bfloat16; computed in float32.

    Returns:
        (N, P, H_1, W_1), contiguous or channels last.

    Raises:
        KernelArgumentError: shapes, dtypes, devices or, on the CPU, planes that do not fit.
    """
    op = torch.ops.realnet_edge.rrs_gather.default
    planes: Tensor = op(list(selected), list(reconstructed), source, channels_last, dtype)
    return planes


@torch.no_grad()
def rrs_moments(selected: Sequence[Tensor], reconstructed: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Mean and biased variance of every plane over a batch, as BatchNorm takes them in training.

    Both are exact without an upsampled plane: the mean by separable weights, the variance by the matrix of
    the upsampled square, which has three diagonals an axis.

    Args:
        selected, reconstructed: as `rrs_select` takes them.

    Returns:
        float32 (C,) each.
    """
    check_pairs(selected, reconstructed)
    size = plane_size(selected[0])
    with full_precision(selected[0].device):
        pairs = zip(selected, reconstructed, strict=True)
        moments = [_block_moments(squared_residual(block, other), size) for block, other in pairs]
    means, variances = zip(*moments, strict=True)
    return torch.cat(means), torch.cat(variances)


def _block_moments(residual: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    coarse, device = plane_size(residual), residual.device
    mean = (residual.flatten(2) @ mean_weights(coarse, size, device)).mean(dim=0)
    # Upsampling keeps a constant: subtracted before, it costs the squares no digits.
    centred = residual - mean[:, None, None]
    rows, columns = (axis_gram(before, after, device) for before, after in zip(coarse, size, strict=True))
    square = (centred * (rows @ centred @ columns)).sum(dim=(2, 3))
    return mean, square.mean(dim=0)


# Not `custom_op`: its first call imports PyTorch's compiler, which takes longer than importing PyTorch did.
torch.library.define(
    _SELECT,
    "(Tensor[] selected, Tensor[] reconstructed, Tensor mean, Tensor variance, float eps, int k_max, "
    "int k_mean) -> Tensor",
    tags=_TAGS,
)
torch.library.define(
    _GATHER,
    "(Tensor[] selected, Tensor[] reconstructed, Tensor source, bool channels_last, ScalarType dtype)"
    " -> Tensor",
    tags=_TAGS,
)
torch.library.define(
    _BACKWARD,
    "(Tensor gradient, Tensor[] selected, Tensor[] reconstructed, Tensor source) -> Tensor[]",
    tags=_TAGS,
)


@torch.library.impl(_SELECT, "CompositeExplicitAutograd")
def _select(
    selected: list[Tensor],
    reconstructed: list[Tensor],
    mean: Tensor,
    variance: Tensor,
    eps: float,
    k_max: int,
    k_mean: int,
) -> Tensor:
    planes = check_pairs(selected, reconstructed)
    check_select(selected, mean, variance, planes, k_max, k_mean)
    if mean.device.type == "cpu":
        scale = torch.rsqrt(variance + eps)
        with full_precision(mean.device):
            scores = [(pooled - mean) * scale for pooled in pool_residuals(selected, reconstructed)]
        return rank_planes(scores[0], scores[1], k_max, k_mean)
    # Not at the top: nobody without a GPU needs triton.
    from realnet_edge.kernels.residual_triton import one_layout
    from realnet_edge.kernels.rrs_select_triton import launch_rrs_select

    indices = mean.new_empty((selected[0].shape[0], k_max + k_mean), dtype=torch.int64)
    statistics = mean.contiguous(), variance.contiguous()
    launch_rrs_select(one_layout(selected, reconstructed), *statistics, eps, k_max, indices)
    return indices


def _select_fake(
    selected: list[Tensor],
    reconstructed: list[Tensor],
    mean: Tensor,
    variance: Tensor,
    eps: float,  # noqa: ARG001  # torch names it
    k_max: int,
    k_mean: int,
) -> Tensor:
    check_select(selected, mean, variance, check_pairs(selected, reconstructed), k_max, k_mean)
    return mean.new_empty((selected[0].shape[0], k_max + k_mean), dtype=torch.int64)


@torch.library.impl(_GATHER, "CompositeExplicitAutograd")
def _gather(
    selected: list[Tensor],
    reconstructed: list[Tensor],
    source: Tensor,
    channels_last: bool,
    dtype: torch.dtype,
) -> Tensor:
    out = _gather_fake(selected, reconstructed, source, channels_last, dtype)
    # -1 stands for zeros.
    check_index_range("source", source, sum(block.shape[1] for block in selected), lowest=-1)
    wide = source.long().contiguous()
    if source.device.type == "cpu":
        with full_precision(source.device):
            gather_residuals(selected, reconstructed, wide, out)
        return out
    from realnet_edge.kernels.residual_triton import one_layout
    from realnet_edge.kernels.rrs_gather_triton import launch_rrs_gather

    launch_rrs_gather(one_layout(selected, reconstructed), wide, out, channels_last)
    return out


def _gather_fake(
    selected: list[Tensor],
    reconstructed: list[Tensor],
    source: Tensor,
    channels_last: bool,
    dtype: torch.dtype,
) -> Tensor:
    check_pairs(selected, reconstructed)
    check_source(selected, source)
    check_dtype("dtype", dtype, FLOATS)
    shape = (*source.shape, *selected[0].shape[2:])
    return torch.empty(shape, dtype=dtype, device=source.device, memory_format=memory_format(channels_last))


@torch.library.impl(_BACKWARD, "CompositeExplicitAutograd")
def _gather_backward(
    gradient: Tensor, selected: list[Tensor], reconstructed: list[Tensor], source: Tensor
) -> list[Tensor]:
    """Gradients with respect to `selected`; those of `reconstructed` are their negatives."""
    planes = gradient.flatten(0, 1)
    found = []
    for block, other, (places, rows) in zip(
        selected, reconstructed, located(selected, source.long()), strict=True
    ):
        coarse = plane_size(block)
        part = upsampling_gradient(planes.index_select(0, places).float(), coarse)
        spread = part.new_zeros((block.shape[0] * block.shape[1], *coarse)).index_add_(0, rows, part)
        change = 2.0 * (block.float() - other.float())
        part = spread.view(block.shape) * change
        found.append(part.to(block.dtype, memory_format=torch.contiguous_format))
    return found


def _gather_backward_fake(
    gradient: Tensor,  # noqa: ARG001  # torch names it
    selected: list[Tensor],
    reconstructed: list[Tensor],  # noqa: ARG001
    source: Tensor,  # noqa: ARG001
) -> list[Tensor]:
    return [torch.empty_like(block, memory_format=torch.contiguous_format) for block in selected]


def _keep_for_backward(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:  # noqa: ARG001  # torch names it
    selected, reconstructed, source, _, _ = inputs
    ctx.blocks = len(selected)
    ctx.save_for_backward(*selected, *reconstructed, source)


def _backward(ctx: Any, gradient: Tensor) -> tuple[Any, ...]:
    *blocks, source = ctx.saved_tensors
    selected, reconstructed = blocks[: ctx.blocks], blocks[ctx.blocks :]
    op = torch.ops.realnet_edge.rrs_gather_backward.default
    found = op(gradient, selected, reconstructed, source)
    return found, [-part for part in found], None, None, None


torch.library.register_fake(_SELECT, _select_fake)
torch.library.register_fake(_GATHER, _gather_fake)
torch.library.register_fake(_BACKWARD, _gather_backward_fake)
torch.library.register_autograd(_GATHER, _backward, setup_context=_keep_for_backward)
