from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, numpy_helper

from realnet_edge.calibrate import quantise_onnx
from realnet_edge.calibrate.build import SPARED
from realnet_edge.calibrate.inspect_qdq import inspect_qdq
from realnet_edge.calibrate.quantise import METHODS, MIN_IMAGES, OP_TYPES
from realnet_edge.errors import ConfigError, DataError, ExportError

Images = npt.NDArray[np.uint8]


def layers(path: Path) -> set[str]:
    graph = onnx.load(path, load_external_data=False).graph
    return {node.name for node in graph.node if node.op_type in OP_TYPES}


def run(path: Path, images: Images) -> list[npt.NDArray[np.float32]]:
    outputs: list[npt.NDArray[np.float32]] = onnxruntime.InferenceSession(str(path)).run(
        None, {"image": images}
    )
    return outputs


@pytest.fixture(scope="session")
def quantised(graph: Path, calibration_images: Images, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("int8") / "int8" / "model.onnx"
    done = quantise_onnx(graph, path, calibration_images)
    assert set(done.quantised) == layers(graph)
    assert done.left == ()
    assert done.images == len(calibration_images)
    return path


def test_every_type_and_zero_point_is_what_tensorrt_takes(quantised: Path) -> None:
    graph = onnx.load(quantised).graph
    constants = {tensor.name: tensor for tensor in graph.initializer}
    pairs = [node for node in graph.node if node.op_type in ("QuantizeLinear", "DequantizeLinear")]
    assert pairs
    for node in pairs:
        zero_point = constants[node.input[2]]
        assert zero_point.data_type == TensorProto.INT8
        assert not numpy_helper.to_array(zero_point).any()
    assert not any(tensor.data_type == TensorProto.UINT8 for tensor in graph.initializer)


def test_weights_have_a_scale_a_channel_and_biases_stay_in_float(quantised: Path) -> None:
    graph = onnx.load(quantised).graph
    constants = {tensor.name: tensor for tensor in graph.initializer}
    producer = {name: node for node in graph.node for name in node.output}
    for node in graph.node:
        if node.op_type in OP_TYPES:
            dequantised = producer[node.input[1]]
            weights = producer[dequantised.input[0]].input[0]
            channels = constants[weights].dims[0 if node.op_type == "Conv" else 1]
            assert list(constants[dequantised.input[1]].dims) == [channels]
            if len(node.input) > 2:
                assert constants[node.input[2]].data_type == TensorProto.FLOAT


def test_weights_of_seven_bits_use_half_of_the_range(
    graph: Path, calibration_images: Images, tmp_path: Path
) -> None:
    """Two of their products with any uint8 fit into 16 bits, which processors without VNNI add them in."""
    path = tmp_path / "int8" / "model.onnx"
    quantise_onnx(graph, path, calibration_images, weight_bits=7)
    made = onnx.load(path).graph
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in made.initializer}
    producer = {name: node for node in made.node for name in node.output}
    seen = 0
    for node in made.node:
        if node.op_type in OP_TYPES:
            quantise = producer[producer[node.input[1]].input[0]]
            weights, scale = (constants[name] for name in quantise.input[:2])
            axis = 0 if node.op_type == "Conv" else 1
            shape = [1] * weights.ndim
            shape[axis] = -1
            integers = np.abs(np.rint(weights / scale.reshape(shape)))
            assert integers.max() <= 64
            assert 2 * 255 * integers.max() < 2**15
            seen = max(seen, int(integers.max()))
    assert seen > 60
    with pytest.raises(ConfigError, match="weights of 6 bits"):
        quantise_onnx(graph, path, calibration_images, weight_bits=6)


def test_what_decides_stays_in_float(quantised: Path) -> None:
    graph = onnx.load(quantised).graph
    producer = {name: node.op_type for node in graph.node for name in node.output}
    deciding = [n for n in graph.node if n.op_type in ("TopK", "ReduceMax", "ReduceMean", "GatherElements")]
    assert {n.op_type for n in deciding} >= {"TopK", "ReduceMax", "ReduceMean"}
    for node in deciding:
        assert producer.get(node.input[0]) not in ("DequantizeLinear", "QuantizeLinear")


