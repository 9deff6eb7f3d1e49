"""Graphs in TensorRT's hands, without a GPU: TensorRT for RTX parses and builds where nothing can run."""

from __future__ import annotations

import fnmatch
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from realnet_edge.calibrate.build import SPARED, BuildOptions, quantised
from realnet_edge.calibrate.inspect_qdq import inspect_qdq
from realnet_edge.calibrate.quantise import OP_TYPES
from realnet_edge.errors import ConfigError, ExportError
from realnet_edge.export import onnx_from_checkpoint
from realnet_edge.export.cast_fp16 import cast_fp16
from realnet_edge.model import RealNet
from realnet_edge.model.checkpoint import Checkpoint
from realnet_edge.presets import PRESETS
from realnet_edge.runtime.tensorrt import EngineOptions, engine_from_onnx, network_from_onnx

trt = pytest.importorskip(
    "tensorrt_rtx", reason="needs tensorrt_rtx: pip install 'realnet-edge[tensorrt-rtx]'"
)

BATCH = (1, 4, 8)
PRECISIONS = ("fp32", "fp16", "int8")
# Of a preset's network: layers on INT8, and those that a build spares.
INT8_LAYERS = {"edge": (131, 93), "paper": (185, 117)}
# EfficientNet's stages on planes of a quarter of the image's side.
STEM = re.compile(r"backbone\.features\.(conv_stem|blocks\.0\.|blocks\.1\.)")
FLOAT, HALF, INT8 = trt.float32, trt.float16, trt.int8


def layers(network: Any) -> list[Any]:
    return [network.get_layer(index) for index in range(network.num_layers)]


def producers(network: Any) -> dict[str, Any]:
    return {
        layer.get_output(index).name: layer for layer in layers(network) for index in range(layer.num_outputs)
    }


def sources(layer: Any, made: dict[str, Any], count: int) -> list[str]:
    """Kinds of the layers that make the first inputs of a layer."""
    inputs = [layer.get_input(index) for index in range(min(count, layer.num_inputs))]
    return [made[i.name].type.name if i is not None and i.name in made else "CONSTANT" for i in inputs]


def check_types(network: Any, precision: str) -> None:
    """Layers with weights are of the precision; what sums, ranks and exponentiates is float32."""
    kinds = Counter((layer.type.name, layer.get_output(0).dtype) for layer in layers(network))
    wanted = FLOAT if precision == "fp32" else HALF
    for name in ("CONVOLUTION", "DECONVOLUTION", "MATRIX_MULTIPLY"):
        assert kinds[name, wanted] > 0
        assert kinds[name, HALF] == 0 or wanted is HALF
    if wanted is HALF:
        assert kinds["DECONVOLUTION", FLOAT] == kinds["MATRIX_MULTIPLY", FLOAT] == 0
        check_stem(network)
    for name in ("NORMALIZATION", "SOFTMAX", "TOPK", "REDUCE"):
        assert kinds[name, FLOAT] > 0
        assert kinds[name, HALF] == 0


def check_stem(network: Any) -> None:
    """The first stages of a depthwise network stay in float32, but for the 1x1 layer after the last of it."""
    names: dict[Any, set[str]] = {FLOAT: set(), HALF: set()}
    for layer in layers(network):
        if layer.type.name == "CONVOLUTION":
            names[layer.get_output(0).dtype].add(layer.name)
    assert all(STEM.match(name) for name in names[FLOAT])
    late = [name for name in names[HALF] if STEM.match(name)]
    depthwise = any(".conv_dw" in name for name in names[HALF])
    assert [name.rpartition(".")[2] for name in late] == (["conv_pwl"] if depthwise else [])
    assert bool(names[FLOAT]) == depthwise


