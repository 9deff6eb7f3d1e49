"""AFS inside the backbone: kept channels and their standardisation become part of the layer that makes them.

A tap is picked from and standardised per channel. Where nothing else reads the tap, which is so for the last,
its last convolution need compute the kept channels only, and scale and shift them in its weights and bias.
On the way there the selection passes activations, and sums by both branches; a branch that ends at something
others read as well, an identity shortcut, keeps a gather of its own. Taps that later stages read keep theirs:
a second convolution for the kept channels would cost more than it saves. Scales and shifts are not moved down
into the U-Net: its first convolution pads with zeros, which a shift would have to change.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
import onnx_ir.passes.common as passes

from realnet_edge.export.passes import GraphPass
from realnet_edge.export.rewriting import (
    Vector,
    channels_of,
    constant_of,
    float64,
    input_of,
    new_initializer,
    only_reader,
    rank,
    replace_initializer,
    replace_value,
)

# Same for every channel, so that it does not matter whether channels are picked before or after.
_ACTIVATIONS = ("Relu", "Clip")


@dataclass(frozen=True)
class _Selection:
    """What is asked of a tensor's channels: pick by index, then scale, then shift. None leaves a step out."""

    index: npt.NDArray[np.int64] | None = None
    scale: Vector | None = None
    shift: Vector | None = None

    @property
    def affine(self) -> bool:
        return self.scale is not None or self.shift is not None

    def followed_by(self, op_type: str, values: Vector) -> _Selection:
        """This, then a product with, sum with, or difference from one value a channel."""
        if op_type == "Mul":
            shift = None if self.shift is None else self.shift * values
            return replace(self, scale=values if self.scale is None else self.scale * values, shift=shift)
        signed = -values if op_type == "Sub" else values
        return replace(self, shift=signed if self.shift is None else self.shift + signed)


def fold_selection(model: ir.Model) -> int:
    """Move channel selections into convolutions, in place; gives how many were.

    Args:
        model: an exported graph with constants folded. Outputs of the graph stay as they are: what makes one
            of them is not changed.
    """
    folded = 0
    for node in list(model.graph):
        # Those that an earlier one took along have left the graph.
        if node.graph is not None:
            folded += _fold_from(model.graph, node)
    if folded:
        # What the moved steps read, and names that two of them may have got.
        passes.RemoveUnusedNodesPass()(model)
        passes.NameFixPass()(model)
    return folded


FOLD_SELECTION = GraphPass("fold-selection", fold_selection)


def _fold_from(graph: ir.Graph, first: ir.Node) -> bool:
    """Fold the selection that begins at a node, as much of it as can be absorbed."""
    chain, selections = _chain(first)
    # The longest beginning that something takes: behind an activation that is the gather alone.
    for length in range(len(chain), 0, -1):
        selection = selections[length - 1]
        source = first.inputs[0]
        if source is not None and _absorbs(source, selection):
            end = chain[length - 1].outputs[0]
            # Read by the chain, which goes: then nobody else may.
            replace_value(graph, end, _pulled(graph, source, selection, first))
            for node in reversed(chain[:length]):
                graph.remove(node, safe=True)
            return True
    return False


def _chain(first: ir.Node) -> tuple[list[ir.Node], list[_Selection]]:
    """The nodes of a selection from its first one on, and what is asked up to each of them."""
    chain: list[ir.Node] = []
    selections: list[_Selection] = []
    node: ir.Node | None = first
    selection: _Selection | None = _gather(first) or _affine(first, _Selection())
    while node is not None and selection is not None:
        chain.append(node)
        selections.append(selection)
        node = only_reader(node.outputs[0])
        selection = _affine(node, selection) if node is not None else None
    return chain, selections


def _gather(node: ir.Node) -> _Selection | None:
    """What a Gather of channels asks for, None where the node is another one."""
    if node.op_type != "Gather" or len(node.inputs) != 2 or rank(node.inputs[0]) != 4:
        return None
    axis = node.attributes.get("axis")
    index = constant_of(node.inputs[1])
    if axis is None or axis.as_int() != 1 or index is None or index.ndim != 1:
        return None
    return _Selection(index=index.astype(np.int64))


def _affine(node: ir.Node, before: _Selection) -> _Selection | None:
    """What is asked with a per-channel Sub, Mul or Add too, None where the node is another one."""
    if node.op_type not in ("Sub", "Mul", "Add") or rank(node.outputs[0]) != 4:
        return None
    values = _per_channel(node.inputs[1], channels_of(node.outputs[0]))
    if values is None or rank(node.inputs[0]) != 4:
        return None
    return before.followed_by(node.op_type, values)


def _absorbs(value: ir.Value, selection: _Selection) -> bool:
    """Whether a convolution further up can take the selection of a value that nobody else reads."""
    node = value.producer()
    if node is None or len(value.uses()) != 1 or value.is_graph_output():
        return False
    if node.op_type == "Conv":
        return _group(node) == 1 and all(constant_of(i) is not None for i in node.inputs[1:])
    if node.op_type in _ACTIVATIONS:
        inner = node.inputs[0]
        return inner is not None and not selection.affine and _absorbs(inner, selection)
    return _is_sum(node) and any(_absorbs(i, selection) for i in node.inputs if i is not None)


