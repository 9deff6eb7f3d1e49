"""Running statistics of a BatchNorm whose batch statistics were computed elsewhere than in PyTorch's own."""

from __future__ import annotations

import torch
from torch import Tensor, nn


@torch.no_grad()
def follow_statistics(norm: nn.BatchNorm2d, mean: Tensor, variance: Tensor, count: int) -> None:
    """Take a batch into the running statistics, as PyTorch's BatchNorm does; nothing where it keeps none.

    Args:
        norm: whose `momentum` is the batch's share; None keeps the plain average over all batches.
        mean, variance: float (C,) of the batch, the variance biased.
        count: values a channel in the batch.
    """
    if norm.running_mean is None or norm.running_var is None or norm.num_batches_tracked is None:
        return
    norm.num_batches_tracked += 1
    share = 1.0 / float(norm.num_batches_tracked) if norm.momentum is None else norm.momentum
    norm.running_mean.lerp_(mean, share)
    norm.running_var.lerp_(variance * (count / max(1, count - 1)), share)
