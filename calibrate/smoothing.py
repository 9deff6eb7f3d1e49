"""SmoothQuant on an engine graph: channels of uneven range are evened out before one scale takes them all.

INT8 has a scale per output channel of a layer's weights but one for all channels of its input, which the
widest sets. Dividing each input channel by a factor and multiplying its weights by it changes nothing in
float and spends the steps more evenly (Xiao et al., "SmoothQuant", ICML 2023, eq. 3 and 4). TensorRT, which
takes no zero points, needs it more than OpenVINO does. The division is a Mul before the layer's Q/DQ pair,
which engines run in one kernel with the activation before it.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir

from realnet_edge.export.parity import open_session, run_session
from realnet_edge.export.rewriting import (
    Vector,
    constant_of,
    float64,
    input_of,
    new_initializer,
    replace_initializer,
)
from realnet_edge.export.saving import save_graph

# How much of the unevenness the weights take over: half of it, as published.
STRENGTH = 0.5
# Channels narrower than this share of the widest count as so wide: on good parts a channel may be silent, and
# what a defect puts there should not be multiplied without bound.
_FLOOR = 1e-3


def smooth_graph(
    source: Path, target: Path, images: npt.NDArray[np.uint8], layers: Collection[str]
) -> tuple[str, ...]:
    """Even out the input channels of convolutions; map and score stay the same but for rounding.

    Args:
        source: FP32 ONNX; external data lie beside it.
        target: ONNX file to make; weights over 2 GB lie beside it.
        images: uint8 (N, H, W, 3) RGB, whose activations give the channels' ranges.
        layers: names of the convolutions and transposed convolutions to do so for.

    Returns:
        Names of the layers that were changed: all but those whose weights are computed.
    """
    model = ir.load(source)
    nodes = [node for node in model.graph if node.name in layers and _can_be(node)]
    names = [str(input_of(node, 0).name) for node in nodes]
    ranges = channel_ranges(source, images, names)
    for node, name in zip(nodes, names, strict=True):
        _smooth(model.graph, node, ranges[name])
    save_graph(model, target)
    return tuple(str(node.name) for node in nodes)


def channel_ranges(
    graph: Path, images: npt.NDArray[np.uint8], values: Collection[str]
) -> dict[str, npt.NDArray[np.float32]]:
    """The largest magnitude in every channel of inner values, over all images.

    Args:
        graph: ONNX file; external data lie beside it.
        images: uint8 (N, H, W, 3) RGB, taken one by one.
        values: names of float values (N, C, H, W).

    Returns:
        Name -> (C,) float32, for each of `values`.
    """
    model = onnx.load(graph, load_external_data=False)
    wanted = sorted(set(values))
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array([0, 2, 3]), "channel_range.axes"))
    for place, value in enumerate(wanted):
        magnitude, largest = f"channel_range.{place}.abs", f"channel_range.{place}"
        model.graph.node.append(onnx.helper.make_node("Abs", [value], [magnitude]))
        model.graph.node.append(
            onnx.helper.make_node("ReduceMax", [magnitude, "channel_range.axes"], [largest], keepdims=0)
        )
    outputs = [f"channel_range.{place}" for place in range(len(wanted))]
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in outputs)
    session = open_session(model.SerializeToString(), weights=graph.parent)
    found = [run_session(session, images[place : place + 1], outputs) for place in range(len(images))]
    return {name: np.max(seen, axis=0) for name, seen in zip(wanted, zip(*found, strict=True), strict=True)}


def smoothing_factors(activations: Vector, weights: Vector) -> Vector:
    """What each input channel is divided by, and its weights multiplied by (SmoothQuant eq. 4).

    Args:
        activations, weights: (C,) largest magnitudes of the input and of the weights that read it.

    Returns:
        (C,) above 0, of geometric mean 1; all 1 where activations or weights are 0 everywhere.
    """
    if not activations.any() or not weights.any():
        return np.ones_like(activations)
    wide = np.maximum(activations, _FLOOR * activations.max())
    heavy = np.maximum(weights, _FLOOR * weights.max())
    logarithms = STRENGTH * np.log(wide) - (1 - STRENGTH) * np.log(heavy)
    factors: Vector = np.exp(logarithms - logarithms.mean())
    return factors


def _can_be(node: ir.Node) -> bool:
    return node.op_type in ("Conv", "ConvTranspose") and constant_of(node.inputs[1]) is not None


def _by_input_channel(node: ir.Node, weights: Vector) -> Vector:
    """Weights as (groups, outputs a group, inputs a group, taps), a view."""
    if node.op_type == "ConvTranspose":
        return weights.reshape(1, 1, len(weights), -1)
    groups = node.attributes.get_int("group", 1)
    return weights.reshape(groups, -1, weights.shape[1], int(np.prod(weights.shape[2:])))


def _smooth(graph: ir.Graph, node: ir.Node, activations: npt.NDArray[np.float32]) -> None:
    value, held = input_of(node, 0), input_of(node, 1)
    weights = float64(held)
    sorted_weights = _by_input_channel(node, weights)
    widest = np.abs(sorted_weights).max(axis=(1, 3))
    factors = smoothing_factors(activations.astype(np.float64), widest.ravel())
    sorted_weights *= factors.reshape(len(widest), 1, -1, 1)
    inverse = new_initializer(
        graph, f"{node.name}.smoothing", (1 / factors).astype(np.float32).reshape(1, -1, 1, 1)
    )
    divided = ir.node("Mul", [value, inverse], name=f"{node.name}.smoothed")
    divided.outputs[0].name = f"{node.name}.smoothed"
    divided.outputs[0].type, divided.outputs[0].shape = value.type, value.shape
    graph.insert_before(node, divided)
    node.replace_input_with(0, divided.outputs[0])
    node.replace_input_with(1, replace_initializer(graph, held, str(held.name), weights))
