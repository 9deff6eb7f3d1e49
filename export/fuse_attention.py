"""Attention in the form that engines fuse: MatMul, Softmax, MatMul of (N, heads, positions, width), no more.

As traced, query and key are each multiplied by width^-1/4 on their way, and the key is transposed between two
reshapes whose shapes are computed at run time. Both factors go into the rows of the projection that make
query and key, and one transposition takes the place of five nodes. Scores are as large as before, so FP16
has no more to fear; INT8 weights have a scale for each row anyway.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir
import onnx_ir.passes.common as passes
from onnx.reference import ReferenceEvaluator

from realnet_edge.export.passes import GraphPass
from realnet_edge.export.rewriting import (
    constant_of,
    float64,
    input_of,
    only_reader,
    replace_initializer,
)

# What lies between the projection and query, key and value: it moves numbers and changes none.
_MOVES = ("Gather", "Reshape", "Slice", "Squeeze", "Transpose")


@dataclass(frozen=True)
class _Operand:
    """Query, key or value of one attention.

    Attributes:
        value: (N, heads, positions, width).
        path: the nodes that make it from the projection, which is not among them.
        projection: the convolution that it comes from.
        channels: which of the projection's channels it consists of.
    """

    value: ir.Value
    path: frozenset[ir.Node]
    projection: ir.Node
    channels: npt.NDArray[np.int64]


def fuse_attention(model: ir.Model) -> int:
    """Fold the scale of attentions into their projections, transpose keys at once, in place; gives how many.

    Args:
        model: an exported graph with constants folded.
    """
    fused = sum(_fuse(model.graph, node) for node in list(model.graph) if node.op_type == "Softmax")
    if fused:
        passes.RemoveUnusedNodesPass()(model)
    return fused


FUSE_ATTENTION = GraphPass("fuse-attention", fuse_attention)


def _fuse(graph: ir.Graph, softmax: ir.Node) -> bool:
    """One attention, by its softmax; gives whether it was one as traced."""
    product, second = input_of(softmax, 0).producer(), only_reader(softmax.outputs[0])
    if product is None or second is None or {product.op_type, second.op_type} != {"MatMul"}:
        return False
    scales = [_scaled(input_of(product, place)) for place in (0, 1)]
    if None in scales:
        return False
    (query, query_factor), (transposed, key_factor) = (scale for scale in scales if scale is not None)
    key = _untransposed(transposed)
    operands = [_traced(value) for value in (query, key, input_of(second, 1))]
    found = [operand for operand in operands if operand is not None]
    if len(found) < 3 or not _apart(found):
        return False
    _scale_rows(graph, found[0], query_factor)
    _scale_rows(graph, found[1], key_factor)
    turned = ir.node("Transpose", [key], {"perm": [0, 1, 3, 2]}, name=f"{product.name}.key")
    turned.outputs[0].name = f"{product.name}.key"
    graph.insert_before(product, turned)
    product.replace_input_with(0, query)
    product.replace_input_with(1, turned.outputs[0])
    return True


def _scaled(value: ir.Value) -> tuple[ir.Value, float] | None:
    """What is multiplied by one number, and the number; None where a value is none of this."""
    node = value.producer()
    if node is None or node.op_type != "Mul" or only_reader(value) is None:
        return None
    for place in (0, 1):
        factor = constant_of(node.inputs[place])
        if factor is not None and factor.size == 1:
            return input_of(node, 1 - place), float(factor.ravel()[0])
    return None


def _untransposed(value: ir.Value) -> ir.Value | None:
    """What the exporter swapped the last two axes of, in three dimensions between two reshapes."""
    nodes = []
    for op_type in ("Reshape", "Transpose", "Reshape"):
        node = value.producer()
        if node is None or node.op_type != op_type:
            return None
        nodes.append(node)
        value = input_of(node, 0)
    swapped = list(nodes[1].attributes["perm"].as_ints()) == [0, 2, 1]
    return value if swapped and value.shape is not None and len(value.shape) == 4 else None


def _traced(value: ir.Value | None) -> _Operand | None:
    """Follow a value up to the convolution that it comes from, and find its channels there."""
    source, path = value, list[ir.Node]()
    while source is not None:
        node = source.producer()
        if node is None:
            return None
        if node.op_type == "Conv":
            channels = _channels(source, path[::-1])
            return (
                None
                if value is None or channels is None
                else _Operand(value, frozenset(path), node, channels)
            )
        if node.op_type not in _MOVES or any(constant_of(i) is None for i in node.inputs[1:]):
            return None
        path.append(node)
        source = input_of(node, 0)
    return None


def _channels(projected: ir.Value, path: list[ir.Node]) -> npt.NDArray[np.int64] | None:
    """The channels that nodes which only move numbers leave of a feature map: their indices are moved."""
    shape = projected.shape
    if shape is None or not all(isinstance(size, int) for size in shape[1:]):
        return None
    sizes = [int(size) for size in shape[1:]]  # type: ignore[arg-type]  # looked at above
    index = np.arange(sizes[0]).reshape(1, -1, *[1] * (len(sizes) - 1))
    moved = np.broadcast_to(index, (1, *sizes))
    for node in path:
        feeds = [moved, *(constant_of(value) for value in node.inputs[1:])]
        names = [f"input{place}" for place in range(len(feeds))]
        alone = onnx.helper.make_node(node.op_type, names, ["output"])
        alone.attribute.extend(ir.to_proto(attribute) for attribute in node.attributes.values())
        moved = _evaluated(alone, dict(zip(names, feeds, strict=True)))
    return np.unique(moved)


def _evaluated(node: onnx.NodeProto, feeds: dict[str, Any]) -> Any:
    results: Any = ReferenceEvaluator(node).run(None, feeds)
    return results[0]


def _apart(operands: list[_Operand]) -> bool:
    """Whether operands share a projection but no channel of it, and nobody else reads what they come from."""
    channels = np.concatenate([operand.channels for operand in operands])
    paths = frozenset[ir.Node]().union(*(operand.path for operand in operands))
    between = [operands[0].projection.outputs[0], *(node.outputs[0] for node in paths)]
    ends = {operand.value for operand in operands}
    alone = all(
        not value.is_graph_output() and (value in ends or set(value.consumers()) <= paths)
        for value in between
    )
    # Besides what is rewritten only sizes are asked for, which no factor changes.
    asked = all(len([node for node in end.consumers() if node.op_type != "Shape"]) == 1 for end in ends)
    same = {operand.projection for operand in operands} == {operands[0].projection}
    return alone and asked and same and len(np.unique(channels)) == len(channels)


def _scale_rows(graph: ir.Graph, operand: _Operand, factor: float) -> None:
    """Multiply the weights and the bias that make an operand."""
    projection = operand.projection
    for place in range(1, len(projection.inputs)):
        values = float64(input_of(projection, place)).copy()
        values[operand.channels] *= factor
        old = input_of(projection, place)
        projection.replace_input_with(place, replace_initializer(graph, old, str(old.name), values))
