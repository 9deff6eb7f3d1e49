"""The count of weights and operations behind a floor, on networks small enough to count by hand."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from realnet_edge.export.cast_fp16 import cast_fp16


@pytest.fixture(scope="module")
def floor(repository: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("benchmarks_floor", repository / "benchmarks" / "floor.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Data classes look their module up.
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_convolutions_and_constants_of_a_graph_are_counted(
    floor: ModuleType, toy_onnx: Callable[..., Path]
) -> None:
    work = floor.work_of(toy_onnx(size=32))
    # 16 planes from 3 by 3x3, and two logits from 3 by 1x1, at 32x32.
    assert work.operations == {"fp32": 2 * 32 * 32 * (16 * 27 + 2 * 3)}
    floats, integers = 16 * 27 + 2 * 3 + 2 + 2, 4
    assert work.weight_bytes == 4 * floats + 8 * integers


def test_what_is_quantised_counts_as_int8(floor: ModuleType, toy_onnx: Callable[..., Path]) -> None:
    plain, work = floor.work_of(toy_onnx(size=32)), floor.work_of(toy_onnx(size=32, quantised=True))
    assert work.operations == {"int8": plain.operations["fp32"]}
    assert work.weight_bytes < plain.weight_bytes


def layers(path: Path) -> Path:
    """(n, 8, 4, 4) -> transposed convolution -> grouped convolution -> products of matrices -> Gemm."""
    rng = np.random.default_rng(0)
    shapes = {"up": (8, 6, 2, 2), "grouped": (6, 3, 3, 3), "right": (8, 10), "dense": (5, 10)}
    weights = [
        numpy_helper.from_array(rng.standard_normal(shape).astype(np.float32), name)
        for name, shape in shapes.items()
    ]
    weights.append(numpy_helper.from_array(np.array([2, 3], np.int64), "axes"))
    nodes = [
        helper.make_node("ConvTranspose", ["image", "up"], ["a"], strides=[2, 2]),
        helper.make_node("Conv", ["a", "grouped"], ["b"], group=2, pads=[1, 1, 1, 1]),
        helper.make_node("MatMul", ["b", "right"], ["c"]),
        helper.make_node("ReduceMean", ["b"], ["unused"], keepdims=0, axes=[1]),
        helper.make_node("ReduceMax", ["c"], ["d"], keepdims=0, axes=[1, 2]),
        helper.make_node("Gemm", ["d", "dense"], ["score"], transB=1),
    ]
    info = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "layers",
        [info("image", TensorProto.FLOAT, ["n", 8, 4, 4])],
        [info("score", TensorProto.FLOAT, ["n", 5])],
        weights,
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


def test_every_kind_of_layer_is_counted_as_by_hand(floor: ModuleType, tmp_path: Path) -> None:
    work = floor.work_of(layers(tmp_path / "layers.onnx"))
    up = 2 * (8 * 4 * 4) * (6 * 2 * 2)
    grouped = 2 * (6 * 8 * 8) * (3 * 3 * 3)
    products = 2 * (6 * 8 * 10) * 8
    dense = 2 * 5 * 10
    assert work.operations == {"fp32": up + grouped + products + dense}


def test_the_slower_of_memory_and_arithmetic_is_the_floor(floor: ModuleType) -> None:
    work = floor.Work(weight_bytes=1_000_000, operations={"int8": 3_000_000, "fp16": 1_000_000})
    peaks = {"int8": 2e9, "fp16": 1e9}
    assert work.floor_ms(1, bytes_a_second=1e8, peaks=peaks) == pytest.approx(10.0)
    assert work.floor_ms(8, bytes_a_second=1e8, peaks=peaks) == pytest.approx(8 * 2.5)


def test_an_image_of_open_size_ends_the_count(floor: ModuleType, tmp_path: Path) -> None:
    model = onnx.load(layers(tmp_path / "layers.onnx"))
    model.graph.input[0].type.tensor_type.shape.dim[2].dim_param = "h"
    onnx.save(model, tmp_path / "open.onnx")
    with pytest.raises(SystemExit, match="size of its image is open"):
        floor.work_of(tmp_path / "open.onnx")


def test_half_precision_is_told_apart(floor: ModuleType, graph_with_weights: Path, tmp_path: Path) -> None:
    cast_fp16(graph_with_weights, tmp_path / "half" / "model.onnx")
    plain, half = floor.work_of(graph_with_weights), floor.work_of(tmp_path / "half" / "model.onnx")
    assert set(half.operations) == {"fp16"}
    assert sum(half.operations.values()) == plain.operations["fp32"]
    assert 0.5 <= half.weight_bytes / plain.weight_bytes < 0.7


@pytest.fixture
def graph_with_weights(toy_onnx: Callable[..., Path]) -> Path:
    return toy_onnx(size=32, depth=6)
