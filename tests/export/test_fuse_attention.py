"""Attention as it is traced, and what is left of it: MatMul, Softmax, MatMul."""

from __future__ import annotations

from collections import Counter

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from realnet_edge.export.fuse_attention import fuse_attention
from realnet_edge.export.simplify import simplify
from realnet_edge.model.unet import AttentionBlock


class Attention(nn.Module):
    """One block of attention, none of whose layers is idle."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.block = AttentionBlock(channels, group_width=4)
        nn.init.normal_(self.block.proj.weight)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.block(x)
        return out


def traced(channels: int) -> ir.Model:
    torch.manual_seed(0)
    program = torch.onnx.export(
        Attention(channels).eval(),
        (torch.randn(2, channels, 4, 6),),
        dynamo=True,
        opset_version=18,
        optimize=False,
        verbose=False,
        input_names=["x"],
        dynamic_shapes=[{0: torch.export.Dim("n", min=1, max=64)}],
    )
    assert program is not None
    simplify(program.model)
    return program.model


def run(graph: ir.Model, count: int = 3) -> list[npt.NDArray[np.float32]]:
    channels = graph.graph.inputs[0].shape[1]  # type: ignore[index]
    x = np.random.default_rng(0).standard_normal((count, channels, 4, 6)).astype(np.float32)
    session = onnxruntime.InferenceSession(ir.to_proto(graph).SerializeToString())
    found: list[npt.NDArray[np.float32]] = session.run(None, {"x": x})
    return found


@pytest.mark.parametrize("channels", [32, 128])
def test_nothing_stands_between_the_products_and_softmax(channels: int) -> None:
    graph = traced(channels)
    before = run(graph)
    kinds = Counter(node.op_type for node in graph.graph)
    assert fuse_attention(graph) == 1
    left = Counter(node.op_type for node in graph.graph)
    # Two factors; the key's way through three dimensions and the sizes that it took.
    assert kinds["Mul"] - left["Mul"] == 2
    assert kinds["Reshape"] - left["Reshape"] == 2
    assert kinds["Transpose"] == left["Transpose"]
    (softmax,) = [node for node in graph.graph if node.op_type == "Softmax"]
    product, (second,) = softmax.inputs[0].producer(), softmax.outputs[0].consumers()
    assert product is not None
    assert product.op_type == second.op_type == "MatMul"
    assert [value.producer().op_type for value in product.inputs] == ["Squeeze", "Transpose"]
    for x, y in zip(before, run(graph), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(run(graph, 1)[0], before[0][:1], rtol=1e-4, atol=1e-5)
    assert fuse_attention(graph) == 0


def test_only_rows_of_query_and_key_are_scaled() -> None:
    graph = traced(128)
    (weight,) = [v for v in graph.graph.initializers.values() if v.shape == ir.Shape([384, 128, 1, 1])]
    name, before = weight.name, weight.const_value.numpy().copy()
    fuse_attention(graph)
    ratio = (graph.graph.initializers[name].const_value.numpy() / before)[:, 0, 0, 0]
    # Head by head: 64 of the query, 64 of the key, 64 of the value.
    head = np.repeat([64**-0.25, 64**-0.25, 1.0], 64)
    np.testing.assert_allclose(ratio, np.tile(head, 2), rtol=1e-6)


def test_a_projection_that_others_read_is_left_alone() -> None:
    graph = traced(64)
    (projection, _) = [node for node in graph.graph if node.op_type == "Conv"]
    other = ir.node("Relu", [projection.outputs[0]])
    other.outputs[0].name = "other"
    other.outputs[0].type = ir.TensorType(ir.DataType.FLOAT)
    other.outputs[0].shape = projection.outputs[0].shape
    graph.graph.append(other)
    graph.graph.outputs.append(other.outputs[0])
    before = run(graph)
    assert fuse_attention(graph) == 0
    for x, y in zip(before, run(graph), strict=True):
        np.testing.assert_array_equal(x, y)
