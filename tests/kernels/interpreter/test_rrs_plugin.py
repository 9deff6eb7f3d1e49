"""The TensorRT plugin's own launches, computed by the interpreter, against the reference in float64.

Everything between TensorRT and the kernels is the real thing: the plugin as TensorRT's runtime makes and
calls it, the plan, the packing of arguments for CUDA's driver. Only the driver is another one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from realnet_edge.errors import BackendError, KernelError
from realnet_edge.kernels.catalogue import EPS
from realnet_edge.kernels.kernel_set import KernelSet
from realnet_edge.kernels.rrs_call import RrsSettings
from realnet_edge.kernels.rrs_plan import RrsSizes, plan_rrs, workspace_bytes
from realnet_edge.kernels.rrs_plugin import rrs_creator
from realnet_edge.kernels.rrs_reference import (
    mask_planes,
    residual_planes,
    rrs_select_reference,
    take_planes,
)
from realnet_edge.runtime.cuda.kernels import DriverLauncher

trt = pytest.importorskip("tensorrt_rtx", reason="needs tensorrt_rtx")

STREAM = 0x5EED
# Batch, (C, H, W) of every block, what is read and written, channels last, all planes: each value once.
# A program takes long here, so there are few.
CASES = [
    (1, [(1, 4, 4), (2, 2, 2), (1, 1, 1), (1, 3, 2)], "f32", "f32", False, 0),
    (3, [(8, 5, 6), (16, 3, 4)], "f16", "f16", True, 1),
    (2, [(2, 5, 6), (3, 3, 4)], "f32", "f16", False, 1),
    (1, [(80, 5, 6)], "f32", "f32", True, 0),
]
SMALL = (2, [(2, 2, 3), (2, 1, 2)])
TYPES = {"f32": (trt.float32, torch.float32), "f16": (trt.float16, torch.float16)}


@dataclass(frozen=True)
class Machine:
    """What stands in for a GPU, and kernels for it."""

    driver: Any
    kernels: Callable[..., KernelSet]


@pytest.fixture
def machine(driver: Any, uncompiled: Callable[..., KernelSet]) -> Machine:
    return Machine(driver, uncompiled)


def made(settings: RrsSettings, blocks: int, read: str, machine: Machine) -> Any:
    """The plugin as an engine's fields make it, by way of serialising one."""
    kernels = machine.kernels(settings.kernels(blocks, read))
    launcher = DriverLauncher(machine.driver)
    types = trt.PluginFieldType
    # Fields only point to their data.
    data = {name: np.array([value]) for name, value in settings.to_fields().items()}
    kinds = {name: types.FLOAT64 if name == "eps" else types.INT64 for name in data}
    fields = [trt.PluginField(name, array, kinds[name]) for name, array in data.items()]
    creator = rrs_creator(trt, launcher, kernels)
    first = creator.create_plugin("rrs", trt.PluginFieldCollection(fields), trt.TensorRTPhase.BUILD)
    loading = rrs_creator(trt, launcher)
    return loading.create_plugin("rrs", first.get_fields_to_serialize(), trt.TensorRTPhase.RUNTIME)


def described(tensor: Tensor, format: Any) -> Any:  # noqa: A002  # TensorRT's word
    desc = trt.PluginTensorDesc()
    desc.dims = trt.Dims(list(tensor.shape))
    kinds = {torch.float32: trt.float32, torch.float16: trt.float16, torch.int64: trt.int64}
    desc.type, desc.format = kinds[tensor.dtype], format
    return desc


def run(
    settings: RrsSettings, sides: list[list[Tensor]], statistics: list[Tensor], machine: Machine, last: bool
) -> Any:
    """What the plugin gives, on outputs and scratch memory that held NaN before."""
    selected = sides[0]
    read = "f16" if selected[0].dtype is torch.float16 else "f32"
    layout = torch.channels_last if last else torch.contiguous_format
    dtype = torch.float16 if settings.half else torch.float32
    samples, _, height, width = selected[0].shape
    planes = settings.planes([block.shape[1] for block in selected])
    out = torch.full((samples, planes, height, width), torch.nan, dtype=dtype).contiguous(
        memory_format=layout
    )
    indices = torch.full((samples, settings.k_max + settings.k_mean), -7)
    inputs = [block.contiguous(memory_format=layout) for side in sides for block in side]
    sizes = RrsSizes(samples, tuple(tuple(b.shape[1:]) for b in selected), settings.k_max, settings.k_mean)
    size = plan_rrs(settings.layout(len(selected), read, last), sizes).workspace
    # A guard behind it shows what is written beyond.
    workspace = torch.full((size + 64,), 0xFF, dtype=torch.uint8)
    linear, wide = (
        trt.TensorFormat.LINEAR,
        {torch.float32: trt.TensorFormat.HWC, torch.float16: trt.TensorFormat.HWC8},
    )
    inputs_desc = [described(t, wide[t.dtype] if last else linear) for t in inputs]
    inputs_desc += [described(t, linear) for t in statistics]
    outputs_desc = [described(out, wide[dtype] if last else linear), described(indices, linear)]
    plugin = made(settings, len(selected), read, machine)
    plugin.on_shape_change(inputs_desc, outputs_desc)
    addresses = [t.data_ptr() for t in (*inputs, *statistics)]
    targets = [out.data_ptr(), indices.data_ptr()]
    plugin.enqueue(inputs_desc, outputs_desc, addresses, targets, workspace.data_ptr(), STREAM)
    assert (workspace[size:] == 0xFF).all()
    return out, indices


