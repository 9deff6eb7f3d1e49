"""Which nodes of an engine graph may compute in FP16, found by structure, not by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import onnx_ir as ir

# Layers with weights, and attention's products: nearly all of the time goes to them.
WEIGHTED = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})
# Sums over many values, exponentials, squares and ranks: 11 bits, or 65,504, do not do for them.
IN_FLOAT = frozenset(
    {
        "BatchNormalization",
        "GroupNormalization",
        "InstanceNormalization",
        "LayerNormalization",
        "Pow",
        "ReduceMax",
        "ReduceMean",
        "Softmax",
        "TopK",
    }
)
_QDQ = frozenset({"QuantizeLinear", "DequantizeLinear"})
# Where a plane's side is at least this share of the image's, depthwise convolutions and all that leads to
# them stay in float: there one number too coarse spreads through the whole network.
_FINE = 0.25
# What only moves values; behind the squares it moves them before they are made narrower, so that those
# planes which are not kept need not be.
_MOVES = frozenset({"Concat", "Gather", "Reshape", "Slice", "Squeeze", "Transpose", "Unsqueeze"})


def half_nodes(graph: ir.Graph) -> set[ir.Node]:
    """The nodes that compute in FP16.

    Layers with weights and Q/DQ pairs do, and what lies between layers with weights; not so the kinds of
    `IN_FLOAT`, nor what stands between a squared residual and RRS' choice, nor the first stages of a network
    of depthwise convolutions. Those sum over few values, so that nothing averages their rounding out: on
    screw EfficientNet-Lite2 with its first stages in FP16, too, left residuals four times as far off.

    Args:
        graph: with its nodes in topological order.
    """
    nodes = list(graph)
    behind = reached(nodes, lambda node: node.op_type in WEIGHTED, sources)
    before = reached(reversed(nodes), lambda node: node.op_type in WEIGHTED, _users)
    ranked = reached(reversed(nodes), lambda node: node.op_type == "TopK", _users)
    squared = _squared(nodes)
    stem = _stem(nodes)
    return {
        node
        for node in nodes
        if node.domain == ""
        and node.op_type not in IN_FLOAT | {"Cast", "Shape"}
        and node not in stem
        and (
            node.op_type in WEIGHTED | _QDQ
            or (
                node in behind
                and node in before
                and not (node in squared and (node in ranked or node.op_type in _MOVES))
            )
        )
    }


def is_square(node: ir.Node) -> bool:
    """Whether a node squares its input."""
    return node.op_type == "Pow" or (node.op_type == "Mul" and node.inputs[0] is node.inputs[1])


def _stem(nodes: list[ir.Node]) -> set[ir.Node]:
    """Depthwise convolutions on fine planes and all that leads to them; nothing where there are none."""
    first = next((node for node in nodes if node.op_type in WEIGHTED), None)
    side = None if first is None else _side(first.inputs[0])
    if side is None:
        return set()

    def is_fine(node: ir.Node) -> bool:
        own = _side(node.outputs[0])
        return node.attributes.get_int("group", 1) > 1 and own is not None and own >= _FINE * side

    fine = {node for node in nodes if node.op_type == "Conv" and is_fine(node)}
    return fine | reached(reversed(nodes), lambda node: node in fine, _users)


def _side(value: ir.Value | None) -> int | None:
    """The height of planes (N, C, H, W), None where it is unknown."""
    if value is None or value.shape is None or len(value.shape) != 4:
        return None
    height = value.shape[2]
    return height if isinstance(height, int) else None


def reached(
    nodes: Iterable[ir.Node], starts: Callable[[ir.Node], bool], towards: Callable[[ir.Node], list[ir.Node]]
) -> set[ir.Node]:
    """The nodes behind one that `starts`, itself not among them unless it is behind another.

    Args:
        nodes: in an order in which `towards` gives only nodes that came before.
        starts: which nodes to look for.
        towards: a node's neighbours on the side to look for them.
    """
    found: set[ir.Node] = set()
    for node in nodes:
        if any(near in found or starts(near) for near in towards(node)):
            found.add(node)
    return found


def _squared(nodes: Iterable[ir.Node]) -> set[ir.Node]:
    """What is computed from squares alone, up to the layers with weights."""
    found: set[ir.Node] = set()
    for node in nodes:
        if is_square(node) or (node.op_type not in WEIGHTED and any(n in found for n in sources(node))):
            found.add(node)
    return found


def sources(node: ir.Node) -> list[ir.Node]:
    """The nodes that make a node's inputs."""
    return [made for value in node.inputs if value is not None and (made := value.producer()) is not None]


def _users(node: ir.Node) -> list[ir.Node]:
    return [use.node for value in node.outputs for use in value.uses()]