def test_maps_stay_close(graph: Path, quantised: Path, calibration_images: Images) -> None:
    reference, found = run(graph, calibration_images), run(quantised, calibration_images)
    assert 0 < float(np.abs(reference[0] - found[0]).mean()) < 0.02


def test_asymmetric_activations_come_closer_and_weights_stay_symmetric(
    graph: Path, quantised: Path, calibration_images: Images, tmp_path: Path
) -> None:
    path = tmp_path / "uint8" / "model.onnx"
    done = quantise_onnx(graph, path, calibration_images, asymmetric=True)
    assert set(done.quantised) == layers(graph)
    model = onnx.load(path).graph
    constants = {tensor.name: tensor for tensor in model.initializer}
    taker = {node.input[0]: node.op_type for node in model.node if node.op_type in OP_TYPES}
    reader = {node.input[0]: node.output[0] for node in model.node if node.op_type == "DequantizeLinear"}
    points: dict[str, list[npt.NDArray[np.generic]]] = {}
    for node in model.node:
        if node.op_type == "QuantizeLinear":
            of = "weights" if node.input[0] in constants else taker[reader[node.output[0]]]
            points.setdefault(of, []).append(numpy_helper.to_array(constants[node.input[2]]))
    # OpenVINO takes no zero point at transposed convolutions.
    for of in ("weights", "ConvTranspose"):
        assert all(point.dtype == np.int8 and not point.any() for point in points[of])
    assert all(point.dtype == np.uint8 for point in points["Conv"])
    # Those behind SiLU reach a little below zero.
    assert any(point.any() for point in points["Conv"])
    reference = run(graph, calibration_images)[0]
    errors = [
        float(np.abs(run(file, calibration_images)[0] - reference).mean()) for file in (path, quantised)
    ]
    assert errors[0] < errors[1]


def test_openvino_computes_every_quantised_layer_on_integers(
    graph: Path, calibration_images: Images, tmp_path: Path
) -> None:
    ov = pytest.importorskip("openvino")
    path = tmp_path / "uint8" / "model.onnx"
    done = quantise_onnx(graph, path, calibration_images, asymmetric=True)
    model = ov.convert_model(path)
    model.reshape({"image": calibration_images[:1].shape})
    compiled = ov.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    kernels = [
        (info["layerType"].astype(str), info["primitiveType"].astype(str).lower())
        for info in (layer.get_rt_info() for layer in compiled.get_runtime_model().get_ops())
    ]
    for kind in ("Convolution", "Deconvolution"):
        found = [kernel for layer, kernel in kernels if layer == kind]
        assert found
        assert all(kernel.endswith(("_i8", "_u8")) for kernel in found), found
    assert sum(kind == "Deconvolution" for kind, _ in kernels) == sum("resample" in n for n in done.quantised)


def test_transposed_layers_stay_in_float_where_integers_would_slow_them(
    graph: Path, calibration_images: Images, tmp_path: Path
) -> None:
    """OpenVINO without VNNI, which weights of 7 bits are for."""
    done = quantise_onnx(
        graph, tmp_path / "int8" / "model.onnx", calibration_images, asymmetric=True, weight_bits=7
    )
    nodes = onnx.load(graph, load_external_data=False).graph.node
    transposed = {node.name for node in nodes if node.op_type == "ConvTranspose"}
    assert transposed
    assert set(done.left) == transposed
    assert set(done.quantised) == layers(graph) - transposed


@pytest.mark.parametrize("method", METHODS)
def test_every_method_gives_a_graph_that_runs(
    method: str, graph: Path, calibration_images: Images, tmp_path: Path
) -> None:
    path = tmp_path / "int8" / "model.onnx"
    done = quantise_onnx(graph, path, calibration_images[:MIN_IMAGES], method=method, quantise_outputs=True)
    assert done.method == method
    assert np.isfinite(run(path, calibration_images)[0]).all()
    assert [file.name for file in path.parent.iterdir()] == ["model.onnx"]