def tensors(
    samples: int, shapes: list[tuple[int, int, int]], read: str
) -> tuple[list[list[Tensor]], list[Tensor]]:
    sides = [[torch.randn(samples, *shape).to(TYPES[read][1]) for shape in shapes] for _ in range(2)]
    planes = sum(shape[0] for shape in shapes)
    return sides, [torch.rand(planes), torch.rand(planes) + 0.5]


@pytest.mark.parametrize(("samples", "shapes", "read", "written", "last", "all_planes"), CASES)
def test_the_plugin_computes_rrs(
    samples: int,
    shapes: list[tuple[int, int, int]],
    read: str,
    written: str,
    last: bool,
    all_planes: int,
    machine: Machine,
) -> None:
    torch.manual_seed(0)
    sides, statistics = tensors(samples, shapes, read)
    settings = RrsSettings(3, 2, all_planes, int(written == "f16"), EPS)
    out, indices = run(settings, sides, statistics, machine, last)
    exact = [[block.double() for block in side] for side in sides]
    mean, variance = (one.double() for one in statistics)
    expected = rrs_select_reference(*exact, mean, variance, EPS, 3, 2)
    assert torch.equal(indices, expected)
    hand_on = mask_planes if all_planes else take_planes
    tolerance = 1e-3 if settings.half else 2e-6
    planes = hand_on(residual_planes(*exact), indices)
    torch.testing.assert_close(out.float(), planes.float(), rtol=tolerance, atol=tolerance)
    # On TensorRT's stream, blocks of threads as the kernels were compiled for.
    assert {(threads, stream) for _, _, threads, stream in machine.driver.launches} == {(128, STREAM)}
    placed = ["rrs_place"] if all_planes else []
    names = [name.split("_")[1] for name, *_ in machine.driver.launches]
    assert names == ["pool", "rank", "rank", *(name.split("_")[1] for name in placed), "gather"]


def test_a_mode_that_keeps_nothing_is_not_launched(machine: Machine) -> None:
    sides, statistics = tensors(*SMALL, "f32")
    settings = RrsSettings(0, 3, 0, 0, EPS)
    _, indices = run(settings, sides, statistics, machine, last=False)
    expected = rrs_select_reference(*sides, *statistics, EPS, 0, 3)
    assert torch.equal(indices, expected)
    assert len(machine.driver.launches) == 3


def test_squares_too_large_for_float16_become_its_largest_number(machine: Machine) -> None:
    sides, statistics = tensors(1, [(2, 2, 2)], "f16")
    sides[0][0][0, 1, 0, 0] = 600.0
    out, _ = run(RrsSettings(1, 1, 1, 1, EPS), sides, statistics, machine, last=False)
    assert out[0, 1, 0, 0] == 65504.0
    assert torch.isfinite(out).all()


def test_scratch_memory_is_enough_for_every_batch() -> None:
    """Few samples are cut into more parts: the largest batch does not always need most."""
    settings = RrsSettings(3, 2, 1, 0, EPS)
    layout = settings.layout(2, "f32", False)
    blocks = ((8, 64, 64), (16, 32, 32))
    wanted = workspace_bytes(layout, RrsSizes(4, blocks, 3, 2))
    each = [plan_rrs(layout, RrsSizes(samples, blocks, 3, 2)).workspace for samples in range(1, 5)]
    assert wanted == max(each)
    assert len(set(each)) > 1


def test_an_unaligned_address_is_refused(machine: Machine) -> None:
    sides, statistics = tensors(1, [(2, 2, 2)], "f32")
    shifted = torch.zeros(9)[1:].view(1, 2, 2, 2)
    with pytest.raises(KernelError, match=r"rrs_pool_f32_nchw_b1: selected\[0\] lies at 0x.*--rrs native"):
        run(RrsSettings(1, 1, 0, 0, EPS), [[shifted], sides[1]], statistics, machine, last=False)


def test_what_the_driver_answers_is_an_error(driver: Any) -> None:
    launcher = DriverLauncher(driver)
    with pytest.raises(BackendError, match=r"did not load kernel other: .*cuLibraryGetKernel answered 500"):
        launcher.load(b"rrs_rank_max", "other")
