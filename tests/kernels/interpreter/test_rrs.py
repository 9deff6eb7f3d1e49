"""RRS's Triton kernels against the reference in float64, on outputs that held NaN before."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from torch import Tensor

from realnet_edge.kernels import rrs_select_triton
from realnet_edge.kernels.residual_triton import Blocks
from realnet_edge.kernels.rrs_gather_triton import launch_rrs_gather
from realnet_edge.kernels.rrs_reference import (
    rank_planes,
    rrs_gather_reference,
    rrs_scores_reference,
    rrs_select_reference,
)
from realnet_edge.kernels.rrs_select_triton import launch_rrs_pool, launch_rrs_select

# Batch, then (C, H, W) of every block: scales of 1, 2, 4, 8, ones that divide nothing, single pixels, lines.
CASES = [
    (1, [(1, 16, 16), (2, 8, 8), (2, 4, 4), (1, 2, 2)]),
    (2, [(1, 7, 9), (3, 4, 5), (1, 3, 7)]),
    (5, [(1, 1, 1), (2, 1, 1)]),
    (1, [(1, 5, 40), (1, 1, 1), (2, 1, 6)]),
    (1, [(2, 33, 40)]),
]
LAYOUTS = (torch.contiguous_format, torch.channels_last)


def _blocks(
    samples: int,
    shapes: list[tuple[int, int, int]],
    layout: torch.memory_format = torch.contiguous_format,
    dtype: torch.dtype = torch.float32,
) -> Blocks:
    selected, reconstructed = (
        [torch.randn(samples, *shape).to(dtype).contiguous(memory_format=layout) for shape in shapes]
        for _ in range(2)
    )
    return Blocks(selected, reconstructed, layout is torch.channels_last)


def _double(blocks: Blocks) -> tuple[list[Tensor], list[Tensor]]:
    return [t.double() for t in blocks.selected], [t.double() for t in blocks.reconstructed]


def _pooled_reference(blocks: Blocks, planes: int) -> tuple[Tensor, Tensor]:
    zeros, ones = torch.zeros(planes, dtype=torch.float64), torch.ones(planes, dtype=torch.float64)
    return rrs_scores_reference(*_double(blocks), zeros, ones, 0.0)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("samples", "shapes"), CASES)
def test_pooling_sees_every_pixel(
    samples: int, shapes: list[tuple[int, int, int]], layout: torch.memory_format
) -> None:
    blocks = _blocks(samples, shapes, layout)
    planes = sum(shape[0] for shape in shapes)
    maxima, sums = launch_rrs_pool(blocks, planes)
    maximum, mean = _pooled_reference(blocks, planes)
    pixels = shapes[0][1] * shapes[0][2]
    torch.testing.assert_close(maxima.amax(1).double(), maximum, rtol=2e-6, atol=1e-6)
    torch.testing.assert_close(sums.sum(1).double() / pixels, mean, rtol=2e-6, atol=1e-6)


def test_pixels_shared_out_among_programs_are_each_seen_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts of unequal length: 9 * 33 pixels in tiles of 16."""
    monkeypatch.setattr(rrs_select_triton, "TILE", 16)
    blocks = _blocks(1, [(1, 9, 33), (1, 4, 5)])
    maxima, sums = launch_rrs_pool(blocks, 2)
    assert maxima.shape[1] > 1
    maximum, mean = _pooled_reference(blocks, 2)
    torch.testing.assert_close(maxima.amax(1).double(), maximum, rtol=2e-6, atol=1e-6)
    torch.testing.assert_close(sums.sum(1).double() / (9 * 33), mean, rtol=2e-6, atol=1e-6)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_float16_residuals_are_computed_in_float32(layout: torch.memory_format) -> None:
    samples, shapes = CASES[1]
    blocks = _blocks(samples, shapes, layout, torch.float16)
    planes = sum(shape[0] for shape in shapes)
    maxima, _ = launch_rrs_pool(blocks, planes)
    maximum, _ = _pooled_reference(blocks, planes)
    torch.testing.assert_close(maxima.amax(1).double(), maximum, rtol=2e-6, atol=1e-6)


def _select(blocks: Blocks, mean: Tensor, variance: Tensor, k_max: int, k_mean: int) -> Tensor:
    indices = torch.full((blocks.selected[0].shape[0], k_max + k_mean), -7, dtype=torch.int64)
    launch_rrs_select(blocks, mean, variance, 1e-5, k_max, indices)
    return indices


