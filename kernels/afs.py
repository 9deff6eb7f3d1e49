"""Feature selection (AFS, paper section 3.2): pick a tap's channels, standardise, lay out and cast, at once.

One op, `realnet_edge::afs_gather`: on a GPU a Triton kernel that reads every kept value once and writes it
once; on a CPU PyTorch's own gather and normalisation. triton is imported when a tensor on a GPU first comes.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from realnet_edge.kernels.checks import (
    FLOATS,
    check_dtype,
    check_index,
    check_index_range,
    check_length,
    check_rank,
    check_same_device,
)
from realnet_edge.kernels.layout import is_channels_last, memory_format

_NAME = "realnet_edge::afs_gather"
_SCHEMA = (
    "(Tensor features, Tensor index, Tensor? mean, Tensor? scale, bool channels_last, ScalarType dtype)"
    " -> Tensor"
)


def afs_gather(
    features: Tensor,
    index: Tensor,
    mean: Tensor | None = None,
    scale: Tensor | None = None,
    *,
    channels_last: bool = False,
    dtype: torch.dtype | None = None,
) -> Tensor:
    """`(features[:, index] - mean[index]) * scale[index]`, computed in float32 whatever comes in.

    Differentiable in `features` alone.

    Args:
        features: float32, float16 or bfloat16 (N, C, H, W) in either layout; any other is copied first.
        index: int64 or int32 (m,), each in 0..C - 1, in any order and as often as wanted. On a GPU nobody
            looks whether they are: that would wait for the device.
        mean, scale: float (C,) of the tap's channels; None leaves the step out.
        channels_last: the result's layout in memory.
        dtype: the result's, float32, float16 or bfloat16; None for that of `features`.

    Returns:
        (N, m, H, W), contiguous or channels last.

    Raises:
        KernelArgumentError: shapes, dtypes, devices or, on the CPU, positions that do not fit.
    """
    op = torch.ops.realnet_edge.afs_gather.default
    result: Tensor = op(features, index, mean, scale, channels_last, dtype or features.dtype)
    return result


def _compute(
    features: Tensor,
    index: Tensor,
    mean: Tensor | None,
    scale: Tensor | None,
    channels_last: bool,
    dtype: torch.dtype,
) -> Tensor:
    _check(features, index, mean, scale, dtype)
    check_index_range("index", index, features.shape[1])
    if features.device.type == "cpu":
        picked = None if _is_whole(index, features.shape[1]) else index
        out = gathered_on_cpu(features, picked, mean, scale, channels_last=channels_last, dtype=dtype)
        # An op's result is never its input.
        return out.clone() if out is features else out
    # Not at the top: nobody without a GPU needs triton.
    from realnet_edge.kernels.afs_triton import launch_afs_gather

    if not is_channels_last(features):
        features = features.contiguous()
    mean, scale = (None if values is None else values.contiguous() for values in (mean, scale))
    out = _empty(features, index, channels_last, dtype)
    launch_afs_gather(features, index.contiguous(), mean, scale, out)
    return out


def _fake(
    features: Tensor,
    index: Tensor,
    mean: Tensor | None,
    scale: Tensor | None,
    channels_last: bool,
    dtype: torch.dtype,
) -> Tensor:
    _check(features, index, mean, scale, dtype)
    return _empty(features, index, channels_last, dtype)


def _keep_for_backward(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:  # noqa: ARG001  # torch names it
    features, index, _, scale, _, _ = inputs
    ctx.save_for_backward(index, scale)
    ctx.shape, ctx.dtype = features.shape, features.dtype


def _backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
    """A channel's gradient is the sum over the places it was picked for, each times its scale."""
    index, scale = ctx.saved_tensors
    gradient = gradient.float()
    if scale is not None:
        gradient = gradient * scale.float().index_select(0, index)[:, None, None]
    spread = gradient.new_zeros(ctx.shape).index_add(1, index, gradient)
    return spread.to(ctx.dtype), None, None, None, None, None


# Not `custom_op`: its first call imports PyTorch's compiler, which takes longer than importing PyTorch did.
torch.library.define(_NAME, _SCHEMA, tags=torch.Tag.pt2_compliant_tag)
torch.library.impl(_NAME, "CompositeExplicitAutograd", _compute)
torch.library.register_fake(_NAME, _fake)
torch.library.register_autograd(_NAME, _backward, setup_context=_keep_for_backward)


def gathered_on_cpu(
    features: Tensor,
    index: Tensor | None,
    mean: Tensor | None,
    scale: Tensor | None,
    *,
    channels_last: bool,
    dtype: torch.dtype,
) -> Tensor:
    """What `afs_gather` computes on a CPU, without its checks, its gradient, and the time that a call takes.

    Gathered, then standardised by PyTorch's normalisation, which reads and writes every value once. That
    computes `x * scale - mean * scale`: what is lost to cancellation, float32 features have lost before.

    Args:
        features, mean, scale, channels_last, dtype: as for `afs_gather`.
        index: as for `afs_gather`, within range; None for all channels in their order.

    Returns:
        (N, m, H, W); `features` themselves where nothing is to be done.
    """
    planes = features if index is None else _gathered(features, index)
    if mean is not None or scale is not None:
        ones = torch.ones(planes.shape[1])
        offset = torch.zeros_like(ones) if mean is None else _picked(mean, index)
        factor = None if scale is None else _picked(scale, index)
        if not (planes.is_contiguous() or is_channels_last(planes)):
            planes = planes.contiguous()
        planes = torch.batch_norm(planes.float(), factor, None, offset, ones, False, 0.0, 0.0, False)
    return planes.to(dtype, memory_format=memory_format(channels_last))


def _picked(values: Tensor, index: Tensor | None) -> Tensor:
    return values.float() if index is None else values.float().index_select(0, index)


def _gathered(features: Tensor, index: Tensor) -> Tensor:
    """The picked channels, (N, m, H, W) in the layout that `features` have."""
    if not is_channels_last(features):
        return features.index_select(1, index)
    # Rows of channels: of a transposed view PyTorch gathers value by value.
    samples, _, height, width = features.shape
    rows = features.permute(0, 2, 3, 1).flatten(0, 2).index_select(1, index)
    return rows.view(samples, height, width, -1).permute(0, 3, 1, 2)


def _is_whole(index: Tensor, channels: int) -> bool:
    """Whether all channels are picked in their order."""
    return index.shape[0] == channels and torch.equal(index, torch.arange(channels, dtype=index.dtype))


def _check(
    features: Tensor, index: Tensor, mean: Tensor | None, scale: Tensor | None, dtype: torch.dtype
) -> None:
    """Everything that is known without a look at values."""
    check_rank("features", features, 4, "(N, C, H, W)")
    check_dtype("features", features.dtype, FLOATS)
    check_dtype("dtype", dtype, FLOATS)
    check_index("index", index)
    for name, values in (("mean", mean), ("scale", scale)):
        if values is not None:
            check_dtype(name, values.dtype, FLOATS)
            check_length(name, values, features.shape[1], "channel of features")
    check_same_device({"features": features, "index": index, "mean": mean, "scale": scale})


def _empty(features: Tensor, index: Tensor, channels_last: bool, dtype: torch.dtype) -> Tensor:
    samples, _, height, width = features.shape
    shape = (samples, index.shape[0], height, width)
    return torch.empty(shape, dtype=dtype, device=features.device, memory_format=memory_format(channels_last))
