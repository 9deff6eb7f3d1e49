"""Evened-out channels: nothing changes in float, and much less is lost in INT8."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from realnet_edge.calibrate import quantise_onnx
from realnet_edge.calibrate.build import BuildOptions, quantised
from realnet_edge.calibrate.quantise import OP_TYPES
from realnet_edge.calibrate.smoothing import channel_ranges, smooth_graph, smoothing_factors

Images = npt.NDArray[np.uint8]
# Axes of all but the channels.
PLANE = (0, 2, 3)
# What the toy graph makes of the three colours: channels a hundred times as wide as others.
WIDTHS = np.array([100.0, 1.0, 0.01], np.float32)


def save_toy(path: Path, external: bool = False) -> Path:
    """Three channels of uneven range into a convolution, a transposed one and one in groups."""
    generator = np.random.default_rng(0)
    # Weights the other way round: every channel counts alike in what comes out.
    plain = generator.standard_normal((4, 3, 3, 3)).astype(np.float32) / WIDTHS[None, :, None, None]
    transposed = generator.standard_normal((3, 2, 2, 2)).astype(np.float32) / WIDTHS[:, None, None, None]
    grouped = generator.standard_normal((3, 1, 3, 3)).astype(np.float32)
    constants = {"widths": WIDTHS.reshape(1, 3, 1, 1), "plain.w": plain, "transposed.w": transposed}
    nodes = [
        helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["float"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Mul", ["planes", "widths"], ["uneven"]),
        helper.make_node("Conv", ["uneven", "plain.w"], ["a"], name="plain", pads=[1, 1, 1, 1]),
        helper.make_node(
            "ConvTranspose", ["uneven", "transposed.w"], ["b"], name="transposed", strides=[2, 2]
        ),
        helper.make_node("Conv", ["uneven", "grouped.w"], ["c"], name="grouped", group=3, pads=[1, 1, 1, 1]),
    ]
    graph = helper.make_graph(
        nodes,
        "toy",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["n", 8, 8, 3])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in "abc"],
        [numpy_helper.from_array(v, k) for k, v in {**constants, "grouped.w": grouped}.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    options = {"location": f"{path.name}.data", "size_threshold": 0} if external else {}
    onnx.save(model, path, save_as_external_data=external, **options)
    return path


def run(path: Path, images: Images) -> list[npt.NDArray[np.float32]]:
    found: list[npt.NDArray[np.float32]] = onnxruntime.InferenceSession(str(path)).run(
        None, {"image": images}
    )
    return found


@pytest.fixture
def colours() -> Images:
    return np.random.default_rng(1).integers(0, 256, (6, 8, 8, 3), dtype=np.uint8)


@pytest.mark.parametrize("external", [False, True])
def test_in_float_nothing_changes(tmp_path: Path, colours: Images, external: bool) -> None:
    source, target = save_toy(tmp_path / "toy.onnx", external), tmp_path / "smooth" / "toy.onnx"
    target.parent.mkdir()
    before = run(source, colours)
    names = ("plain", "transposed", "grouped")
    assert smooth_graph(source, target, colours, names) == names
    for theirs, ours in zip(before, run(target, colours), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-3)
    np.testing.assert_array_equal(before[0], run(source, colours)[0])


def test_only_layers_that_are_named_change(tmp_path: Path, colours: Images) -> None:
    source, target = save_toy(tmp_path / "toy.onnx"), tmp_path / "smooth.onnx"
    assert smooth_graph(source, target, colours, ["transposed"]) == ("transposed",)
    made = {name: node for node in onnx.load(target).graph.node for name in node.output}
    inputs = {node.name: made[node.input[0]].name for node in made.values() if node.op_type in OP_TYPES}
    assert inputs["transposed"] == "transposed.smoothed"
    assert inputs["plain"] == inputs["grouped"] != "transposed.smoothed"


def test_int8_loses_less(tmp_path: Path, colours: Images) -> None:
    """Of three channels that count alike INT8 keeps one, unless they are evened out."""
    source = save_toy(tmp_path / "toy.onnx")
    reference = run(source, colours)
    off = {}
    for evened in (False, True):
        path = tmp_path / str(evened) / "toy.onnx"
        quantise_onnx(source, path, colours, smooth=evened)
        off[evened] = [
            float((np.abs(ours - theirs).mean(PLANE) / np.abs(theirs).mean(PLANE)).max())
            for ours, theirs in zip(run(path, colours), reference, strict=True)
        ]
    assert min(off[False][:2]) > 0.1
    for plain, smooth in zip(off[False][:2], off[True][:2], strict=True):
        assert smooth < plain / 5


def test_ranges_are_the_largest_magnitudes_over_all_images(tmp_path: Path, colours: Images) -> None:
    source = save_toy(tmp_path / "toy.onnx")
    found = channel_ranges(source, colours, ["uneven", "a", "uneven"])
    assert set(found) == {"uneven", "a"}
    np.testing.assert_allclose(found["uneven"], colours.max(axis=(0, 1, 2)) * WIDTHS, rtol=1e-6)
    np.testing.assert_allclose(found["a"], np.abs(run(source, colours)[0]).max(axis=(0, 2, 3)), rtol=1e-5)


def test_factors_bring_both_sides_to_one_width() -> None:
    activations, weights = np.array([8.0, 2.0, 0.5]), np.array([0.5, 2.0, 32.0])
    factors = smoothing_factors(activations, weights)
    assert np.prod(factors) == pytest.approx(1.0)
    np.testing.assert_allclose(
        activations / factors, (weights * factors) * np.prod(activations / weights) ** (1 / 3)
    )


def test_a_silent_channel_is_not_multiplied_without_bound() -> None:
    factors = smoothing_factors(np.array([1.0, 0.0]), np.array([1.0, 1.0]))
    assert factors[0] / factors[1] == pytest.approx(1e3**0.5)
    np.testing.assert_array_equal(smoothing_factors(np.zeros(3), np.ones(3)), np.ones(3))
    np.testing.assert_array_equal(smoothing_factors(np.ones(3), np.zeros(3)), np.ones(3))


def test_a_build_for_tensorrt_does_it_and_one_for_openvino_does_not(
    graph: Path, calibration_images: Images, tmp_path: Path
) -> None:
    for backend, expected in (("tensorrt", True), ("onnxruntime-tensorrt", True), ("openvino", False)):
        path = quantised(
            graph, tmp_path / backend / "model.onnx", calibration_images, backend, BuildOptions()
        )
        names = {node.name for node in onnx.load(path).graph.node}
        assert any(name.endswith(".smoothed") for name in names) == expected
