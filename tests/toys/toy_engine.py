"""The graph of an engine so small that its answer is known in closed form."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import onnx


def toy_model(size: int, depth: int) -> onnx.ModelProto:
    """A graph with the contract's inputs and outputs for images of size x size, batch left open.

    The map of a pixel with mean brightness b in [0, 1] is sigmoid(24 (b - 0.5)), the score the largest 8x8
    average. `depth` convolutions take time and change nothing.
    """
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(0)
    node = helper.make_node
    tensors = {
        "top": np.float32(255.0),
        "k": np.array([4], np.int64),
        "one": np.array([1], np.int64),
        "two": np.array([2], np.int64),
        "channel": np.array([1], np.int64),
        "logit_w": np.repeat(np.array([0.0, 8.0], np.float32), 3).reshape(2, 3, 1, 1),
        "logit_b": np.array([0.0, -12.0], np.float32),
        "tiny": np.float32(1e-9),
    }
    nodes = [
        node("Cast", ["image"], ["wide"], to=TensorProto.FLOAT),
        node("Transpose", ["wide"], ["planes"], perm=[0, 3, 1, 2]),
        node("Div", ["planes", "top"], ["pixels"]),
    ]
    feature, width = "pixels", 3
    for level in range(depth):
        # Scaled so that the features keep their size however deep the graph.
        tensors[f"w{level}"] = (rng.standard_normal((16, width, 3, 3)) / (9 * width) ** 0.5).astype(
            np.float32
        )
        nodes.append(node("Conv", [feature, f"w{level}"], [f"f{level}"], pads=[1, 1, 1, 1]))
        feature, width = f"f{level}", 16
    nodes += [
        node("ReduceMax", [feature], ["peaks"], axes=[2, 3], keepdims=0),
        node("TopK", ["peaks", "k"], ["top_peaks", "chosen"]),
        node("Cast", ["chosen"], ["rrs_indices"], to=TensorProto.INT32),
        # So little of the features that the map does not see it, but no optimiser may leave them out.
        node("ReduceMean", [feature], ["mean"], axes=[1], keepdims=1),
        node("Mul", ["mean", "tiny"], ["trace"]),
        node("Conv", ["pixels", "logit_w", "logit_b"], ["clean"]),
        node("Add", ["clean", "trace"], ["logits"]),
        node("Softmax", ["logits"], ["shares"], axis=1),
        node("Slice", ["shares", "one", "two", "channel"], ["plane"]),
        node("Squeeze", ["plane", "channel"], ["anomaly_map"]),
        node("AveragePool", ["plane"], ["pooled"], kernel_shape=[8, 8]),
        node("ReduceMax", ["pooled"], ["score"], axes=[1, 2, 3], keepdims=0),
    ]
    info = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "toy",
        [info("image", TensorProto.UINT8, ["N", size, size, 3])],
        [
            info("anomaly_map", TensorProto.FLOAT, ["N", size, size]),
            info("score", TensorProto.FLOAT, ["N"]),
            info("rrs_indices", TensorProto.INT32, ["N", 4]),
        ],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in tensors.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def write_quantised(source: Path, target: Path, size: int) -> None:
    """Write the graph with Q/DQ pairs round its convolutions, calibrated on a ramp."""
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            ramp = np.linspace(0, 255, size * size * 3).astype(np.uint8).reshape(1, size, size, 3)
            self._batches = iter([{"image": ramp}])

        def get_next(self) -> dict[str, npt.NDArray[np.uint8]] | None:
            return next(self._batches, None)

    quantize_static(
        source,
        target,
        Reader(),
        quant_format=QuantFormat.QDQ,
        activation_type=QuantType.QInt8,
        weight_type=QuantType.QInt8,
        # Seven bits, as the manifest says: with eight, processors without VNNI give another answer.
        reduce_range=True,
        op_types_to_quantize=["Conv"],
        extra_options={"ActivationSymmetric": True, "WeightSymmetric": True},
    )
