"""Rewrites of an OpenVINO model that let its kernels keep channels together in memory."""

from __future__ import annotations

from typing import Any

import openvino as ov

_AXES = [1, 2, 3]


def normalise_planes_in_place(model: ov.Model) -> int:
    """Take GroupNorm of one group over (C, H, W) as they lie, in place; gives how many were rewritten.

    ONNX has GroupNorm as a normalisation between two reshapes, which in OpenVINO want every channel's plane
    by itself, where convolutions want the channels of a pixel side by side: both ends are copied. Without the
    reshapes nothing is. Groups of fewer channels have to stay as they are.

    Args:
        model: as `convert_model` gives it; channels must be known, the batch need not be.
    """
    rewritten = 0
    for norm in model.get_ordered_ops():
        ends = _reshaped_back(norm)
        if not ends:
            continue
        source = norm.input_value(0).get_node().input_value(0)
        attributes = norm.get_attributes()
        axes = ov.opset13.constant(_AXES, dtype="int64")
        whole = ov.opset13.mvn(
            source, axes, attributes["normalize_variance"], attributes["eps"], attributes["eps_mode"].lower()
        )
        whole.set_friendly_name(norm.get_friendly_name())
        for end in ends:
            end.output(0).replace(whole.output(0))
        rewritten += 1
    return rewritten


def _reshaped_back(norm: Any) -> list[Any]:
    """The reshapes behind a normalisation of (N, 1, C*H*W), where they restore what was flattened."""
    if norm.get_type_name() != "MVN":
        return []
    flat = norm.input_value(0).get_node()
    if flat.get_type_name() != "Reshape" or norm.input_value(1).get_node().get_type_name() != "Constant":
        return []
    before, shape = flat.input_value(0).get_partial_shape(), flat.get_output_partial_shape(0)
    if before.rank.get_length() != 4 or shape.rank.get_length() != 3 or shape[1] != 1:
        return []
    ends = [target.get_node() for target in norm.output(0).get_target_inputs()]
    restored = all(
        end.get_type_name() == "Reshape" and end.get_output_partial_shape(0) == before for end in ends
    )
    return ends if restored else []
