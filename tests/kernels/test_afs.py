"""The feature selection op on the CPU: values, layouts, gradients, what it refuses, and what it registers."""

from __future__ import annotations

import subprocess
import sys
from itertools import product

import pytest
import torch
from torch import Tensor

from realnet_edge.errors import RealnetEdgeError
from realnet_edge.kernels.afs import afs_gather
from realnet_edge.kernels.afs_reference import afs_gather_reference

# Input, output and the largest difference from float64, relative to the values' size of about 1.
DTYPES = [
    (torch.float32, torch.float32, 1e-6),
    (torch.float32, torch.float16, 2e-3),
    (torch.float16, torch.float32, 1e-6),
    (torch.float16, torch.float16, 2e-3),
    (torch.bfloat16, torch.float32, 1e-6),
]
SHAPES = [((1, 7, 1, 1), 3), ((2, 12, 37, 1), 5), ((5, 9, 3, 2), 7), ((2, 40, 7, 9), 37)]
LAYOUTS = list(product((torch.contiguous_format, torch.channels_last), repeat=2))


def arguments(shape: tuple[int, ...] = (2, 9, 3, 5), kept: int = 5) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Features, index, mean and scale."""
    channels = shape[1]
    index = torch.randperm(channels)[:kept]
    return torch.randn(shape), index, torch.randn(channels), torch.rand(channels) + 0.5


@pytest.mark.parametrize(("source", "target", "tolerance"), DTYPES)
@pytest.mark.parametrize(("read", "written"), LAYOUTS)
@pytest.mark.parametrize(("shape", "kept"), SHAPES)
def test_values_and_layout(
    shape: tuple[int, int, int, int],
    kept: int,
    read: torch.memory_format,
    written: torch.memory_format,
    source: torch.dtype,
    target: torch.dtype,
    tolerance: float,
) -> None:
    features, index, mean, scale = arguments(shape, kept)
    features = features.to(source).contiguous(memory_format=read)
    before = features.clone()
    last = written is torch.channels_last
    found = afs_gather(features, index, mean, scale, channels_last=last, dtype=target)
    assert found.dtype is target
    assert found.is_contiguous(memory_format=written)
    expected = afs_gather_reference(features.double(), index, mean.double(), scale.double())
    torch.testing.assert_close(found.double(), expected, rtol=tolerance, atol=tolerance)
    assert torch.equal(features, before)


@pytest.mark.parametrize("source", [torch.float32, torch.float16])
@pytest.mark.parametrize(("centred", "scaled"), [(True, True), (True, False), (False, True), (False, False)])
@pytest.mark.parametrize(("read", "written"), LAYOUTS)
def test_a_tap_that_is_kept_whole(
    read: torch.memory_format, written: torch.memory_format, centred: bool, scaled: bool, source: torch.dtype
) -> None:
    features, _, mean, scale = arguments((2, 9, 3, 5))
    features = features.to(source).contiguous(memory_format=read)
    before = features.clone()
    given = (torch.arange(9), mean if centred else None, scale if scaled else None)
    found = afs_gather(features, *given, channels_last=written is torch.channels_last)
    torch.testing.assert_close(found, afs_gather_reference(features, *given))
    assert found.is_contiguous(memory_format=written)
    assert found.data_ptr() != features.data_ptr()
    assert torch.equal(features, before)


def test_strides_of_neither_layout_and_repeated_channels() -> None:
    features = torch.randn(2, 6, 8, 10)[:, :, 1:6, 2:9]
    index = torch.tensor([5, 5, 0], dtype=torch.int32)
    assert torch.equal(afs_gather(features, index), features[:, [5, 5, 0]])


@pytest.mark.parametrize("index", [[3, 0, 8], [4, 4, 1]])
def test_the_gradient_is_that_of_the_reference(index: list[int]) -> None:
    features, _, mean, scale = arguments()
    weights = torch.randn(2, 3, 3, 5)
    gradients = []
    for gather in (afs_gather, afs_gather_reference):
        leaf = features.clone().requires_grad_()
        (gather(leaf, torch.tensor(index), mean, scale) * weights).sum().backward()
        gradients.append(leaf.grad)
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("standardised", [False, True])
def test_the_registration_is_whole(standardised: bool, last: bool) -> None:
    features, index, mean, scale = arguments()
    given = (mean, scale) if standardised else (None, None)
    op = torch.ops.realnet_edge.afs_gather
    dtype = torch.float16 if last else torch.float32
    torch.library.opcheck(op, (features.requires_grad_(), index, *given, last, dtype))


def refused(message: str, **changes: Tensor | torch.dtype) -> None:
    features, index, mean, scale = arguments()
    named = {"features": features, "index": index, "mean": mean, "scale": scale, **changes}
    with pytest.raises(ValueError, match=message) as caught:
        afs_gather(**named)  # type: ignore[arg-type]  # some are meant to be wrong
    assert isinstance(caught.value, RealnetEdgeError)


def test_what_does_not_fit_is_refused_by_name() -> None:
    refused(r"features has 3 dimensions \(9, 3, 5\)", features=torch.randn(9, 3, 5))
    refused("features is float64; valid: float32, float16", features=torch.randn(2, 9, 3, 5).double())
    refused("dtype is int32", dtype=torch.int32)
    refused("index has 2 dimensions", index=torch.zeros(1, 2, dtype=torch.int64))
    refused("index is float32; valid: int64, int32", index=torch.zeros(2))
    refused("index is empty", index=torch.zeros(0, dtype=torch.int64))
    refused(r"index holds positions 2\.\.9; valid: 0\.\.8", index=torch.tensor([2, 9]))
    refused(r"index holds positions -1\.\.2", index=torch.tensor([2, -1]))
    refused(r"mean has shape \(5,\); valid: \(9,\)", mean=torch.zeros(5))
    refused("scale has shape", scale=torch.ones(1, 9))
    refused("mean is int64", mean=torch.zeros(9, dtype=torch.int64))
    refused("different devices: features on cpu, index on meta", index=torch.zeros(2, device="meta").long())


def test_triton_is_not_imported_where_no_gpu_asks_for_it() -> None:
    code = (
        "import sys, torch; sys.modules['triton'] = None\n"
        "from realnet_edge.kernels.afs import afs_gather\n"
        "assert afs_gather(torch.ones(1, 4, 2, 2), torch.tensor([2])).sum() == 4"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