def check_int8(network: Any, path: Path) -> None:
    """The convolutions that compute on INT8 are those of the file, all but what a build spares.

    Transposed ones are among them, which TensorRT wants scaled along the second axis of their weights.
    """
    quantised, left = inspect_qdq(path, OP_TYPES)
    made = producers(network)
    found: dict[str, set[str]] = {"CONVOLUTION": set(), "DECONVOLUTION": set()}
    others = set()
    for layer in layers(network):
        if layer.type.name in found:
            both = sources(layer, made, 2) == ["DEQUANTIZE", "DEQUANTIZE"]
            (found[layer.type.name] if both else others).add(layer.name)
    assert found["CONVOLUTION"] | found["DECONVOLUTION"] == set(quantised)
    assert others == set(left)
    graph = onnx.load(path, load_external_data=False).graph
    transposed = [node for node in graph.node if node.op_type == "ConvTranspose"]
    assert found["DECONVOLUTION"] == {node.name for node in transposed} != set()
    # What a build spares, and nothing else, is left in FP16.
    spared = [f"{start}*" for start in SPARED["tensorrt"]]
    assert all(any(fnmatch.fnmatchcase(name, start) for start in spared) for name in left)
    assert any(name.startswith("discriminator") for name in quantised)
    made_by = {name: node for node in graph.node for name in node.output}
    sizes = {tensor.name: list(tensor.dims) for tensor in graph.initializer}
    for node in transposed:
        dequantise = made_by[node.input[1]]
        axis = next(attribute.i for attribute in dequantise.attribute if attribute.name == "axis")
        assert axis == 1
        assert sizes[dequantise.input[1]] == [sizes[made_by[dequantise.input[0]].input[0]][1]]


@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_contract_survives_parsing(precision: str, tensorrt_graphs: dict[str, Path]) -> None:
    network = network_from_onnx(trt, tensorrt_graphs[precision]).network
    assert network.get_flag(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
    image = network.get_input(0)
    assert (network.num_inputs, image.name, image.dtype) == (1, "image", trt.uint8)
    assert tuple(image.shape) == (-1, 128, 128, 3)
    outputs = [network.get_output(index) for index in range(network.num_outputs)]
    assert [(o.name, o.dtype) for o in outputs] == [
        ("anomaly_map", FLOAT),
        ("score", FLOAT),
        ("rrs_indices", trt.int32),
    ]


@pytest.mark.parametrize("precision", PRECISIONS)
def test_types_in_the_network_are_those_that_were_asked_for(
    precision: str, tensorrt_graphs: dict[str, Path]
) -> None:
    check_types(network_from_onnx(trt, tensorrt_graphs[precision]).network, precision)


def test_the_int8_convolutions_are_those_of_the_quantisation(tensorrt_graphs: dict[str, Path]) -> None:
    path = tensorrt_graphs["int8"]
    check_int8(network_from_onnx(trt, path).network, path)


def test_every_quantised_tensor_is_int8(tensorrt_graphs: dict[str, Path]) -> None:
    network = network_from_onnx(trt, tensorrt_graphs["int8"]).network
    made = producers(network)
    pairs = [layer for layer in layers(network) if layer.type.name in ("QUANTIZE", "DEQUANTIZE")]
    assert {layer.get_output(0).dtype for layer in pairs if layer.type.name == "QUANTIZE"} == {INT8}
    assert {sources(layer, made, 1)[0] for layer in pairs if layer.type.name == "DEQUANTIZE"} == {"QUANTIZE"}
    assert not any(
        t.data_type == TensorProto.UINT8 for t in onnx.load(tensorrt_graphs["int8"]).graph.initializer
    )


def test_an_engine_is_built_from_int8_with_progress_and_nothing_beside(
    tensorrt_graphs: dict[str, Path], tmp_path: Path
) -> None:
    """The one build of a whole network among the quick tests: it has all three types."""
    seen: list[tuple[str, int, int]] = []
    plan = tmp_path / "model.plan"
    build = engine_from_onnx(
        trt,
        tensorrt_graphs["int8"],
        plan,
        EngineOptions(batch=BATCH, builder_level=0),
        progress=lambda *step: seen.append(step),
    )
    assert plan.stat().st_size == build.size > 1 << 20
    assert list(tmp_path.iterdir()) == [plan]
    done = [step[1] for step in seen]
    assert done == sorted(set(done))
    assert done[0] == 0
    assert 50 < done[-1] <= 100
    assert {(what, total) for what, _, total in seen} == {("building the tensorrt_rtx engine", 100)}
    # It keeps no times of kernels, and says so.
    assert build.timing_cache is None


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_an_engine_is_built_at_every_precision(
    precision: str, tensorrt_graphs: dict[str, Path], tmp_path: Path
) -> None:
    plan = tmp_path / "model.plan"
    build = engine_from_onnx(trt, tensorrt_graphs[precision], plan, EngineOptions(batch=BATCH))
    assert plan.stat().st_size == build.size


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "precisions"), [("edge", PRECISIONS), ("paper", ("fp32", "fp16")), ("paper", ("int8",))]
)
def test_presets_are_built(name: str, precisions: tuple[str, ...], tmp_path: Path) -> None:
    """Untrained networks of real size; the published one takes 12 GB of memory."""
    source = tmp_path / "fp32" / "model.onnx"
    images = export_untrained(name, source)
    for precision in precisions:
        graph = source
        if precision == "int8":
            graph = tmp_path / "int8" / "model.onnx"
            quantised(source, graph, images, "tensorrt", BuildOptions())
        if precision != "fp32":
            cast_fp16(graph, tmp_path / "half" / "model.onnx")
            graph = tmp_path / "half" / "model.onnx"
        network = network_from_onnx(trt, graph).network
        check_types(network, precision)
        if precision == "int8":
            check_int8(network, graph)
            narrow, left = inspect_qdq(graph, OP_TYPES)
            assert (len(narrow), len(left)) == INT8_LAYERS[name]
        del network
        build = engine_from_onnx(trt, graph, tmp_path / "model.plan", EngineOptions(batch=BATCH))
        assert (tmp_path / "model.plan").stat().st_size == build.size


