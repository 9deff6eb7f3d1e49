"""Reading a Q/DQ graph back: what is quantised, and whether every engine will take it as meant."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, numpy_helper

from realnet_edge.errors import ExportError

_QDQ = ("QuantizeLinear", "DequantizeLinear")


def inspect_qdq(
    path: Path, op_types: Collection[str], asymmetric: bool = False
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names of the layers that compute on int8 and of those left in float.

    A layer counts as quantised when its input and its weights both come from a DequantizeLinear.

    Args:
        path: the quantised ONNX file.
        op_types: layer types to look at.
        asymmetric: activations may be uint8 with any zero point.

    Raises:
        ExportError: a zero point that is not 0 or a type other than int8, unless allowed. TensorRT refuses
            the first, and takes uint8 with a wrong range.
    """
    # Zero points are small and always inside the file; weights may lie beside it.
    graph = onnx.load(path, load_external_data=False).graph
    constants = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type in _QDQ:
            _check_zero_point(node, constants, asymmetric)
    producer = {name: node.op_type for node in graph.node for name in node.output}
    quantised: list[str] = []
    left: list[str] = []
    for node in graph.node:
        if node.op_type in op_types:
            both = all(producer.get(name) == "DequantizeLinear" for name in node.input[:2])
            (quantised if both else left).append(node.name)
    return tuple(quantised), tuple(left)


def _check_zero_point(node: NodeProto, constants: dict[str, TensorProto], asymmetric: bool) -> None:
    if len(node.input) < 3 or node.input[2] not in constants:
        raise ExportError(f"{node.name}: no constant zero point, so its type would be uint8; expected int8.")
    zero_point = constants[node.input[2]]
    is_weight = node.input[0] in constants
    if asymmetric and not is_weight and zero_point.data_type == TensorProto.UINT8:
        return
    if zero_point.data_type != TensorProto.INT8:
        kind = TensorProto.DataType.Name(zero_point.data_type)
        raise ExportError(f"{node.name}: quantised to {kind}, expected INT8.")
    if zero_point.data_location != TensorProto.EXTERNAL and np.any(numpy_helper.to_array(zero_point)):
        raise ExportError(f"{node.name}: a zero point is not 0, expected symmetric quantisation.")
