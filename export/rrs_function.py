"""RRS as one node of our own: a local function of the ONNX file whose body is what stood there before.

TensorRT takes a plugin of that name where one is registered; without one it takes the body, as ONNX Runtime
does. OpenVINO (2026.4) takes no local functions: graphs for it keep RRS in its operators. Made last:
quantisers choke on a node of another domain.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass, ShapeInferencePass, TopologicalSortPass

from realnet_edge.errors import ExportError
from realnet_edge.export.rewriting import float64, new_initializer
from realnet_edge.export.rrs_check import check_body
from realnet_edge.export.rrs_region import RrsRegion, find_rrs
from realnet_edge.export.saving import save_graph
from realnet_edge.files import atomic_folder
from realnet_edge.kernels.catalogue import EPS
from realnet_edge.kernels.rrs_call import DOMAIN, OP, VERSION, RrsSettings

_TYPES = {ir.DataType.FLOAT: "f32", ir.DataType.FLOAT16: "f16"}


@dataclass(frozen=True)
class RrsNode:
    """What was put in.

    Attributes:
        settings: attributes of the node.
        blocks: how many it takes.
        read: type of both sides of every block, "f32" or "f16".
        nodes: how many it stands for.
    """

    settings: RrsSettings
    blocks: int
    read: str
    nodes: int


def gather_rrs(source: Path, target: Path) -> RrsNode:
    """Write an engine graph with RRS as one node; the folder of `target` is replaced whole.

    The node is `realnet_edge.RRS`: inputs are the selected blocks, the reconstructed ones, mean and variance;
    outputs what the discriminator takes, and the int64 indices. Its body is computed on random residuals and
    compared with the reference before anything is written.

    Args:
        source: ONNX file in any precision; external data lie beside it.
        target: ONNX file to make, in a folder of its own; weights over 2 GB lie beside it.

    Raises:
        ExportError: RRS is not found in it, or what is found there computes something else.
    """
    model = ir.load(source)
    ShapeInferencePass()(model)
    region = find_rrs(model.graph)
    node = _describe(region)
    function = _function(region, model.graph.opset_imports)
    mean, factor = float64(region.mean), float64(region.factor)
    # The kernels multiply by 1 / sqrt(variance + EPS).
    variance = (1.0 / factor**2 - EPS).astype(np.float32)
    check_body(function, region, node.settings, (mean.astype(np.float32), variance), model.ir_version)
    _insert(model, region, function, node.settings, variance)
    with atomic_folder(target.parent) as folder:
        save_graph(model, folder / target.name)
    return node


def _describe(region: RrsRegion) -> RrsNode:
    sides = (*region.selected, *region.reconstructed)
    types = {_TYPES.get(value.dtype or ir.DataType.UNDEFINED) for value in sides}
    read = next(iter(types))
    if len(types) > 1 or read is None:
        raise ExportError(
            f"RRS takes tensors of {sorted(str(v.dtype) for v in sides)}: its kernels take float32 or "
            "float16, one for all."
        )
    kept = {"ReduceMax": 0, "ReduceMean": 0}
    for rank in (node for node in region.nodes if node.op_type == "TopK"):
        mode = _reduction(rank)
        if mode not in kept:
            raise ExportError(f"RRS ranks planes by {mode}: its kernels rank by maximum and mean.")
        kept[mode] = _number(_given(rank, 1))
    settings = RrsSettings(
        k_max=kept["ReduceMax"],
        k_mean=kept["ReduceMean"],
        all_planes=int(any(node.op_type.startswith("Scatter") for node in region.nodes)),
        half=int(region.planes.dtype == ir.DataType.FLOAT16),
        eps=EPS,
    )
    return RrsNode(settings, len(region.selected), read, len(region.nodes))


def _number(value: ir.Value) -> int:
    tensor = ir.convenience.get_const_tensor(value)
    if tensor is None:
        raise ExportError(f"{value.name}, how many planes RRS keeps, is no constant.")
    return int(tensor.numpy().item())


def _reduction(node: ir.Node) -> str:
    """What made the scores that a node ranks: the last operation over whole planes."""
    made: ir.Node | None = node
    while made is not None and not made.op_type.startswith("Reduce"):
        made = _given(made, 0).producer()
    return "something else" if made is None else made.op_type


def _function(region: RrsRegion, opsets: dict[str, int]) -> ir.Function:
    """The region's nodes again, in a graph of their own; constants that are not inputs become nodes."""
    outer = [*region.selected, *region.reconstructed, region.mean]
    names = [
        *(f"selected_{number}" for number in range(len(region.selected))),
        *(f"reconstructed_{number}" for number in range(len(region.selected))),
        "mean",
    ]
    inputs = [
        ir.Value(name=name, type=value.type, shape=value.shape)
        for name, value in zip(names, outer, strict=True)
    ]
    inner: dict[ir.Value, ir.Value] = dict(zip(outer, inputs, strict=True))
    # Not read by the body, which has the factor that it makes.
    inputs.append(ir.Value(name="variance", type=region.mean.type, shape=region.mean.shape))
    constants: list[ir.Node] = []
    nodes = [_copy(node, inner, constants, inputs[0]) for node in region.nodes]
    outputs = [inner[region.planes], inner[region.indices]]
    graph = ir.Graph(inputs, outputs, nodes=[*constants, *nodes], opset_imports=opsets, name=OP)
    # Named only: their values are in the body.
    names = [*RrsSettings.__dataclass_fields__, *_place()]
    attributes = [ir.Attr(name, ir.AttributeType.INT, None) for name in names]
    return ir.Function(DOMAIN, OP, graph=graph, attributes=attributes)


