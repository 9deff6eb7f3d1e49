"""Bilinear upsampling with align_corners=True as matrices: where each output pixel looks, what it takes.

Positions follow PyTorch's arithmetic to the bit: a float32 scale, multiplied by the output position, split
into a whole and a fractional part.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor


@lru_cache(maxsize=64)
def axis_matrix(source: int, target: int) -> Tensor:
    """Upsampling along one axis as a matrix: float32 (target, source), rows of at most two entries, sum 1.

    Rows times columns is the whole operation: `axis_matrix(h, H) @ plane @ axis_matrix(w, W).T`.

    Args:
        source, target: positions along the axis before and after, each at least 1.
    """
    scale = torch.tensor(source - 1, dtype=torch.float32) / max(1, target - 1)
    position = torch.arange(target, dtype=torch.float32) * (scale if target > 1 else 0.0)
    lower = position.long().clamp_max(source - 1)
    upper = (lower + 1).clamp_max(source - 1)
    fraction = position - lower
    rows = torch.arange(target)
    matrix = torch.zeros(target, source)
    matrix[rows, lower] += 1.0 - fraction
    matrix[rows, upper] += fraction
    return matrix


@lru_cache(maxsize=64)
def mean_weights(source: tuple[int, int], target: tuple[int, int]) -> Tensor:
    """What each pixel of a plane adds to the mean of the upsampled plane: float32 (h * w,), sum 1.

    The mean of a linear map needs no upsampled plane: it is a weighted sum, and the weights are separable.

    Args:
        source, target: height and width before and after.
    """
    rows, columns = (
        axis_matrix(before, after).double().sum(0) / after
        for before, after in zip(source, target, strict=True)
    )
    return torch.outer(rows, columns).flatten().float()


@lru_cache(maxsize=64)
def axis_gram(source: int, target: int) -> Tensor:
    """The matrix of the upsampled square: float32 (source, source), `A.T @ A / target` of `axis_matrix`.

    The mean square of an upsampled plane x is the sum over `x * (G_rows @ x @ G_columns)`.
    """
    matrix = axis_matrix(source, target).double()
    return (matrix.T @ matrix / target).float()
