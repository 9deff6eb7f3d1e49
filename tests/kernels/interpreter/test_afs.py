"""The Triton kernel of feature selection against float64, on outputs that held NaN before."""

from __future__ import annotations

from itertools import product

import pytest
import torch

from realnet_edge.kernels.afs_reference import afs_gather_reference
from realnet_edge.kernels.afs_triton import launch_afs_gather

# (N, C, H, W) and kept channels: single pixels, one row, one column, non-square, odd and even counts.
SHAPES = [
    ((1, 7, 1, 1), 3),
    ((2, 5, 1, 1), 1),
    ((5, 9, 3, 2), 7),
    ((1, 48, 1, 40), 33),
    ((2, 12, 37, 1), 5),
    ((2, 40, 7, 9), 37),
    ((1, 6, 33, 31), 6),
]
# Input, output and the largest difference from float64, relative to the values' size of about 1.
DTYPES = [
    (torch.float32, torch.float32, 1e-6),
    (torch.float32, torch.float16, 2e-3),
    (torch.float16, torch.float32, 1e-6),
    (torch.float16, torch.float16, 2e-3),
]
LAYOUTS = list(product((torch.contiguous_format, torch.channels_last), repeat=2))


@pytest.mark.parametrize(
    ("shape", "kept", "source", "target", "tolerance"),
    # Every shape in one pair of dtypes, every pair in one shape: a program takes a millisecond here.
    [*((*shape, *DTYPES[0]) for shape in SHAPES), *((*SHAPES[5], *dtypes) for dtypes in DTYPES[1:])],
)
@pytest.mark.parametrize(("read", "written"), LAYOUTS)
def test_every_value_is_written_and_right(
    shape: tuple[int, int, int, int],
    kept: int,
    read: torch.memory_format,
    written: torch.memory_format,
    source: torch.dtype,
    target: torch.dtype,
    tolerance: float,
) -> None:
    samples, channels, height, width = shape
    features = torch.randn(shape).to(source).contiguous(memory_format=read)
    index = torch.randperm(channels)[:kept].to(torch.int32 if kept % 3 else torch.int64)
    mean, scale = torch.randn(channels), torch.rand(channels) + 0.5
    out = torch.full((samples, kept, height, width), torch.nan, dtype=target)
    out = out.contiguous(memory_format=written)
    launch_afs_gather(features, index, mean, scale, out)
    expected = afs_gather_reference(features.double(), index, mean.double(), scale.double())
    torch.testing.assert_close(out.double(), expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("has_mean", [False, True])
@pytest.mark.parametrize("has_scale", [False, True])
def test_steps_that_are_not_asked_for_change_nothing(has_mean: bool, has_scale: bool) -> None:
    features, index = torch.randn(2, 5, 3, 4), torch.tensor([4, 0, 4])
    mean, scale = torch.randn(5) if has_mean else None, torch.rand(5) if has_scale else None
    out = torch.full((2, 3, 3, 4), torch.nan)
    launch_afs_gather(features, index, mean, scale, out)
    # Bit for bit: the same two roundings.
    assert torch.equal(out, afs_gather_reference(features, index, mean, scale))


def test_no_samples_give_nothing() -> None:
    out = torch.empty(0, 2, 3, 3)
    launch_afs_gather(torch.empty(0, 4, 3, 3), torch.tensor([1, 2]), None, None, out)
    assert out.shape == (0, 2, 3, 3)