def _copy(
    node: ir.Node, inner: dict[ir.Value, ir.Value], constants: list[ir.Node], first: ir.Value
) -> ir.Node:
    """A node of the main graph as one of the function."""
    inputs: list[ir.Value | None] = []
    for value in node.inputs:
        if value is not None and value not in inner:
            inner[value] = _brought_in(node, value, constants, first)
        inputs.append(None if value is None else inner[value])
    made = ir.Node(
        node.domain,
        node.op_type,
        inputs,
        node.attributes.values(),
        num_outputs=len(node.outputs),
        name=node.name,
    )
    for old, new in zip(node.outputs, made.outputs, strict=True):
        # The function's own names, `mean` among them, may be taken in the graph.
        new.name, new.type, new.shape = f"{old.name}.inner", old.type, old.shape
        inner[old] = new
    return made


def _brought_in(node: ir.Node, value: ir.Value, constants: list[ir.Node], first: ir.Value) -> ir.Value:
    """What stands in the function for a value from outside it."""
    if node.op_type == "Shape":
        # Of whatever tensor the exporter took the batch's size: the blocks have it, too.
        if (node.attributes.get_int("start", 0), node.attributes.get_int("end", -1)) != (0, 1):
            raise ExportError(f"{node.name} asks for more of {value.name} than the size of the batch.")
        return first
    tensor = value.const_value if value.is_initializer() else None
    if tensor is None:
        raise ExportError(f"RRS depends on {value.name}, which is neither a residual nor a constant.")
    constant = ir.node("Constant", [], {"value": ir.tensor(tensor.numpy())}, name=f"{value.name}.constant")
    constant.outputs[0].name = f"{value.name}.inner"
    constants.append(constant)
    return constant.outputs[0]


def _insert(
    model: ir.Model,
    region: RrsRegion,
    function: ir.Function,
    settings: RrsSettings,
    variance: npt.NDArray[np.float32],
) -> None:
    graph = model.graph
    spread = new_initializer(graph, "rrs.variance", variance)
    inputs = [*region.selected, *region.reconstructed, region.mean, spread]
    node = ir.node(OP, inputs, {**settings.to_fields(), **_place()}, domain=DOMAIN, num_outputs=2, name="rrs")
    graph.append(node)
    for old, new in zip((region.planes, region.indices), node.outputs, strict=True):
        new.type, new.shape = old.type, old.shape
        ir.convenience.replace_all_uses_with(old, new)
        new.name, old.name = old.name, f"{old.name}.before"
    model.functions[function.identifier()] = function
    model.opset_imports[DOMAIN] = int(VERSION)
    TopologicalSortPass()(model)
    RemoveUnusedNodesPass()(model)


def _place() -> dict[str, str]:
    """Where TensorRT before 10.10 looks for the plugin; newer ones know from the node's domain."""
    return {"plugin_namespace": DOMAIN, "plugin_version": VERSION}


def _given(node: ir.Node, place: int) -> ir.Value:
    value = node.inputs[place] if place < len(node.inputs) else None
    if value is None:
        raise ExportError(f"{node.op_type} {node.name} has no input {place}: RRS is of an unknown form.")
    return value
