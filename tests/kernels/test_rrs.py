"""The ops of RRS on the CPU against the reference; the Triton kernels are in `interpreter/`."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from realnet_edge.kernels import rrs_cpu
from realnet_edge.kernels.bilinear import axis_matrix
from realnet_edge.kernels.checks import KernelArgumentError
from realnet_edge.kernels.rrs import rrs_gather, rrs_moments, rrs_select
from realnet_edge.kernels.rrs_reference import (
    residual_planes,
    resize,
    rrs_gather_reference,
    rrs_scores_reference,
    rrs_select_reference,
)

# Batch, then (C, H, W) of every block: scales of 1, 2, 4, 8, ones that divide nothing, single pixels, lines;
# fewer and more channels than are upsampled at once.
CASES = [
    (1, [(16, 64, 64), (32, 32, 32), (48, 16, 16), (65, 8, 8)]),
    (2, [(4, 7, 9), (97, 4, 5), (1, 3, 7)]),
    (5, [(2, 1, 1), (35, 1, 1)]),
    (3, [(3, 6, 5), (64, 3, 3), (130, 3, 1), (257, 2, 2)]),
    (1, [(2, 5, 40), (3, 1, 1), (40, 1, 6)]),
    (3, [(9, 33, 40)]),
]
Pairs = tuple[list[Tensor], list[Tensor]]


def _pairs(samples: int, shapes: list[tuple[int, int, int]], dtype: torch.dtype = torch.float32) -> Pairs:
    selected, reconstructed = ([torch.randn(samples, *shape).to(dtype) for shape in shapes] for _ in range(2))
    return selected, reconstructed


def _statistics(pairs: Pairs) -> tuple[Tensor, Tensor]:
    planes = sum(block.shape[1] for block in pairs[0])
    return torch.rand(planes), torch.rand(planes) + 0.5


@pytest.mark.parametrize(("source", "target"), [(1, 1), (1, 9), (5, 1), (8, 64), (16, 64), (7, 23), (31, 64)])
def test_matrices_upsample_as_pytorch_does(source: int, target: int) -> None:
    line = torch.randn(1, 1, source, 1)
    expected = resize(line, (target, 1))[0, 0]
    torch.testing.assert_close(
        axis_matrix(source, target, line.device) @ line[0, 0], expected, rtol=1e-6, atol=1e-6
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
@pytest.mark.parametrize(("samples", "shapes"), CASES)
def test_pooling_equals_the_full_planes(
    samples: int, shapes: list[tuple[int, int, int]], dtype: torch.dtype
) -> None:
    pairs = _pairs(samples, shapes, dtype)
    maximum, mean = rrs_cpu.pool_residuals(*pairs)
    zeros, ones = torch.zeros(maximum.shape[1]).double(), torch.ones(maximum.shape[1]).double()
    exact = ([block.double() for block in blocks] for blocks in pairs)
    expected = rrs_scores_reference(*exact, zeros, ones, 0.0)
    torch.testing.assert_close(maximum.double(), expected[0], rtol=2e-6, atol=1e-6)
    torch.testing.assert_close(mean.double(), expected[1], rtol=2e-6, atol=1e-6)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize(("samples", "shapes"), CASES)
def test_selection_equals_the_reference(
    samples: int, shapes: list[tuple[int, int, int]], layout: torch.memory_format
) -> None:
    pairs = _pairs(samples, shapes)
    mean, variance = _statistics(pairs)
    counts = (min(7, len(mean)), min(24, len(mean)))
    laid = [[block.contiguous(memory_format=layout) for block in blocks] for blocks in pairs]
    found = rrs_select(*laid, mean, variance, 1e-5, *counts)
    assert torch.equal(found, rrs_select_reference(*pairs, mean, variance, 1e-5, *counts))


def test_ties_go_to_the_lower_index_and_what_is_no_number_comes_first() -> None:
    one = torch.randn(1, 1, 4, 4)
    selected = torch.cat([one, 2 * one, one, 2 * one, one * torch.nan, 0 * one], dim=1)
    found = rrs_select([selected], [torch.zeros_like(selected)], torch.zeros(6), torch.ones(6), 1e-5, 6, 2)
    assert found.tolist() == [[4, 1, 3, 0, 2, 5, 4, 1]]


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
@pytest.mark.parametrize(("samples", "shapes"), CASES)
def test_gathered_planes_equal_the_reference(
    samples: int, shapes: list[tuple[int, int, int]], dtype: torch.dtype, channels_last: bool
) -> None:
    pairs = _pairs(samples, shapes)
    planes = sum(shape[0] for shape in shapes)
    source = torch.randint(-1, planes, (samples, 11))
    found = rrs_gather(*pairs, source, channels_last=channels_last, dtype=dtype)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    assert found.dtype == dtype
    assert found.is_contiguous(memory_format=layout)
    tolerance = 1e-3 if dtype is torch.float16 else 2e-6
    expected = rrs_gather_reference(*pairs, source)
    torch.testing.assert_close(found.float(), expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(("samples", "shapes"), CASES[1:])
def test_gradients_equal_those_of_the_full_planes(samples: int, shapes: list[tuple[int, int, int]]) -> None:
    pairs = _pairs(samples, shapes)
    leaves = [block.requires_grad_() for blocks in pairs for block in blocks]
    planes = sum(shape[0] for shape in shapes)
    # Plane 0 is chosen twice, as by maximum and by mean, and one place is empty.
    source = torch.cat([torch.zeros(samples, 2).long(), torch.randint(-1, planes, (samples, 5))], dim=1)
    outputs = rrs_gather(*pairs, source), rrs_gather_reference(*pairs, source)
    weights = torch.randn_like(outputs[0])
    found, expected = (torch.autograd.grad((out * weights).sum(), leaves) for out in outputs)
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("samples", "shapes"), CASES)
def test_moments_equal_those_of_the_full_planes(samples: int, shapes: list[tuple[int, int, int]]) -> None:
    selected, reconstructed = _pairs(samples, shapes)
    # Far from zero: squares minus the squared mean would lose digits.
    selected = [block + 100.0 for block in selected]
    mean, variance = rrs_moments(selected, reconstructed)
    planes = residual_planes([b.double() for b in selected], [b.double() for b in reconstructed]).double()
    torch.testing.assert_close(mean.double(), planes.mean(dim=(0, 2, 3)), rtol=1e-5, atol=1e-6)
    exact = planes.var(dim=(0, 2, 3), unbiased=False)
    torch.testing.assert_close(variance.double(), exact, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("op", ["rrs_select", "rrs_gather", "rrs_gather_channels_last"])
def test_ops_keep_pytorchs_rules(op: str) -> None:
    selected, reconstructed = _pairs(2, [(3, 4, 4), (4, 2, 2)])
    if op == "rrs_select":
        arguments = (selected, reconstructed, *_statistics((selected, reconstructed)), 1e-5, 2, 3)
        torch.library.opcheck(torch.ops.realnet_edge.rrs_select.default, arguments)
        return
    for block in reconstructed:
        block.requires_grad_()
    source = torch.tensor([[0, 6, -1], [2, 2, 5]])
    arguments = (selected, reconstructed, source, op.endswith("last"), torch.float32)
    torch.library.opcheck(torch.ops.realnet_edge.rrs_gather.default, arguments)


def test_autocast_leaves_the_choice_in_float32() -> None:
    pairs = _pairs(2, CASES[0][1])
    mean, variance = _statistics(pairs)
    plain = rrs_select(*pairs, mean, variance, 1e-5, 20, 20)
    source = torch.randint(0, len(mean), (2, 9))
    planes, moments = rrs_gather(*pairs, source), rrs_moments(*pairs)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(rrs_select(*pairs, mean, variance, 1e-5, 20, 20), plain)
        assert torch.equal(rrs_gather(*pairs, source), planes)
        assert torch.equal(rrs_moments(*pairs)[1], moments[1])


class LargestStorage(TorchDispatchMode):
    """Values in the largest piece of memory that any operator returned."""

    def __init__(self) -> None:
        super().__init__()
        self.values = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        if isinstance(out, Tensor):
            self.values = max(self.values, out.untyped_storage().nbytes() // out.element_size())
        return out


def test_planes_are_never_all_upsampled_at_once() -> None:
    """The largest piece of memory that pooling takes is two chunks of planes, not a block."""
    blocks = _pairs(2, [(4, 16, 16), (600, 4, 4)])
    with LargestStorage() as largest:
        rrs_cpu.pool_residuals(*blocks)
    assert 16 * 16 * 128 <= largest.values <= 2 * 16 * 16 * 128 < 2 * 16 * 16 * 600


def _two() -> Pairs:
    return _pairs(2, [(3, 4, 4), (4, 2, 2)])


def _select_with(change: Callable[[dict[str, object]], None]) -> Tensor:
    selected, reconstructed = _two()
    arguments: dict[str, object] = {
        "selected": selected,
        "reconstructed": reconstructed,
        "mean": torch.zeros(7),
        "variance": torch.ones(7),
        "eps": 1e-5,
        "k_max": 2,
        "k_mean": 2,
    }
    change(arguments)
    return rrs_select(**arguments)  # type: ignore[arg-type]  # wrong ones are the point


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"selected": []}, "0 selected and 2 reconstructed"),
        ({"reconstructed": _two()[1][:1]}, "2 selected and 1 reconstructed"),
        ({"selected": [torch.zeros(2, 3, 4), torch.zeros(2, 4, 2, 2)]}, "3 dimensions"),
        ({"selected": [torch.zeros(2, 3, 4, 5), torch.zeros(2, 4, 2, 2)]}, r"\(2, 3, 4, 5\)"),
        ({"selected": [t.double() for t in _two()[0]]}, "float64; valid: float32"),
        ({"selected": [t.half() for t in _two()[0]]}, "dtypes differ"),
        ({"selected": [t.to("meta") for t in _two()[0]]}, "different devices"),
        ({"mean": torch.zeros(6)}, r"mean has shape \(6,\); valid: \(7,\)"),
        ({"variance": torch.ones(7).double()}, "variance is float64"),
        ({"k_max": 8}, r"k_max is 8; valid: 0\.\.7"),
        ({"k_mean": -1}, "k_mean is -1"),
        ({"k_max": 0, "k_mean": 0}, "both 0"),
    ],
)
def test_selection_refuses_what_does_not_fit(change: dict[str, object], message: str) -> None:
    with pytest.raises(KernelArgumentError, match=message) as caught:
        _select_with(lambda arguments: arguments.update(change))
    assert isinstance(caught.value, ValueError)


def test_blocks_of_other_batches_are_refused() -> None:
    blocks = [torch.zeros(2, 3, 4, 4), torch.zeros(1, 4, 2, 2)]
    with pytest.raises(KernelArgumentError, match="holds 1 samples"):
        rrs_moments(blocks, blocks)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (torch.tensor([0, 1]), "1 dimensions"),
        (torch.zeros(3, 2).long(), r"\(3, 2\); valid: \(2, P\)"),
        (torch.zeros(2, 0).long(), r"\(2, 0\)"),
        (torch.zeros(2, 2), "source is float32"),
        (torch.tensor([[0, 7], [0, 0]]), r"0\.\.7; valid: -1\.\.6"),
        (torch.tensor([[0, -2], [0, 0]]), r"-2\.\.0; valid: -1\.\.6"),
    ],
)
def test_gathering_refuses_places_that_name_no_plane(source: Tensor, message: str) -> None:
    with pytest.raises(KernelArgumentError, match=message):
        rrs_gather(*_two(), source)


def test_gathering_refuses_other_dtypes() -> None:
    with pytest.raises(KernelArgumentError, match="dtype is float64"):
        rrs_gather(*_two(), torch.zeros(2, 1).long(), dtype=torch.float64)


def test_the_ops_need_no_triton() -> None:
    program = (
        "import sys; sys.modules['triton'] = None\n"
        "import torch; from realnet_edge.kernels.rrs import rrs_select\n"
        "one = [torch.rand(1, 3, 4, 4)]\n"
        "print(rrs_select(one, one, torch.zeros(3), torch.ones(3), 1e-5, 1, 1).tolist())"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "[[0, 0]]", done.stderr
