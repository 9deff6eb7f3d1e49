from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import openvino
import pytest

from realnet_edge.runtime import OpenVinoRunner
from realnet_edge.runtime.ov import precision_hint

SIZE = 32


@pytest.mark.parametrize(
    ("precision", "capabilities", "hint"),
    [
        ("fp32", ["BF16", "FP16", "FP32"], "f32"),
        ("fp16", ["FP16", "BF16", "FP32"], "bf16"),
        ("fp16", ["FP16", "FP32"], "f16"),
        ("fp16", ["FP32", "INT8"], "f32"),
        ("int8", ["BF16", "FP32", "INT8"], "f32"),
        ("int8", ["FP32", "INT8"], "f32"),
    ],
)
def test_floats_take_the_16_bit_arithmetic_that_the_cpu_has(
    precision: str, capabilities: list[str], hint: str
) -> None:
    assert precision_hint(precision, capabilities) == hint


def test_the_arithmetic_is_read_from_the_compiled_layers(toy_onnx: Callable[..., Path]) -> None:
    capabilities = openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    short = precision_hint("fp16", capabilities)
    found = {}
    for precision in ("fp32", "fp16", "int8"):
        path = toy_onnx(size=SIZE, quantised=precision == "int8")
        with OpenVinoRunner(path, precision=precision, input_size=(SIZE, SIZE), threads=1) as runner:
            found[precision] = runner.arithmetic

    assert found["fp32"] == "f32"
    assert found["fp16"] == short
    # On a CPU without 8-bit units the convolutions run in float, and that is what must be said.
    assert found["int8"].startswith("int8" if "INT8" in capabilities else "f")


def test_int8_is_not_claimed_for_a_graph_that_holds_none(toy_onnx: Callable[..., Path]) -> None:
    path = toy_onnx(size=SIZE)
    with OpenVinoRunner(path, precision="int8", input_size=(SIZE, SIZE), threads=1) as runner:
        assert "int8" not in runner.arithmetic


def test_a_graph_with_a_fixed_batch_is_refused(toy_onnx: Callable[..., Path], tmp_path: Path) -> None:
    from realnet_edge.errors import BackendError

    model = openvino.Core().read_model(toy_onnx(size=SIZE))
    model.reshape([2, SIZE, SIZE, 3])
    openvino.save_model(model, tmp_path / "fixed.xml")

    with pytest.raises(BackendError, match=r"takes image u8 \[2,32,32,3\]"):
        OpenVinoRunner(tmp_path / "fixed.xml", input_size=(SIZE, SIZE)).__enter__()


def test_weights_stored_in_16_bits_are_not_taken_for_16_bit_arithmetic(
    toy_onnx: Callable[..., Path], tmp_path: Path
) -> None:
    model = openvino.Core().read_model(toy_onnx(size=SIZE))
    openvino.save_model(model, tmp_path / "half.xml", compress_to_fp16=True)

    with OpenVinoRunner(tmp_path / "half.xml", input_size=(SIZE, SIZE), threads=1) as runner:
        assert runner.arithmetic == "f32"


def test_a_bounded_batch_is_a_dynamic_one(toy_onnx: Callable[..., Path], tmp_path: Path) -> None:
    model = openvino.Core().read_model(toy_onnx(size=SIZE))
    model.reshape([openvino.Dimension(1, 4), SIZE, SIZE, 3])
    openvino.save_model(model, tmp_path / "bounded.xml")

    with OpenVinoRunner(tmp_path / "bounded.xml", input_size=(SIZE, SIZE), threads=1) as runner:
        assert runner.arithmetic == "f32"
