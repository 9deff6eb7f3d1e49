"""RRS's plugin in TensorRT's hands: parsed, negotiated, built at every precision, refused with reason."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch

from realnet_edge.errors import BackendError, ExportError, KernelError
from realnet_edge.export import onnx_from_checkpoint
from realnet_edge.export.cast_fp16 import cast_fp16
from realnet_edge.export.graph import OUTPUTS
from realnet_edge.export.parity import open_session, run_session
from realnet_edge.export.rrs_function import gather_rrs
from realnet_edge.kernels.ahead_of_time import compile_kernels
from realnet_edge.kernels.catalogue import EPS, find_kernels
from realnet_edge.kernels.kernel_set import KernelSet, load_kernel_set
from realnet_edge.kernels.rrs_call import RrsSettings
from realnet_edge.kernels.rrs_plan import RrsSizes, check_kernel, plan_rrs
from realnet_edge.kernels.rrs_plugin import rrs_creator
from realnet_edge.kernels.targets import find_target
from realnet_edge.model import RealNet
from realnet_edge.model.checkpoint import Checkpoint
from realnet_edge.presets import PRESETS
from realnet_edge.runtime.cuda.kernels import DriverLauncher
from realnet_edge.runtime.tensorrt import EngineOptions, engine_from_onnx, network_from_onnx, versions
from realnet_edge.runtime.tensorrt.plugins import has_plugin, rrs_registered

trt = pytest.importorskip(
    "tensorrt_rtx", reason="needs tensorrt_rtx: pip install 'realnet-edge[tensorrt-rtx]'"
)

LINEAR, HWC, HWC8 = trt.TensorFormat.LINEAR, trt.TensorFormat.HWC, trt.TensorFormat.HWC8
FLOAT, HALF, INT64 = trt.float32, trt.float16, trt.int64
Kernels = Callable[..., KernelSet]
Engines = dict[tuple[str, str], Any]


def kernels_of(small: Any, uncompiled: Kernels) -> KernelSet:
    return uncompiled(small.node.settings.kernels(small.node.blocks, small.node.read))


@pytest.mark.parametrize("order", ["score", "plane"])
@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_the_parser_takes_the_plugin_for_the_node(
    order: str, precision: str, small_engines: Engines, uncompiled: Kernels
) -> None:
    small = small_engines[order, precision]
    with rrs_registered(trt, kernels_of(small, uncompiled)):
        network = network_from_onnx(trt, small.gathered, plugin=True).network
    layers = [network.get_layer(index) for index in range(network.num_layers)]
    (layer,) = [layer for layer in layers if layer.type == trt.LayerType.PLUGIN_V3]
    dtype = FLOAT if precision == "fp32" else HALF
    inputs = [layer.get_input(index) for index in range(layer.num_inputs)]
    assert [i.dtype for i in inputs] == [dtype] * 4 + [FLOAT] * 2
    assert [tuple(i.shape[1:]) for i in inputs[:4]] == [(8, 8, 8), (24, 4, 4)] * 2
    planes, indices = (layer.get_output(index) for index in range(2))
    assert (planes.dtype, tuple(planes.shape)) == (dtype, (-1, 32 if order == "plane" else 8, 8, 8))
    assert (indices.dtype, tuple(indices.shape)) == (INT64, (-1, 8))
    # Nothing of the body is there as well.
    assert trt.LayerType.TOPK not in {layer.type for layer in layers}


def test_without_the_plugin_the_body_is_taken(small_engines: Engines, uncompiled: Kernels) -> None:
    small = small_engines["score", "fp32"]
    with rrs_registered(trt, kernels_of(small, uncompiled)):
        pass
    network = network_from_onnx(trt, small.gathered).network
    assert not has_plugin(trt, network)
    assert trt.LayerType.TOPK in {network.get_layer(index).type for index in range(network.num_layers)}
    with pytest.raises(ExportError, match=r"did not take RRS's plugin.*--rrs native"):
        network_from_onnx(trt, small.gathered, plugin=True)


def test_older_parsers_get_no_function_and_know_the_plugin_by_its_attributes(
    small_engines: Engines, uncompiled: Kernels, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = small_engines["plane", "fp16"]
    monkeypatch.setattr(versions, "plugins_over_functions", lambda _trt: False)
    with rrs_registered(trt, kernels_of(small, uncompiled)):
        assert has_plugin(trt, network_from_onnx(trt, small.gathered, plugin=True).network)
    # Of the function there was nothing to fall back to.
    with pytest.raises(ExportError, match=r"RRS node 'rrs'.*Plugin not found"):
        network_from_onnx(trt, small.gathered, plugin=True)


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_an_engine_is_built_that_carries_the_code(
    precision: str, small_engines: Engines, uncompiled: Kernels, tmp_path: Path
) -> None:
    small = small_engines["plane" if precision == "fp16" else "score", precision]
    kernels = kernels_of(small, uncompiled)
    plan = tmp_path / "model.plan"
    options = EngineOptions(batch=(1, 4, 8), builder_level=0)
    build = engine_from_onnx(trt, small.gathered, plan, options, kernels=kernels)
    content = plan.read_bytes()
    assert build.size == len(content)
    assert kernels.to_bytes() in content
    # What was registered for it is not any more.
    assert not has_plugin(trt, network_from_onnx(trt, small.gathered).network)


def test_what_the_plugin_refuses_is_in_the_parsers_error(
    small_engines: Engines, uncompiled: Kernels, tmp_path: Path
) -> None:
    small = small_engines["score", "fp32"]
    model = onnx.load(small.gathered)
    (node,) = (node for node in model.graph.node if node.domain == "realnet_edge")
    next(a for a in node.attribute if a.name == "eps").f = 0.5
    onnx.save(model, tmp_path / "model.onnx")
    with (
        pytest.raises(ExportError, match=r"RRS node 'rrs'.*plugin said: RRS normalises with eps 0\.5"),
        rrs_registered(trt, kernels_of(small, uncompiled)),
    ):
        network_from_onnx(trt, tmp_path / "model.onnx", plugin=True)
    with (
        pytest.raises(ExportError, match=r"RRS node 'rrs'.*plugin said: no kernels were given"),
        rrs_registered(trt, None),
    ):
        network_from_onnx(trt, small.gathered, plugin=True)


def test_it_is_registered_once(uncompiled: Kernels) -> None:
    with (
        rrs_registered(trt, uncompiled(("rrs_place",))),
        pytest.raises(BackendError, match="by the name of RRS's already"),
        rrs_registered(trt, None),
    ):
        pass


def tensor(kind: Any, shape: tuple[int, ...], form: Any) -> Any:
    made = trt.DynamicPluginTensorDesc()
    made.desc.type, made.desc.format, made.desc.dims = kind, form, trt.Dims(list(shape))
    made.min = made.opt = made.max = trt.Dims(list(shape))
    return made


def plugin(uncompiled: Kernels, **changes: int) -> Any:
    settings = dataclasses.replace(RrsSettings(8, 8, 0, 0, EPS), **changes)
    creator = rrs_creator(trt, DriverLauncher(), uncompiled(settings.kernels(2, "f32")))
    data = {name: np.array([value]) for name, value in settings.to_fields().items()}
    kinds = {"eps": trt.PluginFieldType.FLOAT64}
    fields = [trt.PluginField(n, d, kinds.get(n, trt.PluginFieldType.INT64)) for n, d in data.items()]
    return creator.create_plugin("rrs", trt.PluginFieldCollection(fields), trt.TensorRTPhase.BUILD)


@pytest.mark.parametrize(
    ("read", "written", "form", "out", "channels", "taken"),
    [
        (FLOAT, FLOAT, LINEAR, LINEAR, 24, True),
        (HALF, HALF, LINEAR, LINEAR, 20, True),
        (FLOAT, HALF, LINEAR, LINEAR, 20, True),
        (FLOAT, FLOAT, HWC, HWC, 20, True),
        (HALF, HALF, HWC8, HWC8, 24, True),
        (FLOAT, HALF, HWC, HWC8, 20, True),
        # Padded channels, mixed layouts, what no kernel writes, other types.
        (HALF, HALF, HWC8, HWC8, 20, False),
        (HALF, HALF, LINEAR, HWC8, 24, False),
        (HALF, HALF, HWC8, LINEAR, 24, False),
        (FLOAT, FLOAT, HWC8, HWC8, 24, False),
        (HALF, FLOAT, LINEAR, LINEAR, 24, False),
        (trt.int8, FLOAT, LINEAR, LINEAR, 24, False),
        (trt.bfloat16, FLOAT, LINEAR, LINEAR, 24, False),
    ],
)
def test_types_and_layouts_are_those_of_the_kernels(
    read: Any, written: Any, form: Any, out: Any, channels: int, taken: bool, uncompiled: Kernels
) -> None:
    made = plugin(uncompiled, half=int(written == HALF))
    blocks = [tensor(read, (2, channels, 8, 8), form), tensor(read, (2, 16, 4, 4), form)] * 2
    statistics = [tensor(FLOAT, (channels + 16,), LINEAR)] * 2
    outputs = [tensor(written, (2, 16, 8, 8), out), tensor(INT64, (2, 16), LINEAR)]
    tensors = [*blocks, *statistics, *outputs]
    answers = [made.supports_format_combination(place, tensors, 6) for place in range(8)]
    assert all(answers) is taken
    # Whatever the others are, statistics and indices have one type.
    for place, wrong in ((4, HALF), (7, trt.int32)):
        other = list(tensors)
        other[place] = tensor(wrong, tuple(tensors[place].desc.dims), LINEAR)
        assert not made.supports_format_combination(place, other, 6)


def test_planes_that_would_be_padded_are_not_written_side_by_side(uncompiled: Kernels) -> None:
    made = plugin(uncompiled, half=1, k_mean=7)
    blocks = [tensor(HALF, (2, 24, 8, 8), HWC8)] * 4
    tensors = [*blocks, *[tensor(FLOAT, (48,), LINEAR)] * 2, tensor(HALF, (2, 15, 8, 8), HWC8)]
    assert not made.supports_format_combination(6, tensors, 6)


def test_fields_hold_settings_and_code(uncompiled: Kernels) -> None:
    made = plugin(uncompiled, k_max=3, all_planes=1)
    fields = {field.name: np.asarray(field.data) for field in made.get_fields_to_serialize()}
    code = KernelSet.from_bytes(fields.pop("kernels").tobytes())
    assert "rrs_place" in uncompiled(RrsSettings(3, 8, 1, 0, EPS).kernels(2, "f32")).kernels
    assert set(code.kernels) >= {"rrs_pool_f32_nchw_b2", "rrs_pool_f32_nhwc_b2", "rrs_rank_max"}
    settings = RrsSettings.from_fields({name: value.item() for name, value in fields.items()})
    assert settings == dataclasses.replace(RrsSettings(3, 8, 1, 0, EPS), eps=settings.eps)
    clone = made.clone()
    assert (clone.plugin_name, clone.plugin_namespace, clone.num_outputs) == ("RRS", "realnet_edge", 2)


def test_a_launch_without_a_driver_says_so(uncompiled: Kernels) -> None:
    from realnet_edge.runtime.gpu import cuda_devices

    if cuda_devices()[0]:
        pytest.skip("this machine has a GPU")
    made = plugin(uncompiled)
    inputs = [tensor(FLOAT, (2, 8, 8, 8), LINEAR).desc] * 4 + [tensor(FLOAT, (16,), LINEAR).desc] * 2
    with pytest.raises(BackendError, match="NVIDIA"):
        made.on_shape_change(inputs, [])
    assert "NVIDIA" in str(made.failures[-1])
    with pytest.raises(KernelError, match="kernel rrs_pool_f32_nchw_b1 is not among those at hand"):
        made.on_shape_change([inputs[0]] * 2 + inputs[4:], [])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["edge", "paper"])
def test_presets_are_built_with_the_plugin(name: str, uncompiled: Kernels, tmp_path: Path) -> None:
    """Untrained networks of real size; the published one takes 12 GB of memory."""
    torch.manual_seed(0)
    config = PRESETS[name].model
    images = np.random.default_rng(0).integers(0, 256, (2, *config.input_size, 3), dtype=np.uint8)
    model = Checkpoint(RealNet(config).eval(), config, "part", {}, {}, {})
    plain, rrs = tmp_path / "fp32" / "model.onnx", tmp_path / "rrs" / "model.onnx"
    # FP32 of another order of sums swaps near-equal planes of an untrained network.
    onnx_from_checkpoint(model, plain, images, tolerance=1.0)
    node = gather_rrs(plain, rrs)
    assert (node.blocks, node.settings.all_planes) == ((3, 1) if name == "edge" else (4, 0))
    before, after = (run_session(open_session(path), images, OUTPUTS) for path in (plain, rrs))
    for one, other in zip(before, after, strict=True):
        np.testing.assert_array_equal(one, other)
    cast_fp16(plain, tmp_path / "half" / "model.onnx")
    half = gather_rrs(tmp_path / "half" / "model.onnx", rrs)
    kernels = uncompiled(half.settings.kernels(half.blocks, half.read))
    options, plan = EngineOptions(batch=(1, 4, 8), builder_level=0), tmp_path / "model.plan"
    build = engine_from_onnx(trt, rrs, plan, options, kernels=kernels)
    assert plan.stat().st_size == build.size


@pytest.mark.slow
def test_kernels_as_they_are_compiled_are_taken(small_engines: Engines, tmp_path: Path) -> None:
    """From the compiler's own files to an engine: for an RTX 30, of which TensorRT for RTX knows."""
    pytest.importorskip("triton", reason="compiling kernels needs Triton")
    small, folder = small_engines["plane", "fp16"], tmp_path / "kernels"
    names = small.node.settings.kernels(small.node.blocks, small.node.read)
    with pytest.raises(KernelError, match=r"lacks 7 of the 7 kernels.*--kernel rrs_pool_f16_nchw_b2"):
        load_kernel_set(folder, 86, names)
    (result,) = compile_kernels(find_kernels(names), [find_target(86)], folder)
    assert result.error is None
    kernels = load_kernel_set(folder, 86, names)
    sizes = RrsSizes(2, ((8, 8, 8), (24, 4, 4)), small.node.settings.k_max, small.node.settings.k_mean)
    for last in (False, True):
        for launch in plan_rrs(small.node.settings.layout(2, "f16", last), sizes).launches:
            check_kernel(launch, kernels[launch.kernel].about)
    options, plan = EngineOptions(batch=(1, 4, 8), builder_level=0), tmp_path / "model.plan"
    engine_from_onnx(trt, small.gathered, plan, options, kernels=kernels)
    assert kernels.to_bytes() in plan.read_bytes()
