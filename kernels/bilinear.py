"""Bilinear upsampling with align_corners=True as matrices: where each output pixel looks, what it takes.

Positions follow PyTorch's arithmetic to the bit: a float32 scale, multiplied by the output position, split
into a whole and a fractional part. Matrices are kept where they are used: a GPU does not wait for them anew.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

Size = tuple[int, int]


def upsampling_gradient(gradient: Tensor, size: Size) -> Tensor:
    """The transpose of upsampling, (P, H, W) back to (P, *size); sums are in the same order every run."""
    height, width = gradient.shape[1:]
    if (height, width) == size:
        return gradient
    down, across = axis_matrices(size, (height, width), gradient.device)
    return torch.matmul(down.T, gradient) @ across


@lru_cache(maxsize=64)
def axis_matrix(source: int, target: int, device: torch.device) -> Tensor:
    """Upsampling along one axis as a matrix: float32 (target, source), rows of at most two entries, sum 1.

    Rows times columns is the whole operation: `axis_matrix(h, H) @ plane @ axis_matrix(w, W).T`.

    Args:
        source, target: positions along the axis before and after, each at least 1.
        device: where it is to lie.
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
    return matrix.to(device)


def axis_matrices(source: Size, target: Size, device: torch.device) -> tuple[Tensor, Tensor]:
    """The matrices along the rows and along the columns."""
    return axis_matrix(source[0], target[0], device), axis_matrix(source[1], target[1], device)


@lru_cache(maxsize=64)
def mean_weights(source: Size, target: Size, device: torch.device) -> Tensor:
    """What each pixel of a plane adds to the mean of the upsampled plane: float32 (h * w,), sum 1.

    The mean of a linear map needs no upsampled plane: it is a weighted sum, and the weights are separable.

    Args:
        source, target: height and width before and after.
        device: where they are to lie.
    """
    down, across = (
        matrix.double().sum(0) / matrix.shape[0]
        for matrix in axis_matrices(source, target, torch.device("cpu"))
    )
    return torch.outer(down, across).flatten().float().to(device)


@lru_cache(maxsize=64)
def axis_gram(source: int, target: int, device: torch.device) -> Tensor:
    """The matrix of the upsampled square: float32 (source, source), `A.T @ A / target` of `axis_matrix`.

    The mean square of an upsampled plane x is the sum over `x * (G_rows @ x @ G_columns)`.
    """
    matrix = axis_matrix(source, target, torch.device("cpu")).double()
    return (matrix.T @ matrix / target).float().to(device)
