"""RRS as one node: the same answers wherever its body is run, and an error where it is not RRS."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir
import pytest
from onnx import numpy_helper
from onnx_ir.passes.common import ShapeInferencePass

from realnet_edge.errors import ExportError
from realnet_edge.export import ExportReport
from realnet_edge.export.graph import OUTPUTS
from realnet_edge.export.parity import open_session, run_session
from realnet_edge.export.rrs_function import gather_rrs
from realnet_edge.export.rrs_region import find_rrs

Images = npt.NDArray[np.uint8]


def rrs_node(path: Path) -> onnx.NodeProto:
    (node,) = (node for node in onnx.load(path).graph.node if node.domain == "realnet_edge")
    return node


@pytest.mark.parametrize("order", ["score", "plane"])
@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_onnx_runtime_gives_the_same_to_the_bit(
    order: str, precision: str, small_engines: dict[tuple[str, str], Any], small_images: Images
) -> None:
    small = small_engines[order, precision]
    before, after = (
        run_session(open_session(path), small_images, OUTPUTS) for path in (small.plain, small.gathered)
    )
    for one, other in zip(before, after, strict=True):
        np.testing.assert_array_equal(one, other)
    onnx.checker.check_model(str(small.gathered), full_check=True)


@pytest.mark.parametrize("order", ["score", "plane"])
@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_the_node_says_what_a_plugin_must_know(
    order: str, precision: str, small_engines: dict[tuple[str, str], Any]
) -> None:
    small = small_engines[order, precision]
    node = rrs_node(small.gathered)
    assert {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute} == {
        "k_max": 3,
        "k_mean": 5,
        "all_planes": int(order == "plane"),
        "half": int(precision != "fp32"),
        "eps": pytest.approx(1e-5),
        "plugin_namespace": b"realnet_edge",
        "plugin_version": b"1",
    }
    # Both sides of two blocks, mean and variance; planes and indices.
    assert (len(node.input), len(node.output)) == (6, 2)
    assert (small.node.blocks, small.node.read) == (2, "f32" if precision == "fp32" else "f16")
    graph = onnx.load(small.gathered).graph
    kept = {item.name: numpy_helper.to_array(item) for item in graph.initializer}
    assert [kept[name].shape for name in node.input[4:]] == [(32,), (32,)]
    assert kept[node.input[4]].max() <= 0.5 <= kept[node.input[5]].min()
    # Nothing of it is left outside.
    assert not {"TopK", "Pow"} & {n.op_type for n in graph.node}


def test_a_network_with_all_of_an_engines_parts(
    exported: tuple[Path, ExportReport], images: Images, tmp_path: Path
) -> None:
    node = gather_rrs(exported[0], tmp_path / "rrs" / "model.onnx")
    assert (node.blocks, node.read, node.settings.half) == (2, "f32", 0)
    before, after = (
        run_session(open_session(path), images, OUTPUTS)
        for path in (exported[0], tmp_path / "rrs" / "model.onnx")
    )
    for one, other in zip(before, after, strict=True):
        np.testing.assert_array_equal(one, other)


def changed(source: Path, folder: Path, change: Callable[[onnx.GraphProto], None]) -> Path:
    model = onnx.load(source)
    change(model.graph)
    folder.mkdir()
    onnx.save(model, folder / "model.onnx")
    return folder / "model.onnx"


def node_of(graph: onnx.GraphProto, op_type: str) -> onnx.NodeProto:
    return next(node for node in graph.node if node.op_type == op_type)


def without_ranks(graph: onnx.GraphProto) -> None:
    for node in [node for node in graph.node if node.op_type == "TopK"]:
        node.op_type = "Compress"


def smallest_first(graph: onnx.GraphProto) -> None:
    next(a for a in node_of(graph, "TopK").attribute if a.name == "largest").i = 0


def added_not_subtracted(graph: onnx.GraphProto) -> None:
    node_of(graph, "Sub").op_type = "Add"


def corners_apart(graph: onnx.GraphProto) -> None:
    resize = node_of(graph, "Resize")
    next(a for a in resize.attribute if a.name == "coordinate_transformation_mode").s = b"half_pixel"


def by_minimum(graph: onnx.GraphProto) -> None:
    node_of(graph, "ReduceMax").op_type = "ReduceMin"


def divided(graph: onnx.GraphProto) -> None:
    next(node for node in graph.node if node.name.startswith("rrs.max.mul")).op_type = "Div"


def other_indices(graph: onnx.GraphProto) -> None:
    graph.output[2].name = "rrs"
    graph.node.append(onnx.helper.make_node("Identity", ["rrs_indices"], ["rrs"]))


def handed_on_twice(graph: onnx.GraphProto) -> None:
    graph.node.append(onnx.helper.make_node("Relu", [node_of(graph, "Pow").output[0]], ["more"]))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (without_ranks, "it ranks nothing"),
        (added_not_subtracted, "squares no difference"),
        (by_minimum, "ranks planes by ReduceMin"),
        (other_indices, "no output rrs_indices"),
        (handed_on_twice, "it takes one tensor"),
        (divided, "ranks no residuals less their mean, times a factor"),
        # Found, but computing something else.
        (smallest_first, "something else: the choice by maximum differs"),
        (corners_apart, "something else"),
    ],
)
def test_what_is_not_rrs_is_refused_and_nothing_written(
    change: Callable[[onnx.GraphProto], None],
    says: str,
    small_engines: dict[tuple[str, str], Any],
    tmp_path: Path,
) -> None:
    source = changed(small_engines["score", "fp32"].plain, tmp_path / "changed", change)
    with pytest.raises(ExportError, match=says):
        gather_rrs(source, tmp_path / "rrs" / "model.onnx")
    assert not (tmp_path / "rrs").exists()


def test_blocks_are_found_finest_first_whatever_their_order(
    small_engines: dict[tuple[str, str], Any], tmp_path: Path
) -> None:
    def turned(graph: onnx.GraphProto) -> None:
        first, second, *_ = (i for i, node in enumerate(graph.node) if node.op_type == "Sub")
        nodes = list(graph.node)
        nodes[first], nodes[second] = nodes[second], nodes[first]
        del graph.node[:]
        graph.node.extend(nodes)

    model = ir.load(changed(small_engines["score", "fp32"].plain, tmp_path / "changed", turned))
    ir.passes.common.TopologicalSortPass()(model)
    ShapeInferencePass()(model)
    region = find_rrs(model.graph)
    assert [value.shape[2] for value in region.selected if value.shape is not None] == [8, 4]
