"""Cutting functions out of an ONNX file's bytes, against onnx itself."""

from __future__ import annotations

import pytest

from realnet_edge.errors import ExportError
from realnet_edge.runtime.tensorrt.local_functions import without_functions

onnx = pytest.importorskip("onnx", reason="needs onnx to compare with")


def model(functions: int) -> bytes:
    from onnx import TensorProto, helper

    body = [helper.make_node("Neg", ["a"], ["b"])]
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("ours", 1)]
    made = [
        helper.make_function("ours", f"Op{number}", ["a"], ["b"], body, opsets[:1])
        for number in range(functions)
    ]
    node = helper.make_node("Op0", ["x"], ["y"], domain="ours")
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [300]) for name in "xy"]
    graph = helper.make_graph([node], "g" * 300, ends[:1], ends[1:])
    whole = helper.make_model(graph, functions=made, opset_imports=opsets, ir_version=10)
    helper.set_model_props(whole, {"category": "screw"})
    content: bytes = whole.SerializeToString()
    return content


@pytest.mark.parametrize("functions", [0, 1, 3])
def test_functions_are_left_out_and_nothing_else(functions: int) -> None:
    content = model(functions)
    expected = onnx.load_model_from_string(content)
    del expected.functions[:]
    assert onnx.load_model_from_string(without_functions(content)) == expected
    assert without_functions(content) == model(0)


@pytest.mark.parametrize("content", [model(1)[:-3], b"\xff" * 20, b"\x0b\x01", b"\x09\x01"])
def test_what_is_no_message_is_refused(content: bytes) -> None:
    with pytest.raises(ExportError, match="damaged or cut short"):
        without_functions(content)