def export_untrained(name: str, target: Path) -> npt.NDArray[np.uint8]:
    """A preset's network as ONNX, and images to calibrate it on; the network itself is gone after."""
    torch.manual_seed(0)
    config = PRESETS[name].model
    images = np.random.default_rng(0).integers(0, 256, (5, *config.input_size, 3), dtype=np.uint8)
    model = Checkpoint(RealNet(config).eval(), config, "part", {}, {}, {})
    # FP32 of another order of sums swaps near-equal planes of an untrained network.
    onnx_from_checkpoint(model, target, images[:2], tolerance=1.0)
    return images


def test_settings_reach_the_builder(toy_graph: Path) -> None:
    from realnet_edge.runtime.tensorrt.build import configure

    parsed = network_from_onnx(trt, toy_graph)
    pool, flags = trt.MemoryPoolType.WORKSPACE, trt.BuilderFlag
    plain = configure(parsed, EngineOptions())
    assert not plain.get_flag(flags.TF32)
    assert not plain.get_flag(flags.VERSION_COMPATIBLE)
    assert plain.builder_optimization_level == 3
    made = configure(
        parsed, EngineOptions(workspace_mb=64, builder_level=1, tf32=True, version_compatible=True)
    )
    assert made.get_memory_pool_limit(pool) == 64 << 20 != plain.get_memory_pool_limit(pool)
    assert made.builder_optimization_level == 1
    assert made.get_flag(flags.TF32)
    assert made.get_flag(flags.VERSION_COMPATIBLE)
    with pytest.raises(ConfigError, match="hardware-compatible engines are TensorRT's"):
        configure(parsed, EngineOptions(hardware_compatible=True))