def _pulled(graph: ir.Graph, value: ir.Value, selection: _Selection, reader: ir.Node) -> ir.Value:
    """A value with the selection made, as far up as it goes; nodes that remain go before `reader`."""
    node = value.producer()
    if node is None or not _absorbs(value, selection):
        return _selected(graph, value, selection, reader)
    if node.op_type == "Conv":
        return _narrowed(graph, node, selection)
    if node.op_type in _ACTIVATIONS:
        return _rebuilt(graph, node, {0: _pulled(graph, input_of(node, 0), selection, node)})
    # One branch alone takes the shift, one that absorbs it.
    taker = next(i for i in (0, 1) if _absorbs(input_of(node, i), selection))
    without = replace(selection, shift=None)
    branches = {i: selection if i == taker else without for i in (0, 1)}
    return _rebuilt(
        graph, node, {i: _pulled(graph, input_of(node, i), wanted, node) for i, wanted in branches.items()}
    )


def _narrowed(graph: ir.Graph, node: ir.Node, selection: _Selection) -> ir.Value:
    """A convolution of the kept channels alone, scaled and shifted."""
    weight = input_of(node, 1)
    kernel, bias = float64(weight), None
    if len(node.inputs) > 2 and node.inputs[2] is not None:
        bias = float64(node.inputs[2])
    if selection.index is not None:
        kernel = kernel[selection.index]
        bias = bias[selection.index] if bias is not None else None
    if selection.scale is not None:
        kernel = kernel * selection.scale[:, None, None, None]
        bias = bias * selection.scale if bias is not None else None
    if selection.shift is not None:
        bias = selection.shift + (0.0 if bias is None else bias)
    inputs = {1: replace_initializer(graph, weight, str(weight.name), kernel)}
    if bias is not None:
        old = node.inputs[2] if len(node.inputs) > 2 else None
        name = f"{str(weight.name).removesuffix('.weight')}.bias" if old is None else str(old.name)
        inputs[2] = replace_initializer(graph, old, name, bias)
    return _rebuilt(graph, node, inputs)


def _rebuilt(graph: ir.Graph, node: ir.Node, inputs: dict[int, ir.Value]) -> ir.Value:
    """A node in the place of another, with some inputs exchanged and as many channels as they have."""
    count = max(len(node.inputs), max(inputs) + 1)
    old = [*node.inputs, *[None] * (count - len(node.inputs))]
    new = [inputs.get(i, value) for i, value in enumerate(old)]
    # A convolution has as many channels as its weights have rows.
    source = inputs[1].shape if node.op_type == "Conv" else inputs[0].shape
    channels = source[0 if node.op_type == "Conv" else 1] if source is not None else None
    made = ir.node(node.op_type, new, dict(node.attributes), name=node.name)
    _describe(made.outputs[0], node.outputs[0], channels)
    graph.insert_before(node, made)
    replace_value(graph, node.outputs[0], made.outputs[0])
    graph.remove(node, safe=True)
    return made.outputs[0]


def _selected(graph: ir.Graph, value: ir.Value, selection: _Selection, reader: ir.Node) -> ir.Value:
    """The selection as nodes of its own."""
    steps: list[tuple[str, npt.NDArray[Any] | None, dict[str, int]]] = [
        ("Gather", selection.index, {"axis": 1}),
        ("Mul", selection.scale, {}),
        ("Add", selection.shift, {}),
    ]
    name = value.name
    for op_type, values, attributes in steps:
        if values is None:
            continue
        shaped = values if op_type == "Gather" else values.astype(np.float32)[:, None, None]
        constant = new_initializer(graph, f"{name}.{op_type.lower()}.constant", shaped)
        made = ir.node(op_type, [value, constant], attributes)
        _describe(made.outputs[0], value, len(values))
        made.outputs[0].name = f"{name}.{op_type.lower()}"
        graph.insert_before(reader, made)
        value = made.outputs[0]
    return value


def _describe(value: ir.Value, like: ir.Value, channels: Any) -> None:
    """Type and shape of another value, with other channels."""
    value.name, value.type = like.name, like.type
    if like.shape is not None:
        value.shape = ir.Shape([channels if axis == 1 else size for axis, size in enumerate(like.shape)])


def _per_channel(value: ir.Value | None, channels: int | None) -> Vector | None:
    """A constant that holds one number for each channel of (N, C, H, W), as (C,)."""
    constant = constant_of(value)
    if constant is None or channels is None:
        return None
    fits = constant.shape in ((channels, 1, 1), (1, channels, 1, 1))
    return constant.astype(np.float64).reshape(channels) if fits else None


def _group(node: ir.Node) -> int:
    attribute = node.attributes.get("group")
    return 1 if attribute is None else attribute.as_int()


def _is_sum(node: ir.Node) -> bool:
    """A sum of two computed feature maps of the same size."""
    if node.op_type != "Add" or any(constant_of(i) is not None for i in node.inputs):
        return False
    first, second = (input_of(node, i).shape for i in (0, 1))
    return first is not None and first == second