def test_ranges_come_from_the_images(graph: Path, calibration_images: Images, tmp_path: Path) -> None:
    outputs = []
    for name, images in (("a", calibration_images), ("b", calibration_images // 4)):
        quantise_onnx(graph, tmp_path / name / "model.onnx", images)
        outputs.append(run(tmp_path / name / "model.onnx", calibration_images)[0])
    assert not np.array_equal(*outputs)


def test_excluded_layers_stay_in_float(graph: Path, calibration_images: Images, tmp_path: Path) -> None:
    spared = sorted(layers(graph))[:2]
    done = quantise_onnx(graph, tmp_path / "int8" / "model.onnx", calibration_images, exclude=spared)
    assert set(done.left) >= set(spared)
    assert done.quantised
    with pytest.raises(ConfigError, match="no layer's name begins with 'nothing'"):
        quantise_onnx(graph, tmp_path / "none" / "model.onnx", calibration_images, exclude=["nothing"])


def test_a_star_in_an_exclusion_stands_for_anything(
    graph: Path, calibration_images: Images, tmp_path: Path
) -> None:
    exclude = ["reconstruction.*.input_blocks.0"]
    done = quantise_onnx(graph, tmp_path / "int8" / "model.onnx", calibration_images, exclude=exclude)
    assert set(done.left) == {f"reconstruction.{block}.input_blocks.0" for block in (0, 1)}


def test_onnx_runtime_has_the_whole_reconstruction_in_float(
    graph: Path, calibration_images: Images, tmp_path: Path
) -> None:
    """Attention's projections among it."""
    done = quantise_onnx(
        graph, tmp_path / "int8" / "model.onnx", calibration_images, exclude=SPARED["onnxruntime"]
    )
    assert {name.partition(".")[0] for name in done.quantised} == {"discriminator"}
    projections = {name for name in done.left if name.endswith((".qkv", ".proj"))}
    # Of two networks, with eleven blocks of attention each.
    assert len(projections) == 2 * 11 * 2


def test_too_few_or_equal_images_are_refused(graph: Path, calibration_images: Images, tmp_path: Path) -> None:
    target = tmp_path / "int8" / "model.onnx"
    with pytest.raises(DataError, match=f"at least {MIN_IMAGES} real images, got 4"):
        quantise_onnx(graph, target, calibration_images[:4])
    with pytest.raises(DataError, match="are the same"):
        quantise_onnx(graph, target, np.repeat(calibration_images[:1], 6, axis=0))
    with pytest.raises(DataError, match="expected"):
        quantise_onnx(graph, target, calibration_images.astype(np.float32))  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="minmax"):
        quantise_onnx(graph, target, calibration_images, method="guess")
    assert not target.parent.exists()


@pytest.mark.parametrize(
    ("values", "message"),
    [(np.array(3, np.int8), "not 0"), (np.array(0, np.uint8), "quantised to UINT8")],
)
def test_what_tensorrt_would_misread_is_refused(
    values: npt.NDArray[np.generic], message: str, quantised: Path, tmp_path: Path
) -> None:
    model = onnx.load(quantised)
    name = next(node.input[2] for node in model.graph.node if node.op_type == "QuantizeLinear")
    tensor = next(t for t in model.graph.initializer if t.name == name)
    tensor.CopyFrom(numpy_helper.from_array(values, name))
    onnx.save(model, tmp_path / "bad.onnx")
    with pytest.raises(ExportError, match=message):
        inspect_qdq(tmp_path / "bad.onnx", OP_TYPES)


def test_uint8_weights_are_refused_even_where_activations_may_be(quantised: Path, tmp_path: Path) -> None:
    model = onnx.load(quantised)
    weights = {tensor.name for tensor in model.graph.initializer}
    node = next(n for n in model.graph.node if n.op_type == "QuantizeLinear" and n.input[0] in weights)
    tensor = next(t for t in model.graph.initializer if t.name == node.input[2])
    tensor.CopyFrom(numpy_helper.from_array(np.zeros(list(tensor.dims), np.uint8), tensor.name))
    onnx.save(model, tmp_path / "bad.onnx")
    with pytest.raises(ExportError, match="quantised to UINT8"):
        inspect_qdq(tmp_path / "bad.onnx", OP_TYPES, asymmetric=True)