@pytest.fixture(scope="module")
def toy_graph(toy_onnx: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A toy engine graph whose bytes are cast first, as TensorRT wants them."""
    model = onnx.load(toy_onnx(size=32))
    cast, transpose = model.graph.node[0], model.graph.node[1]
    assert (cast.op_type, transpose.op_type) == ("Cast", "Transpose")
    path = tmp_path_factory.mktemp("toy") / "model.onnx"
    onnx.save(model, path)
    return path


def broken(graph: Path, target: Path, change: Callable[[onnx.GraphProto], None]) -> Path:
    model = onnx.load(graph)
    change(model.graph)
    onnx.save(model, target)
    return target


def unsupported(graph: onnx.GraphProto) -> None:
    graph.node.append(helper.make_node("Unique", ["score"], ["unique"], name="the_odd_one"))


def foreign(graph: onnx.GraphProto) -> None:
    node = helper.make_node("Foo", ["score"], ["foo"], name="the_foreign_one", domain="nobody")
    graph.node.append(node)


def static(graph: onnx.GraphProto) -> None:
    graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1


def renamed(graph: onnx.GraphProto) -> None:
    graph.input[0].name = graph.node[0].input[0] = "picture"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (unsupported, "Unique node 'the_odd_one'"),
        (foreign, "Foo node 'the_foreign_one'.*Plugin not found"),
        (static, r"takes one uint8 `image` of \(N, H, W, 3\) with N open"),
        (renamed, "picture.*an engine takes one uint8 `image`"),
    ],
)
def test_a_graph_that_is_not_taken_is_refused_by_node(
    change: Callable[[onnx.GraphProto], None], says: str, toy_graph: Path, tmp_path: Path
) -> None:
    graph = broken(toy_graph, tmp_path / "broken.onnx", change)
    with pytest.raises(ExportError, match=says):
        engine_from_onnx(trt, graph, tmp_path / "model.plan", EngineOptions())
    assert list(tmp_path.iterdir()) == [graph]


def test_a_missing_or_damaged_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "damaged.onnx").write_bytes(b"no graph at all")
    for name in ("damaged.onnx", "gone.onnx"):
        with pytest.raises(ExportError, match=name):
            network_from_onnx(trt, tmp_path / name)


def test_uint8_is_refused_where_tensorrt_would_read_it_as_int8(
    tensorrt_graphs: dict[str, Path], tmp_path: Path
) -> None:
    def to_uint8(graph: onnx.GraphProto) -> None:
        name = next(n.input[2] for n in graph.node if n.op_type == "QuantizeLinear")
        tensor = next(t for t in graph.initializer if t.name == name)
        tensor.CopyFrom(numpy_helper.from_array(np.zeros(list(tensor.dims), np.uint8), name))

    graph = broken(tensorrt_graphs["int8"], tmp_path / "uint8.onnx", to_uint8)
    with pytest.raises(ExportError, match="quantised to uint8, which TensorRT takes with a wrong range"):
        network_from_onnx(trt, graph)


def test_an_error_while_progress_is_shown_ends_the_build(toy_graph: Path, tmp_path: Path) -> None:
    def fail(_what: str, done: int, _total: int) -> None:
        if done:
            raise OSError("no terminal")

    with pytest.raises(OSError, match="no terminal"):
        engine_from_onnx(trt, toy_graph, tmp_path / "model.plan", EngineOptions(), progress=fail)
    assert not list(tmp_path.iterdir())


_INTERRUPTED = """
import os, signal, sys, time
from pathlib import Path
import tensorrt_rtx as trt
from realnet_edge.runtime.tensorrt import EngineOptions, engine_from_onnx
# A process that was started in the background ignores Ctrl-C.
signal.signal(signal.SIGINT, signal.default_int_handler)
seen = []
def press(what, done, total):
    seen.append(done)
    if len(seen) == 2:
        os.kill(os.getpid(), signal.SIGINT)
        # The main thread hears it meanwhile.
        time.sleep(1)
try:
    engine_from_onnx(trt, Path(sys.argv[1]), Path(sys.argv[2]), EngineOptions(), progress=press)
    print("built")
except KeyboardInterrupt:
    print("interrupted", len(seen))
"""


def test_ctrl_c_ends_a_build_and_leaves_nothing(toy_graph: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _INTERRUPTED, str(toy_graph), str(tmp_path / "model.plan")],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "interrupted 2\n"), done.stderr
    assert not list(tmp_path.iterdir())
