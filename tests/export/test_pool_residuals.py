"""RRS pooled at its own size: traced as it is exported, before and after."""

from __future__ import annotations

from collections import Counter

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from realnet_edge.export.pool_residuals import PLANES, pool_residuals
from realnet_edge.export.simplify import simplify
from realnet_edge.model.rrs import ResidualSelection

CHANNELS, SIZES, KEPT = (3, 5, 4), ((8, 9), (4, 5), (2, 3)), 3


class Ranked(nn.Module):
    """RRS behind blocks that lie one after the other in the channels of an input each; gives scores, too."""

    def __init__(self, order: str, levels: int) -> None:
        super().__init__()
        self.rrs = ResidualSelection(sum(CHANNELS[:levels]), KEPT, KEPT - 1, order)
        generator = torch.Generator().manual_seed(1)
        for name in ("running_mean", "running_var"):
            buffer = self.rrs.norm.get_buffer(name)
            buffer.copy_(torch.rand(buffer.shape, generator=generator) + 0.5)

    def forward(self, *blocks: Tensor) -> tuple[Tensor, Tensor]:
        planes, indices = self.rrs([block[:, 0] for block in blocks], [block[:, 1] for block in blocks])
        return planes.relu(), indices


def traced(order: str, levels: int = 3) -> tuple[ir.Model, dict[str, npt.NDArray[np.float32]]]:
    """A graph as the exporter leaves it, and a batch of 3 for it."""
    generator = torch.Generator().manual_seed(0)
    shapes = [(3, 2, c, *size) for c, size in zip(CHANNELS[:levels], SIZES, strict=False)]
    blocks = [torch.randn(shape, generator=generator) for shape in shapes]
    names = [f"block{place}" for place in range(levels)]
    program = torch.onnx.export(
        Ranked(order, levels).eval(),
        tuple(blocks),
        dynamo=True,
        opset_version=18,
        optimize=False,
        verbose=False,
        input_names=names,
        output_names=["seen", "indices"],
        dynamic_shapes=[tuple({0: torch.export.Dim("n", min=1, max=64)} for _ in names)],
    )
    assert program is not None
    simplify(program.model)
    return program.model, {name: block.numpy() for name, block in zip(names, blocks, strict=True)}


def run(graph: ir.Model, feeds: dict[str, npt.NDArray[np.float32]]) -> list[npt.NDArray[np.float32]]:
    session = onnxruntime.InferenceSession(ir.to_proto(graph).SerializeToString())
    found: list[npt.NDArray[np.float32]] = session.run(None, feeds)
    return found


def kinds(graph: ir.Model) -> Counter[str]:
    return Counter(node.op_type for node in graph.graph)


@pytest.mark.parametrize("order", ["score", "plane"])
def test_the_same_planes_in_the_same_order_at_any_batch(order: str) -> None:
    graph, feeds = traced(order)
    before = run(graph, feeds)
    assert kinds(graph)["BatchNormalization"] == 1
    assert pool_residuals(graph) == 2
    for count in (1, 3):
        found = run(graph, {name: value[:count] for name, value in feeds.items()})
        np.testing.assert_array_equal(found[0], before[0][:count])
        np.testing.assert_array_equal(found[1], before[1][:count])
    assert kinds(graph)["BatchNormalization"] == 0
    # Whoever replaces RRS as a whole finds its end by this name.
    (planes,) = [value for node in graph.graph for value in node.outputs if value.name == PLANES]
    assert {node.op_type for node in planes.consumers()} == {"Relu"}
    assert pool_residuals(graph) == 0


def test_means_are_taken_of_no_upsampled_plane() -> None:
    graph, _ = traced("plane")
    pool_residuals(graph)
    summed = [node for node in graph.graph if node.op_type in ("ReduceMean", "ReduceSum")]
    sources = [node.inputs[0].producer() for node in summed if node.inputs[0] is not None]
    assert [node.op_type for node in summed] == ["ReduceMean", "ReduceSum", "ReduceSum"]
    assert [node.op_type for node in sources if node is not None] == ["Pow", "Mul", "Mul"]
    sizes = [tuple(v.shape or ()) for n in sources if n is not None for v in n.inputs[1:] if v is not None]
    assert sizes[1:] == list(SIZES[1:])


def test_a_single_level_is_pooled_as_it_is() -> None:
    graph, feeds = traced("plane", levels=1)
    before = run(graph, feeds)
    assert pool_residuals(graph) == 2
    for expected, found in zip(before, run(graph, feeds), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_a_scale_that_turns_planes_upside_down_is_left_alone() -> None:
    graph, feeds = traced("score")
    (norm,) = [node for node in graph.graph if node.op_type == "BatchNormalization"]
    gamma = norm.inputs[1]
    assert gamma is not None
    assert gamma.const_value is not None
    values = gamma.const_value.numpy().copy()
    values[-1] = -1.0
    gamma.const_value = ir.tensor(values, name=gamma.name)
    before = run(graph, feeds)
    assert pool_residuals(graph) == 0
    for expected, found in zip(before, run(graph, feeds), strict=True):
        np.testing.assert_array_equal(found, expected)