@pytest.mark.parametrize(("k_max", "k_mean"), [(3, 5), (0, 7), (7, 0), (9, 9)])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_selection_equals_topk(k_max: int, k_mean: int, layout: torch.memory_format) -> None:
    blocks = _blocks(2, [(4, 6, 7), (5, 3, 5)], layout)
    mean, variance = torch.rand(9), torch.rand(9) + 0.5
    found = _select(blocks, mean, variance, k_max, k_mean)
    scores = rrs_scores_reference(*_double(blocks), mean.double(), variance.double(), 1e-5)
    for mode, columns, count in ((0, slice(0, k_max), k_max), (1, slice(k_max, None), k_mean)):
        # No two scores of these are closer than rounding.
        assert torch.equal(found[:, columns], scores[mode].topk(count, dim=1).indices)


def test_selection_over_more_planes_than_one_program_places(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rrs_select_triton, "PLACED", 4)
    monkeypatch.setattr(rrs_select_triton, "COMPARED", 8)
    blocks = _blocks(1, [(5, 2, 2), (13, 1, 1)])
    mean, variance = torch.rand(18), torch.rand(18) + 0.5
    found = _select(blocks, mean, variance, 7, 11)
    expected = rrs_select_reference(blocks.selected, blocks.reconstructed, mean, variance, 1e-5, 7, 11)
    assert torch.equal(found, expected)


@pytest.mark.parametrize("written", LAYOUTS)
def test_channels_side_by_side_fill_more_than_one_tile(written: torch.memory_format) -> None:
    blocks = _blocks(2, [(3, 6, 1), (130, 3, 1)], torch.channels_last)
    maxima, _ = launch_rrs_pool(blocks, 133)
    maximum, _ = _pooled_reference(blocks, 133)
    torch.testing.assert_close(maxima.amax(1).double(), maximum, rtol=2e-6, atol=1e-6)
    places = 67 if written is torch.channels_last else 3
    source = torch.randint(-1, 133, (2, places))
    out = torch.full((2, places, 6, 1), torch.nan).contiguous(memory_format=written)
    launch_rrs_gather(blocks, source, out, written is torch.channels_last)
    torch.testing.assert_close(out.double(), rrs_gather_reference(*_double(blocks), source).double())


def test_ties_go_to_the_lower_index() -> None:
    """Planes 0, 2, 4 are equal, so are 1 and 3, and the last one is zero throughout."""
    one = torch.randn(1, 1, 4, 4)
    selected = torch.cat([one, 2 * one, one, 2 * one, one, 0 * one], dim=1)
    blocks = Blocks([selected], [torch.zeros_like(selected)], False)
    found = _select(blocks, torch.zeros(6), torch.ones(6), 6, 4)
    assert found.tolist() == [[1, 3, 0, 2, 4, 5, 1, 3, 0, 2]]


def test_planes_that_are_not_numbers_come_first() -> None:
    blocks = _blocks(1, [(4, 4, 4), (5, 2, 2)])
    blocks.selected[0][0, 2, 3, 3] = torch.nan
    blocks.selected[1][0, 4, 0, 0] = torch.inf
    mean, variance = torch.zeros(9), torch.ones(9)
    found = _select(blocks, mean, variance, 4, 3)
    scores = rrs_scores_reference(blocks.selected, blocks.reconstructed, mean, variance, 1e-5)
    assert found[0, :2].tolist() == [2, 8]
    assert torch.equal(found, rank_planes(*scores, 4, 3))


@pytest.mark.parametrize(("read", "written"), list(product(LAYOUTS, repeat=2)))
@pytest.mark.parametrize(("samples", "shapes"), CASES)
def test_gathered_planes_are_written_throughout(
    samples: int,
    shapes: list[tuple[int, int, int]],
    read: torch.memory_format,
    written: torch.memory_format,
) -> None:
    blocks = _blocks(samples, shapes, read)
    planes = sum(shape[0] for shape in shapes)
    source = torch.randint(-1, planes, (samples, 3))
    source[:, 0], source[:, -1] = planes - 1, -1
    out = torch.full((samples, 3, *shapes[0][1:]), torch.nan).contiguous(memory_format=written)
    launch_rrs_gather(blocks, source, out, written is torch.channels_last)
    expected = rrs_gather_reference(*_double(blocks), source)
    torch.testing.assert_close(out.double(), expected.double(), rtol=2e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("read", "written"), [(torch.float16, torch.float32), (torch.float32, torch.float16)]
)
def test_gathered_planes_in_float16(read: torch.dtype, written: torch.dtype) -> None:
    blocks = _blocks(2, CASES[1][1], dtype=read)
    source = torch.randint(-1, 5, (2, 3))
    out = torch.full((2, 3, 7, 9), torch.nan, dtype=written)
    launch_rrs_gather(blocks, source, out, False)
    tolerance = 2e-6 if written is torch.float32 else 2e-3
    expected = rrs_gather_reference(*_double(blocks), source)
    torch.testing.assert_close(out.double(), expected.double(), rtol=tolerance, atol=tolerance)
