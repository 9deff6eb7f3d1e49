"""Tidying a freshly traced graph: exactly the rewrites that RealNet's graph has a use for."""

from __future__ import annotations

from typing import Any

import onnx_ir as ir
import onnx_ir.passes.common as passes
from onnxscript.optimizer import fold_constants
from onnxscript.rewriter import RewritePass
from onnxscript.rewriter.rules.common import (
    add_0_rule,
    fuse_pad_into_conv_rule,
    materialize_reshape_shape_rule,
    mul_by_1_rule,
    normalize_pad_format_conv_rule,
    remove_optional_bias_from_conv_rule,
    remove_optional_bias_from_conv_transpose_rule,
)

from realnet_edge.export.rewriting import input_of

_ANY_SIZE = 2**40
_LAYERS = ("Conv", "ConvTranspose")
_RESHAPES = ("Reshape", "Squeeze", "Unsqueeze")


def simplify(model: Any) -> None:
    """Fold constants and padding into what they belong to, in place.

    The exporter's own optimiser reaches the same graph with some forty more rules, none of which applies
    here, in four times the time: on a network of 200 convolutions 70 s of processor time against 17 s.

    Args:
        model: the `onnx_ir.Model` that tracing gave.
    """
    passes.InlinePass()(model)
    _name_weights(model.graph)
    # Types are unknown before inference, and casts to an unknown type cannot be folded.
    fold_constants(model, onnx_shape_inference=True)
    passes.RemoveUnusedNodesPass()(model)
    RewritePass([normalize_pad_format_conv_rule, fuse_pad_into_conv_rule])(model)
    RewritePass([materialize_reshape_shape_rule])(model)
    RewritePass([add_0_rule, mul_by_1_rule])(model)
    # Tracing gives convolutions without a bias one of zeros.
    RewritePass([remove_optional_bias_from_conv_rule, remove_optional_bias_from_conv_transpose_rule])(model)
    # Whatever their size: a weight that is reshaped on its way to a convolution (attention's) must end as a
    # constant, or quantisation takes it for an activation.
    fold_constants(model, onnx_shape_inference=True, input_size_limit=_ANY_SIZE, output_size_limit=_ANY_SIZE)
    for tidy in (
        passes.RemoveUnusedNodesPass(),
        passes.RemoveUnusedFunctionsPass(),  # type: ignore[no-untyped-call]  # onnx-ir leaves it untyped
        passes.RemoveUnusedOpsetsPass(),
        passes.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0),
        passes.DeduplicateInitializersPass(),
        # Merges the diagnostic stages with the nodes that they repeat.
        passes.CommonSubexpressionEliminationPass(),
        passes.IdentityEliminationPass(),
        passes.OutputFixPass(),
        passes.NameFixPass(),
    ):
        tidy(model)
    for name, value in list(model.graph.initializers.items()):
        # ONNX Runtime's quantiser names its copy of a shared bias val_189 "val_1890", which may be taken.
        if name.startswith("val_"):
            value.name = f"{name}.constant"


def _name_weights(graph: ir.Graph) -> None:
    """Call a weight that is reshaped on its way to a layer as its parameter is called.

    What it is folded into keeps that name: layers are named for their weights, and by their names
    quantisation spares them.
    """
    for node in graph:
        if node.op_type not in _LAYERS:
            continue
        made = value = input_of(node, 1)
        while (producer := value.producer()) is not None and producer.op_type in _RESHAPES:
            value = input_of(producer, 0)
        if value is not made and value.is_initializer():
            name, value.name = value.name, f"{value.name}.as_stored"
            made.name = name
