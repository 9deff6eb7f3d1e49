"""The cast to FP16: what stays in float32, where casts stand, and how close it is on real images."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from realnet_edge.errors import ExportError
from realnet_edge.export import ExportReport
from realnet_edge.export.cast_fp16 import LARGEST_HALF, cast_fp16

Images = npt.NDArray[np.uint8]
# What leads to the last depthwise convolution on planes of a quarter of the image's side.
STEM = re.compile(r"backbone\.features\.(conv_stem|blocks\.0\.|blocks\.1\.(0\.|1\.conv_(pw|dw)$))")
FLOAT, HALF = TensorProto.FLOAT, TensorProto.FLOAT16
WEIGHTED = {"Conv", "ConvTranspose", "MatMul"}
IN_FLOAT = {
    "InstanceNormalization",
    "Softmax",
    "Pow",
    "TopK",
    "ReduceMax",
    "ReduceMean",
    "ReduceSum",
}


def types(path: Path) -> tuple[onnx.GraphProto, dict[str, int]]:
    """The graph, and the type of each of its tensors as ONNX infers them."""
    graph = onnx.shape_inference.infer_shapes(onnx.load(path), strict_mode=True).graph
    values = [*graph.value_info, *graph.input, *graph.output]
    found = {value.name: value.type.tensor_type.elem_type for value in values}
    return graph, {**found, **{tensor.name: tensor.data_type for tensor in graph.initializer}}


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_what_has_weights_is_half_and_what_decides_is_float(
    precision: str, tensorrt_graphs: dict[str, Path]
) -> None:
    graph, kinds = types(tensorrt_graphs[precision])
    seen = set()
    for node in graph.node:
        if node.op_type in WEIGHTED | IN_FLOAT:
            wanted = HALF if node.op_type in WEIGHTED and not STEM.match(node.name) else FLOAT
            assert {kinds[node.input[0]], kinds[node.output[0]]} == {wanted}, node.name
            seen.add(node.op_type)
    assert seen == WEIGHTED | IN_FLOAT
    assert sum(STEM.match(node.name) is not None for node in graph.node) > 5
    assert {(o.name, o.type.tensor_type.elem_type) for o in graph.output} == {
        ("anomaly_map", FLOAT),
        ("score", FLOAT),
        ("rrs_indices", TensorProto.INT32),
    }
    assert [(i.name, i.type.tensor_type.elem_type) for i in graph.input] == [("image", TensorProto.UINT8)]


def test_map_and_score_are_computed_in_float_behind_the_logits(tensorrt_graphs: dict[str, Path]) -> None:
    graph, kinds = types(tensorrt_graphs["fp16"])
    producer = {name: node for node in graph.node for name in node.output}
    pending, kept = ["score"], set()
    while pending:
        node = producer[pending.pop()]
        if node.op_type == "Cast":
            continue
        assert kinds[node.output[0]] == FLOAT, node.name
        kept.add(node.op_type)
        pending += [name for name in node.input if name in producer and kinds[name] in (FLOAT, HALF)]
    assert kept >= {"AveragePool", "ReduceMax", "Sigmoid", "Resize", "Sub"}
    assert not kept & WEIGHTED


def test_casts_stand_only_where_the_type_changes(tensorrt_graphs: dict[str, Path]) -> None:
    graph, kinds = types(tensorrt_graphs["fp16"])
    producer = {name: node for node in graph.node for name in node.output}
    made = [n for n in graph.node if n.op_type == "Cast" and kinds[n.input[0]] in (FLOAT, HALF)]
    assert made
    for node in made:
        assert kinds[node.input[0]] != kinds[node.output[0]]
        before = producer.get(node.input[0])
        assert before is None or before.op_type != "Cast" or kinds[before.input[0]] == TensorProto.UINT8
    assert len({(n.input[0], kinds[n.output[0]]) for n in made}) == len(made)


# ONNX Runtime computes FP16 nodes in float32 on a CPU and rounds what they give. On these images the maps
# were off by 0.021 at most and 4e-4 on average, the scores by 2e-4: where two planes are near-equal, FP16
# ranks them the other way round and the untrained discriminator sees its input permuted. Five times that.
def test_maps_stay_close_on_real_images(
    tensorrt_graphs: dict[str, Path], exported: tuple[Path, ExportReport], images: Images
) -> None:
    reference, found = (
        onnxruntime.InferenceSession(str(path)).run(None, {"image": images})
        for path in (exported[0], tensorrt_graphs["fp16"])
    )
    difference = np.abs(reference[0] - found[0])
    assert 0 < float(difference.mean()) < 2e-3
    assert float(difference.max()) < 0.1
    assert float(np.abs(reference[1] - found[1]).max()) < 1e-3


def test_weights_take_half_the_room(
    tensorrt_graphs: dict[str, Path], exported: tuple[Path, ExportReport]
) -> None:
    assert 0.45 < tensorrt_graphs["fp16"].stat().st_size / exported[0].stat().st_size < 0.6


def test_weights_beside_the_graph_are_read_and_written(
    exported: tuple[Path, ExportReport],
    tensorrt_graphs: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("realnet_edge.export.saving.SINGLE_FILE_LIMIT", 1000)
    source, target = tmp_path / "a" / "model.onnx", tmp_path / "b" / "model.onnx"
    source.parent.mkdir()
    onnx.save_model(onnx.load(exported[0]), source, save_as_external_data=True, location="model.onnx.data")
    cast_fp16(source, target)
    assert sorted(file.name for file in target.parent.iterdir()) == ["model.onnx", "model.onnx.data"]
    assert target.with_name("model.onnx.data").stat().st_size > target.stat().st_size
    image = {"image": np.zeros((1, 128, 128, 3), np.uint8)}
    found, same = (
        onnxruntime.InferenceSession(str(path)).run(None, image)[0]
        for path in (target, tensorrt_graphs["fp16"])
    )
    np.testing.assert_array_equal(found, same)


def small_graph(path: Path, weight: float, quantised: bool = False, scale: float = 1.0) -> Path:
    """Convolution, square, top-k by maximum, convolution, sum: the least that has every kind of place."""
    weights = {
        "w": np.full((2, 1, 1, 1), weight, np.float32),
        "v": np.full((1, 2, 1, 1), 1e-4, np.float32),
        "two": np.float32(2.0),
        "k": np.array([1], np.int64),
        "scale": np.float32(scale),
        "zero": np.int8(0),
        "plane": np.array([2, 3], np.int64),
        "all": np.array([1, 2, 3], np.int64),
    }
    node = helper.make_node
    nodes = [
        node("Cast", ["image"], ["float"], to=FLOAT),
        node("Conv", ["float", "w"], ["features"], name="first"),
        node("Pow", ["features", "two"], ["squares"], name="square"),
        node("ReduceMax", ["squares", "plane"], ["peaks"], keepdims=0, name="peaks"),
        node("TopK", ["peaks", "k"], ["top", "chosen"], name="top"),
        node("Conv", ["squares", "v"], ["logits"], name="second"),
        node("ReduceMean", ["logits", "all"], ["score"], keepdims=0, name="mean"),
    ]
    if quantised:
        nodes[5].input[0] = "dequantised"
        nodes[5:5] = [
            node("QuantizeLinear", ["squares", "scale", "zero"], ["bytes"], name="quantise"),
            node("DequantizeLinear", ["bytes", "scale", "zero"], ["dequantised"], name="dequantise"),
        ]
    info = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "small",
        [info("image", TensorProto.UINT8, ["N", 1, 4, 4])],
        [info("score", FLOAT, ["N"]), info("top", FLOAT, ["N", 1])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in weights.items()],
    )
    path.parent.mkdir()
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)
    return path


def run(path: Path, level: int) -> tuple[float, float]:
    image = np.full((1, 1, 4, 4), level, np.uint8)
    score, top = onnxruntime.InferenceSession(str(path)).run(["score", "top"], {"image": image})
    return float(score[0]), float(top[0, 0])


def test_squares_beyond_fp16_are_ranked_as_they_are_and_handed_on_as_its_largest(tmp_path: Path) -> None:
    source = small_graph(tmp_path / "a" / "model.onnx", weight=2.0)
    cast_fp16(source, tmp_path / "b" / "model.onnx")
    score, top = run(tmp_path / "b" / "model.onnx", 200)
    assert top == 400.0**2 > LARGEST_HALF
    assert score == pytest.approx(2e-4 * LARGEST_HALF, rel=2e-3)
    # Where nothing is too large nothing is changed.
    assert run(tmp_path / "b" / "model.onnx", 50)[0] == pytest.approx(2e-4 * 100.0**2, rel=2e-3)


def test_a_weight_beyond_fp16_is_refused_by_name(tmp_path: Path) -> None:
    source = small_graph(tmp_path / "a" / "model.onnx", weight=1e5)
    with pytest.raises(ExportError, match=r"w holds 1e\+05, FP16 ends at 65504: build at fp32"):
        cast_fp16(source, tmp_path / "b" / "model.onnx")
    assert not (tmp_path / "b").exists()


def test_a_scale_too_small_for_fp16_is_rounded_up_and_never_to_zero(tmp_path: Path) -> None:
    source = small_graph(tmp_path / "a" / "model.onnx", weight=0.0, quantised=True, scale=1e-9)
    cast_fp16(source, tmp_path / "b" / "model.onnx")
    model = onnx.load(tmp_path / "b" / "model.onnx")
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    pairs = [n for n in model.graph.node if n.op_type in ("QuantizeLinear", "DequantizeLinear")]
    scales = [constants[n.input[1]] for n in pairs]
    assert len(scales) == 2
    assert all(scale.dtype == np.float16 and float(scale) >= 1e-9 for scale in scales)
    assert model.opset_import[0].version == 19
    assert np.isfinite(run(tmp_path / "b" / "model.onnx", 100)).all()


def test_an_output_straight_from_a_layer_with_weights_is_refused(tmp_path: Path) -> None:
    source = small_graph(tmp_path / "a" / "model.onnx", weight=1.0)
    model = onnx.load(source)
    model.graph.output.append(helper.make_tensor_value_info("logits", FLOAT, ["N", 1, 4, 4]))
    onnx.save(model, source)
    with pytest.raises(ExportError, match="output logits comes straight from a layer with weights"):
        cast_fp16(source, tmp_path / "b" / "model.onnx")
