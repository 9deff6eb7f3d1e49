"""Channel selection folded into convolutions: small graphs in ONNX's own notation, before and after."""

from __future__ import annotations

import re
from collections import Counter

import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
from onnx import numpy_helper, parser

from realnet_edge.errors import ExportError
from realnet_edge.export.fold_selection import FOLD_SELECTION, fold_selection
from realnet_edge.export.passes import GraphPass, run_passes

CHANNELS, KEPT = 6, np.array([1, 2, 5])
# Names of constants in the graphs below, each with its shape.
SHAPES = {
    "a.weight": (CHANNELS, 3, 3, 3),
    "a.bias": (CHANNELS,),
    "b.weight": (CHANNELS, 3, 1, 1),
    "deep.weight": (CHANNELS, CHANNELS, 1, 1),
    "each.weight": (CHANNELS, 1, 1, 1),
    "mean": (len(KEPT), 1, 1),
    "scale": (1, len(KEPT), 1, 1),
    "all_mean": (CHANNELS, 1, 1),
    "all_scale": (CHANNELS, 1, 1),
}
CONV = "t = Conv<pads=[1,1,1,1]>(x, {})"
A, B = CONV.format("a.weight, a.bias"), "u = Conv(x, b.weight)"
TAKE = "g = Gather<axis=1>({}, index)"
STANDARDISE = "s = Sub(g, mean) y = Mul(s, scale)"


def model(body: str, outputs: tuple[str, ...] = ("y",)) -> ir.Model:
    """A graph from x (N, 3, 5, 4), with shapes known everywhere as after an export."""
    given = ", ".join(f"float[N, C, H, W] {name}" for name in outputs)
    # The notation has no dots in names.
    graph = parser.parse_graph(f"g (float[N, 3, 5, 4] x) => ({given}) {{ {body.replace('.', '_')} }}")
    for node in graph.node:
        node.input[:] = [re.sub("_(weight|bias)$", r".\1", name) for name in node.input]
    rng = np.random.default_rng(0)
    constants = {name: rng.standard_normal(shape).astype(np.float32) for name, shape in SHAPES.items()}
    constants |= {"index": KEPT, "low": np.float32(-0.5), "high": np.float32(0.5)}
    graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in constants.items())
    made = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=9)
    return ir.from_proto(onnx.shape_inference.infer_shapes(made, strict_mode=True))


def run(graph: ir.Model) -> list[npt.NDArray[np.float32]]:
    proto = ir.to_proto(graph)
    onnx.checker.check_model(proto, full_check=True)
    images = np.random.default_rng(1).standard_normal((2, 3, 5, 4)).astype(np.float32)
    found: list[npt.NDArray[np.float32]] = onnxruntime.InferenceSession(proto.SerializeToString()).run(
        None, {"x": images}
    )
    return found


def kinds(graph: ir.Model) -> dict[str, int]:
    return dict(Counter(node.op_type for node in graph.graph))


def rows(graph: ir.Model, name: str) -> int:
    tensor = graph.graph.initializers[name].const_value
    assert tensor is not None
    return int(tensor.shape[0])


@pytest.mark.parametrize(
    ("body", "left"),
    [
        pytest.param(f"{A} {TAKE.format('t')} y = Identity(g)", {"Conv": 1, "Identity": 1}, id="gather"),
        pytest.param(f"{A} {TAKE.format('t')} {STANDARDISE}", {"Conv": 1}, id="standardised"),
        pytest.param(
            f"{CONV.format('a.weight')} {TAKE.format('t')} {STANDARDISE}", {"Conv": 1}, id="no-bias-before"
        ),
        pytest.param(
            f"{A} r = Relu(t) {TAKE.format('r')} {STANDARDISE}",
            {"Conv": 1, "Relu": 1, "Sub": 1, "Mul": 1},
            id="relu-lets-the-gather-alone-through",
        ),
        pytest.param(
            f"{A} r = Clip(t, low, high) {TAKE.format('r')} y = Identity(g)",
            {"Conv": 1, "Clip": 1, "Identity": 1},
            id="clip",
        ),
        pytest.param(
            f"{A} {B} z = Add(t, u) r = Relu(z) {TAKE.format('r')} y = Identity(g)",
            {"Conv": 2, "Add": 1, "Relu": 1, "Identity": 1},
            id="convolved-shortcut",
        ),
        pytest.param(
            f"{A} {B} z = Add(t, u) {TAKE.format('z')} {STANDARDISE}",
            {"Conv": 2, "Add": 1},
            id="linear-sum",
        ),
        pytest.param(
            f"{A} v = Conv(t, deep.weight) z = Add(t, v) {TAKE.format('z')} {STANDARDISE}",
            {"Conv": 2, "Add": 1, "Gather": 1, "Mul": 1},
            id="identity-shortcut-keeps-its-gather",
        ),
        pytest.param(
            f"{A} s = Sub(t, all_mean) y = Mul(s, all_scale)", {"Conv": 1}, id="a-tap-that-is-kept-whole"
        ),
    ],
)
def test_what_can_be_absorbed_is(body: str, left: dict[str, int]) -> None:
    graph = model(body)
    before = run(graph)
    assert fold_selection(graph) == 1
    assert kinds(graph) == left
    for expected, found in zip(before, run(graph), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-5)
    # Nothing left to do, and nothing left over.
    assert fold_selection(graph) == 0
    read = {value.name for node in graph.graph for value in node.inputs if value is not None}
    assert set(graph.graph.initializers) <= read


