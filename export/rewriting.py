"""Reading and rewriting `onnx_ir` graphs: what every pass needs."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

Vector = npt.NDArray[np.float64]


def constant_of(value: ir.Value | None) -> npt.NDArray[Any] | None:
    """The values of a constant, None for what is computed."""
    tensor = None if value is None else ir.convenience.get_const_tensor(value)
    return None if tensor is None else tensor.numpy()


def float64(value: ir.Value) -> Vector:
    """The values of a constant in float64."""
    found = constant_of(value)
    if found is None:
        raise ValueError(f"{value.name} is not a constant.")
    return found.astype(np.float64)


def rank(value: ir.Value | None) -> int | None:
    """How many axes a value has, None where that is unknown."""
    return None if value is None or value.shape is None else len(value.shape)


def channels_of(value: ir.Value) -> int | None:
    """The second size of a value, None where it is unknown."""
    size = None if value.shape is None else value.shape[1]
    return size if isinstance(size, int) else None


def input_of(node: ir.Node, place: int) -> ir.Value:
    """An input that has to be there."""
    value = node.inputs[place]
    if value is None:
        raise ValueError(f"{node.op_type} {node.name} has no input {place}.")
    return value


def only_reader(value: ir.Value) -> ir.Node | None:
    """The node that reads a value, None where there are more or the graph gives it out."""
    readers = value.consumers()
    return None if len(value.uses()) != 1 or value.is_graph_output() else readers[0]


def replace_value(graph: ir.Graph, old: ir.Value, new: ir.Value) -> None:
    """Let everybody read `new`, under the old name: names of stages are looked for in the file."""
    new.name = old.name
    for place, output in enumerate(graph.outputs):
        if output is old:
            graph.outputs[place] = new
    ir.convenience.replace_all_uses_with(old, new)


def replace_initializer(graph: ir.Graph, old: ir.Value | None, name: str, values: Vector) -> ir.Value:
    """A weight under the name of the old one, or a new name where there was none or others read it too."""
    if old is not None and old.name is not None and len(old.uses()) == 1 and old.is_initializer():
        del graph.initializers[old.name]
    return new_initializer(graph, name, values.astype(np.float32))


def new_initializer(graph: ir.Graph, name: str, data: npt.NDArray[Any]) -> ir.Value:
    """A constant under a name, or that name with a number where it is taken."""
    free, number = name, 1
    while free in graph.initializers:
        free, number = f"{name}.{number}", number + 1
    tensor = ir.tensor(data, name=free)
    made = ir.Value(
        name=free, const_value=tensor, type=ir.TensorType(tensor.dtype), shape=ir.Shape(data.shape)
    )
    graph.register_initializer(made)
    return made
