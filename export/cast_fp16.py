"""An engine graph in FP16: what has weights computes in 16 bits, what decides stays in float32.

TensorRT takes types from the graph (strongly typed networks): precision is settled here, once, and can be
checked with any runtime. Casts stand only where the type changes. The types of inputs and outputs stay.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass, ShapeInferencePass, TopologicalSortPass

from realnet_edge.errors import ExportError
from realnet_edge.export.half_plan import half_nodes, is_square
from realnet_edge.export.saving import save_graph
from realnet_edge.files import atomic_folder

LARGEST_HALF = 65504.0
# FP16 scales of Q/DQ need operator set 19; what the engine graph uses means the same there as in 18.
_QDQ_OPSET = 19
_QDQ = ("QuantizeLinear", "DequantizeLinear")


@dataclass(frozen=True)
class HalfCast:
    """What a cast to FP16 did.

    Attributes:
        half: names of the nodes that give FP16.
        kept: names of the nodes that still give float32.
        casts: Cast nodes that were added.
    """

    half: tuple[str, ...]
    kept: tuple[str, ...]
    casts: int


def cast_fp16(source: Path, target: Path) -> HalfCast:
    """Cast an engine graph to FP16; the folder of `target` is replaced whole.

    In float32 stay: the statistics of normalisations, softmax, the squared residuals and all that ranks them,
    everything before the first convolution, the first stages of a depthwise network (`half_nodes`), and
    everything behind the last convolution: map and score. Squares that are too large for FP16 become its
    largest number, not infinity. Q/DQ pairs (INT8) become FP16 ones.

    Args:
        source: FP32 or Q/DQ ONNX file; external data lie beside it.
        target: ONNX file to make, in a folder of its own; weights over 2 GB lie beside it.

    Raises:
        ExportError: a weight too large for FP16, or a graph of a form that the engine graph does not have.
    """
    model = ir.load(source)
    if any(node.op_type in _QDQ for node in model.graph):
        model.opset_imports[""] = max(model.opset_imports[""], _QDQ_OPSET)
    ShapeInferencePass()(model)
    done = _Caster(model).run()
    with atomic_folder(target.parent) as folder:
        save_graph(model, folder / target.name)
        _check(folder / target.name)
    return done


class _Caster:
    """Rewrites one graph in place."""

    def __init__(self, model: ir.Model) -> None:
        self._model = model
        self._graph = model.graph
        self._opset = model.opset_imports[""]
        # (value, type) -> the value in that type.
        self._versions: dict[tuple[ir.Value, ir.DataType], ir.Value] = {}
        self._casts = 0

    def run(self) -> HalfCast:
        nodes = [node for node in self._graph if node.domain == "" and node.op_type not in ("Cast", "Shape")]
        half = half_nodes(self._graph)
        computing = [node for node in nodes if _gives_float(node)]
        for node in half:
            self._mark_outputs(node)
        for node in nodes:
            self._feed(node, ir.DataType.FLOAT16 if node in half else ir.DataType.FLOAT)
        self._check_outputs()
        TopologicalSortPass()(self._model)
        RemoveUnusedNodesPass()(self._model)
        is_half = [any(value.dtype == ir.DataType.FLOAT16 for value in node.outputs) for node in computing]
        return HalfCast(
            tuple(node.name or "" for node, narrow in zip(computing, is_half, strict=True) if narrow),
            tuple(node.name or "" for node, narrow in zip(computing, is_half, strict=True) if not narrow),
            self._casts,
        )

    def _mark_outputs(self, node: ir.Node) -> None:
        """FP16 for the outputs whose type follows that of a float input."""
        following = {formal.type_str for _, _, formal in self._float_inputs(node)}
        formals = self._schema(node).outputs
        for index, value in enumerate(node.outputs):
            formal = formals[min(index, len(formals) - 1)]
            if value.dtype == ir.DataType.FLOAT and formal.type_str in following:
                value.type = ir.TensorType(ir.DataType.FLOAT16)

    def _feed(self, node: ir.Node, wanted: ir.DataType) -> None:
        """Hand a node its float inputs in the wanted type, where its operator leaves the type open."""
        for index, value, _ in self._float_inputs(node):
            if value.dtype != wanted:
                scale = node.op_type in _QDQ and index == 1
                node.replace_input_with(index, self._version(value, wanted, scale))

    def _float_inputs(self, node: ir.Node) -> list[tuple[int, ir.Value, Any]]:
        """(position, value, formal parameter) of the inputs that may be float32 as well as FP16, and are."""
        schema = self._schema(node)
        open_types = {
            constraint.type_param_str
            for constraint in schema.type_constraints
            if {"tensor(float)", "tensor(float16)"} <= set(constraint.allowed_type_strs)
        }
        formals = [schema.inputs[min(i, len(schema.inputs) - 1)] for i in range(len(node.inputs))]
        return [
            (index, value, formal)
            for index, (value, formal) in enumerate(zip(node.inputs, formals, strict=True))
            if value is not None
            and value.dtype in (ir.DataType.FLOAT, ir.DataType.FLOAT16)
            and formal.type_str in open_types
        ]

    def _schema(self, node: ir.Node) -> Any:
        return onnx.defs.get_schema(node.op_type, self._opset, "")

    def _version(self, value: ir.Value, wanted: ir.DataType, scale: bool) -> ir.Value:
        key = (value, wanted)
        if key not in self._versions:
            constant = value.const_value if value.is_initializer() else None
            made = self._cast(value, wanted) if constant is None else self._constant(value, scale)
            self._versions[key] = made
        return self._versions[key]

    def _constant(self, value: ir.Value, scale: bool) -> ir.Value:
        """A weight in FP16, as an initialiser of its own."""
        assert value.const_value is not None  # noqa: S101  # the caller looked; for the type checker
        array = value.const_value.numpy()
        if not np.all(np.abs(array) <= LARGEST_HALF):
            raise ExportError(
                f"{value.name} holds {float(np.abs(array).max()):.3g}, FP16 ends at {LARGEST_HALF:.0f}: "
                "build at fp32."
            )
        half = _rounded_up(array) if scale else array.astype(np.float16)
        tensor = ir.tensor(half, name=f"{value.name}.half")
        made = ir.Value(name=tensor.name, type=ir.TensorType(tensor.dtype), shape=value.shape)
        made.const_value = tensor
        self._graph.register_initializer(made)
        return made

    def _cast(self, value: ir.Value, wanted: ir.DataType) -> ir.Value:
        suffix = "half" if wanted == ir.DataType.FLOAT16 else "float"
        source, nodes = value, []
        if suffix == "half" and _unbounded(value):
            limit = ir.tensor(np.float32(LARGEST_HALF), name=f"{value.name}.largest_half")
            bound = ir.Value(name=limit.name, type=ir.TensorType(limit.dtype), shape=ir.Shape([]))
            bound.const_value = limit
            self._graph.register_initializer(bound)
            clip = ir.node("Clip", [value, None, bound], name=f"{value.name}.within_half")
            source = clip.outputs[0]
            source.name, source.type, source.shape = f"{value.name}.clipped", value.type, value.shape
            nodes.append(clip)
        cast = ir.node("Cast", [source], {"to": int(wanted)}, name=f"{value.name}.to_{suffix}")
        made = cast.outputs[0]
        made.name, made.type, made.shape = f"{value.name}.{suffix}", ir.TensorType(wanted), value.shape
        self._graph.extend([*nodes, cast])
        self._casts += 1
        return made

    def _check_outputs(self) -> None:
        for value in self._graph.outputs:
            if value.dtype == ir.DataType.FLOAT16:
                raise ExportError(
                    f"output {value.name} comes straight from a layer with weights, in FP16. This is no "
                    "engine graph of this package."
                )


def _unbounded(value: ir.Value) -> bool:
    """Whether a float32 value may be the square of an FP16 one."""
    pending, seen = [value.producer()], set()
    while pending:
        node = pending.pop()
        if node is None or node in seen or node.op_type in ("Conv", "ConvTranspose", "MatMul", "Gemm"):
            continue
        seen.add(node)
        if is_square(node):
            return True
        if node.op_type not in ("InstanceNormalization", "Softmax"):
            pending += [source.producer() for source in node.inputs if source is not None]
    return False


def _rounded_up(scale: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The smallest FP16 at or above each scale: a scale must not become 0, nor cut the range short."""
    half = scale.astype(np.float16)
    return np.where(half.astype(np.float32) < scale, np.nextafter(half, np.float16(np.inf)), half)


def _gives_float(node: ir.Node) -> bool:
    return any(value.dtype == ir.DataType.FLOAT for value in node.outputs)


def _check(path: Path) -> None:
    try:
        onnx.checker.check_model(str(path), full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ExportError(f"the FP16 graph is not valid ONNX: {error}") from error