def test_weights_keep_their_names_and_only_the_kept_rows() -> None:
    graph = model(f"{A} {TAKE.format('t')} {STANDARDISE}")
    fold_selection(graph)
    assert set(graph.graph.initializers) == {"a.weight", "a.bias"}
    assert rows(graph, "a.weight") == rows(graph, "a.bias") == len(KEPT)
    (output,) = graph.graph.outputs
    assert output.name == "y"


@pytest.mark.parametrize(
    ("body", "outputs"),
    [
        pytest.param(f"{A} w = Relu(t) {TAKE.format('t')} {STANDARDISE}", ("y", "w"), id="read-by-others"),
        pytest.param(f"{A} {TAKE.format('t')} {STANDARDISE}", ("y", "t"), id="given-out"),
        pytest.param(
            f"{A} t2 = Conv<group=6>(t, each.weight) {TAKE.format('t2')} y = Identity(g)",
            ("y",),
            id="depthwise",
        ),
        pytest.param(
            f"{A} m = MaxPool<kernel_shape=[2,2]>(t) {TAKE.format('m')} y = Identity(g)", ("y",), id="pooled"
        ),
        pytest.param(f"{A} z = Add(t, t) {TAKE.format('z')} y = Identity(g)", ("y",), id="twice-the-same"),
    ],
)
def test_what_others_need_stays(body: str, outputs: tuple[str, ...]) -> None:
    graph = model(body, outputs)
    before, values = kinds(graph), run(graph)
    assert fold_selection(graph) == 0
    assert kinds(graph) == before
    assert rows(graph, "a.weight") == CHANNELS
    for expected, found in zip(values, run(graph), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_a_weight_that_two_layers_share_is_copied() -> None:
    graph = model(
        f"{A} v = Conv<pads=[1,1,1,1]>(x, a.weight, a.bias) {TAKE.format('t')} y = Identity(g) w = Relu(v)",
        ("y", "w"),
    )
    before = run(graph)
    assert fold_selection(graph) == 1
    assert (rows(graph, "a.weight"), rows(graph, "a.weight.1")) == (CHANNELS, len(KEPT))
    for expected, found in zip(before, run(graph), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-5)


def test_a_pass_reports_nodes_rewrites_and_what_it_changed() -> None:
    graph = model(f"{A} {TAKE.format('t')} {STANDARDISE}")
    first, second = run_passes(graph, [FOLD_SELECTION, FOLD_SELECTION], 1e-4, lambda g: run(g)[0])
    assert (first.name, first.nodes_before, first.nodes_after, first.rewrites) == ("fold-selection", 4, 1, 1)
    assert first.max_abs is not None
    assert 0 < first.max_abs < 1e-5
    assert (second.nodes_before, second.nodes_after, second.rewrites, second.max_abs) == (1, 1, 0, 0.0)
    (unprobed,) = run_passes(graph, [FOLD_SELECTION], 1e-4)
    assert unprobed.max_abs is None


@pytest.mark.parametrize("factor", [1.001, np.nan])
def test_a_pass_that_changes_the_result_is_refused(factor: float) -> None:
    def spoil(graph: ir.Model) -> int:
        bias = graph.graph.initializers["a.bias"]
        assert bias.const_value is not None
        bias.const_value = ir.tensor(np.float32(factor) * bias.const_value.numpy(), name="a.bias")
        return 1

    graph = model(f"{A} {TAKE.format('t')} {STANDARDISE}")
    with pytest.raises(ExportError, match=r"pass spoil changed the graph's output by .*, 1e-05 is allowed"):
        run_passes(graph, [GraphPass("spoil", spoil)], 1e-5, lambda g: run(g)[0])
