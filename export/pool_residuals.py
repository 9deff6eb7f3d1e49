"""RRS ranks its planes without a normalised copy of them.

As traced, RRS upsamples every residual to the finest resolution, normalises all of it and takes each plane's
maximum and mean. Here what was pooled is normalised, since the normalisation grows with what it normalises,
and the mean of an upsampled plane is a weighted sum over the coarse one, with separable weights. The maximum
is the upsampled plane's, as before: it is there anyway, for what RRS keeps of it goes to the discriminator.

Which planes are kept is known only at run time. To upsample those alone takes, for each level, a gather and
an upsampling of as many planes as are kept of all levels together: more than all planes once.

Afterwards RRS lies between the values `block<k>_selected` and `block<k>_reconstructed`, which it takes, and
`rrs_planes`, which the discriminator takes; it ranks by `residual_max` and `residual_mean`. The nodes that
this pass makes have names that begin with "rrs.".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
import onnx_ir.passes.common as passes
import torch

from realnet_edge.export.passes import GraphPass
from realnet_edge.export.rewriting import (
    constant_of,
    float64,
    input_of,
    new_initializer,
    only_reader,
    replace_value,
)
from realnet_edge.kernels.bilinear import mean_weights

PLANES = "rrs_planes"
_POOLS = ("ReduceMax", "ReduceMean")


def pool_residuals(model: ir.Model) -> int:
    """Pool planes before they are normalised, in place; gives how many poolings were moved.

    Args:
        model: an exported graph with constants folded.
    """
    moved = 0
    for norm in [node for node in model.graph if node.op_type == "BatchNormalization"]:
        stack, pools = input_of(norm, 0), _pools(norm)
        # The maximum of what is turned upside down would be a minimum.
        if not pools or not (float64(input_of(norm, 1)) > 0).all():
            continue
        for pool in pools:
            _pool_first(model.graph, pool, norm, _parts(stack))
        model.graph.remove(norm, safe=True)
        _handed_on(stack).name = PLANES
        moved += len(pools)
    if moved:
        passes.RemoveUnusedNodesPass()(model)
    return moved


POOL_RESIDUALS = GraphPass("pool-residuals", pool_residuals)


def _pools(norm: ir.Node) -> list[ir.Node]:
    """The poolings over whole planes that read a normalisation, none where anything else reads it."""
    readers = list(norm.outputs[0].consumers())
    alone = not norm.outputs[0].is_graph_output() and all(_over_planes(node) for node in readers)
    return readers if alone else []


def _over_planes(node: ir.Node) -> bool:
    """Whether a node takes the maximum or the mean of each plane of (N, C, H, W), to (N, C)."""
    axes = constant_of(node.inputs[1]) if len(node.inputs) > 1 else None
    if node.op_type not in _POOLS or axes is None or node.attributes["keepdims"].as_int():
        return False
    return sorted(int(axis) % 4 for axis in axes.ravel()) == [2, 3]


def _parts(stack: ir.Value) -> list[ir.Value]:
    """The planes of each level, of which the stack consists."""
    node = stack.producer()
    if node is None or node.op_type != "Concat" or node.attributes["axis"].as_int() != 1:
        return [stack]
    return [value for value in node.inputs if value is not None]


def _pool_first(graph: ir.Graph, pool: ir.Node, norm: ir.Node, parts: Sequence[ir.Value]) -> None:
    """Normalise what was pooled instead of pooling what was normalised."""
    build = _Builder(graph, pool)
    found = build.joined([_pooled(build, part) for part in parts])
    gamma, beta, _, variance = (float64(input_of(norm, place)) for place in range(1, 5))
    factor = gamma / np.sqrt(variance + norm.attributes["epsilon"].as_float())
    found = build("Sub", [found, input_of(norm, 3)])
    found = build("Mul", [found, build.constant("factor", factor)])
    if beta.any():
        found = build("Add", [found, build.constant("shift", beta)])
    found.type, found.shape = pool.outputs[0].type, pool.outputs[0].shape
    replace_value(graph, pool.outputs[0], found)
    graph.remove(pool, safe=True)


def _pooled(build: _Builder, part: ir.Value) -> ir.Value:
    """One number a plane, (N, C)."""
    node, planes = part.producer(), build.constant("planes", np.array([2, 3], np.int64))
    source = node.inputs[0] if node is not None and _is_upsampling(node) else None
    coarse, fine = _plane_size(source), _plane_size(part)
    if build.op_type == "ReduceMax" or source is None or coarse is None or fine is None:
        return build(build.op_type, [part, planes], {"keepdims": 0})
    weights = mean_weights(coarse, fine, torch.device("cpu")).reshape(coarse).numpy()
    weighted = build("Mul", [source, build.constant("weights", weights)])
    return build("ReduceSum", [weighted, planes], {"keepdims": 0})


def _is_upsampling(node: ir.Node) -> bool:
    """Whether a node resizes bilinearly with align_corners=True."""
    names = ("mode", "coordinate_transformation_mode")
    return node.op_type == "Resize" and [node.attributes[name].as_string() for name in names] == [
        "linear",
        "align_corners",
    ]


def _plane_size(value: ir.Value | None) -> tuple[int, int] | None:
    if value is None or value.shape is None or len(value.shape) != 4:
        return None
    height, width = value.shape[2], value.shape[3]
    return (height, width) if isinstance(height, int) and isinstance(width, int) else None


def _handed_on(stack: ir.Value) -> ir.Value:
    """What the discriminator takes: planes picked from the stack, or the stack with those not kept at 0."""
    value, reader = stack, only_reader(stack)
    while reader is not None and reader.op_type in ("Reshape", "Gather", "Mul"):
        value = reader.outputs[0]
        reader = only_reader(value)
    return value


class _Builder:
    """Puts nodes in the place of a pooling, before it.

    Args:
        graph: of the pooling.
        pool: the node that they go before; nodes, their outputs and constants are named for its kind.
    """

    def __init__(self, graph: ir.Graph, pool: ir.Node) -> None:
        self.op_type = pool.op_type
        self._graph, self._pool = graph, pool
        self._prefix = f"rrs.{pool.op_type.removeprefix('Reduce').lower()}"
        self._count = 0

    def __call__(
        self, op_type: str, inputs: Sequence[ir.Value], attributes: dict[str, Any] | None = None
    ) -> ir.Value:
        name = f"{self._prefix}.{op_type.lower()}{self._count}"
        self._count += 1
        node = ir.node(op_type, inputs, attributes or {}, name=name)
        node.outputs[0].name = name
        self._graph.insert_before(self._pool, node)
        return node.outputs[0]

    def joined(self, parts: Sequence[ir.Value]) -> ir.Value:
        """Numbers of each level one after the other."""
        return self("Concat", parts, {"axis": 1}) if len(parts) > 1 else parts[0]

    def constant(self, name: str, values: npt.NDArray[Any]) -> ir.Value:
        """A constant; floats become float32."""
        floats = np.issubdtype(values.dtype, np.floating)
        data = np.ascontiguousarray(values, np.float32 if floats else values.dtype)
        return new_initializer(self._graph, f"{self._prefix}.{name}", data)
