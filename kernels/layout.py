"""How planes lie in memory, and what they are computed in."""

from __future__ import annotations

import torch
from torch import Tensor


def is_channels_last(planes: Tensor) -> bool:
    """Channels side by side; what both layouts fit, as planes of one pixel, counts as contiguous."""
    last = planes.is_contiguous(memory_format=torch.channels_last)
    return last and not planes.is_contiguous()


def memory_format(channels_last: bool) -> torch.memory_format:
    """PyTorch's name for a layout."""
    return torch.channels_last if channels_last else torch.contiguous_format


def full_precision(device: torch.device) -> torch.autocast:
    """The context in which autocast leaves float32 as it is, for what small differences decide."""
    return torch.autocast(device.type, enabled=False)


def plane_size(planes: Tensor) -> tuple[int, int]:
    """Height and width of (N, C, H, W)."""
    return int(planes.shape[2]), int(planes.shape[3])
