"""Where RRS stands in an engine graph: from the residuals to what the discriminator sees, found by structure.

RRS begins at the differences whose squares TopK ranks. It ends where the discriminator begins, at the first
layer with weights and at what prepares its input; whatever lies behind those belongs to the discriminator.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import onnx_ir as ir

from realnet_edge.errors import ExportError
from realnet_edge.export.half_plan import WEIGHTED, is_square, reached, sources

_LEAVING = WEIGHTED | {"QuantizeLinear", "Relu"}


@dataclass(frozen=True)
class RrsRegion:
    """RRS in a graph.

    Attributes:
        selected, reconstructed: what is subtracted, a pair a block, finest first.
        planes: what the discriminator takes.
        indices: of the chosen planes, int64 (N, k).
        nodes: what lies between them, in topological order, shape computations included.
        mean, factor: constants (C,): what is subtracted from each plane's pooled residual, and what it is
            multiplied by, to rank it.
    """

    selected: tuple[ir.Value, ...]
    reconstructed: tuple[ir.Value, ...]
    planes: ir.Value
    indices: ir.Value
    nodes: tuple[ir.Node, ...]
    mean: ir.Value
    factor: ir.Value


def find_rrs(graph: ir.Graph) -> RrsRegion:
    """Find RRS.

    Args:
        graph: an engine graph in any precision, nodes in topological order.

    Raises:
        ExportError: it is not there, or not of the form that the engine graph has.
    """
    nodes = list(graph)
    # One before all layers with weights finds the background that parts are aligned by.
    behind = reached(nodes, lambda node: node.op_type in WEIGHTED, sources)
    ranks = [node for node in nodes if node.op_type == "TopK" and node in behind]
    if not ranks:
        raise _unknown("it ranks nothing (no TopK)")
    differences = _differences(nodes, ranks)
    inside = _between(nodes, differences)
    planes = _planes(inside)
    indices = _indices(graph, nodes, inside, ranks, planes)
    body = _body(nodes, differences, (planes, indices))
    selected, reconstructed = zip(*(_pair(node) for node in differences), strict=True)
    return RrsRegion(selected, reconstructed, planes, indices, body, *_statistics(ranks[0]))


def _differences(nodes: list[ir.Node], ranks: list[ir.Node]) -> list[ir.Node]:
    """The subtractions whose squares are ranked, in the order of their blocks."""
    squares: set[ir.Node] = set()
    pending, seen = list(ranks), set(ranks)
    while pending:
        for before in sources(pending.pop()):
            if is_square(before):
                squares.add(before)
            elif before not in seen and before.op_type not in WEIGHTED | {"Shape"}:
                seen.add(before)
                pending.append(before)
    found = []
    for node in nodes:
        if node in squares:
            source = node.inputs[0]
            while source is not None and (made := source.producer()) is not None and made.op_type == "Cast":
                source = made.inputs[0]
            made = None if source is None else source.producer()
            if made is None or made.op_type != "Sub":
                raise _unknown(f"{node.name} squares no difference of two tensors")
            found.append(made)
    if not found:
        raise _unknown("what it ranks are no squares")
    return _in_block_order(found)


def _in_block_order(differences: list[ir.Node]) -> list[ir.Node]:
    """Finest first, those of one resolution as they are."""
    sizes = []
    for node in differences:
        shape = node.outputs[0].shape
        lengths = [] if shape is None else [length for length in shape[1:] if isinstance(length, int)]
        if len(lengths) != 3:
            raise _unknown(f"{node.name} has no known channels and size")
        sizes.append(-lengths[1] * lengths[2])
    order = sorted(range(len(differences)), key=sizes.__getitem__)
    return [differences[index] for index in order]


def _pair(difference: ir.Node) -> tuple[ir.Value, ir.Value]:
    first, second = difference.inputs
    if first is None or second is None or first.is_initializer() or second.is_initializer():
        raise _unknown(f"{difference.name} subtracts a constant")
    return first, second


def _statistics(rank: ir.Node) -> tuple[ir.Value, ir.Value]:
    """Mean and factor of what a node ranks: (pooled - mean) * factor."""
    scores = rank.inputs[0]
    product = None if scores is None else scores.producer()
    difference = None if product is None or product.inputs[0] is None else product.inputs[0].producer()
    steps = [node.op_type for node in (product, difference) if node is not None]
    constants = [
        node.inputs[1] for node in (difference, product) if node is not None and len(node.inputs) > 1
    ]
    mean, factor = constants if len(constants) == 2 else (None, None)
    if steps != ["Mul", "Sub"] or mean is None or factor is None:
        raise _unknown(f"{rank.name} ranks no residuals less their mean, times a factor")
    return mean, factor


def _between(nodes: list[ir.Node], differences: list[ir.Node]) -> list[ir.Node]:
    """What depends on the differences and on nothing of the discriminator, in topological order."""
    depends: set[ir.Node] = set(differences)
    behind: set[ir.Node] = set()
    for node in nodes:
        before = sources(node)
        if any(source in behind for source in before):
            behind.add(node)
        elif any(source in depends for source in before):
            (behind if node.op_type in _LEAVING else depends).add(node)
    return [node for node in nodes if node in depends]


def _planes(inside: list[ir.Node]) -> ir.Value:
    """The one value that the discriminator takes."""
    known = set(inside)
    handed = [
        value
        for node in inside
        for value in node.outputs
        if any(use.node not in known for use in value.uses())
    ]
    if len(handed) != 1:
        names = ", ".join(value.name or "?" for value in handed) or "nothing"
        raise _unknown(f"the discriminator takes {names}; it takes one tensor")
    return handed[0]


def _indices(
    graph: ir.Graph, nodes: list[ir.Node], inside: list[ir.Node], ranks: list[ir.Node], planes: ir.Value
) -> ir.Value:
    """The last value that both the planes and the graph's own indices come from, behind every TopK."""
    given = next((value for value in graph.outputs if value.name == "rrs_indices"), None)
    if given is None:
        raise _unknown("it has no output rrs_indices")
    common = _ancestors([planes]) & _ancestors([given])
    for node in reversed(nodes):
        if node in common and node in inside and set(ranks) <= _ancestors(node.outputs):
            return node.outputs[1] if node.op_type == "TopK" else node.outputs[0]
    raise _unknown("rrs_indices are not those that planes are chosen by")


def _body(
    nodes: list[ir.Node], differences: list[ir.Node], outputs: Iterable[ir.Value]
) -> tuple[ir.Node, ...]:
    """All that the outputs need beside the differences' inputs, constants, and sizes of tensors."""
    starts = set(differences)
    found: set[ir.Node] = set()
    pending = [made for value in outputs if (made := value.producer()) is not None]
    while pending:
        node = pending.pop()
        if node in found:
            continue
        found.add(node)
        if node not in starts and node.op_type != "Shape":
            pending += sources(node)
    return tuple(node for node in nodes if node in found)


def _ancestors(values: Iterable[ir.Value]) -> set[ir.Node]:
    """The nodes that values come from, their own among them."""
    pending = [made for value in values if (made := value.producer()) is not None]
    found: set[ir.Node] = set()
    while pending:
        node = pending.pop()
        if node not in found:
            found.add(node)
            pending += sources(node)
    return found


def _unknown(what: str) -> ExportError:
    return ExportError(
        f"RRS is not where this version looks for it in the engine graph: {what}. Build with --rrs native, "
        "or export the checkpoint anew."
    )
