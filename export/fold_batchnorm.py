"""BatchNorm in evaluation mode as part of the convolution before it."""

from __future__ import annotations

import onnx_ir as ir
import onnx_ir.passes.common as passes
from onnxscript.rewriter import RewritePass
from onnxscript.rewriter.rules.common import (
    fuse_batchnorm_into_conv_rule,
    fuse_batchnorm_into_conv_transpose_rule,
)

from realnet_edge.export.passes import GraphPass


def fold_batchnorm(model: ir.Model) -> int:
    """Scale and shift convolutions as the BatchNorm behind each does, in place; gives how many.

    It has to be done before quantisation, or the scale is lost in the ranges of the convolution.

    Args:
        model: an exported graph with padding folded into convolutions.
    """
    before = _count(model)
    RewritePass([fuse_batchnorm_into_conv_rule, fuse_batchnorm_into_conv_transpose_rule])(model)
    passes.RemoveUnusedNodesPass()(model)
    return before - _count(model)


FOLD_BATCHNORM = GraphPass("fold-batchnorm", fold_batchnorm)


def _count(model: ir.Model) -> int:
    return sum(node.op_type == "BatchNormalization" for node in model.graph)
