"""The least time that an engine could take on this device, beside the time that it took.

    python benchmarks/floor.py --category screw [--workspace workspace] [--device cuda]

Two things bound it: every weight is read from memory once a call, and every multiplication takes its turn.
Weights and operations are counted in the very graphs that engines are built from (`build --prepare --backend
tensorrt` leaves them in the workspace), bandwidth and peaks are measured here: copying a large tensor, and
large matrix products in each type that occurs. The floor is the larger of the two times: activations, which
an engine may keep on the chip, are left out. On a processor only FP32 means anything: PyTorch's products in
other types are no peak there. Rows of bench/latest get it beside them, appended to
benchmarks/results/floor.csv.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from onnx import TensorProto, inliner

from realnet_edge.bundle import GPU_BACKENDS

HEAVY = ("Conv", "ConvTranspose", "MatMul", "Gemm")
TYPES = {"float32": "fp32", "float16": "fp16"}
BYTES = {TensorProto.FLOAT: 4, TensorProto.FLOAT16: 2, TensorProto.INT8: 1, TensorProto.INT64: 8}


@dataclass(frozen=True)
class Work:
    """What one image takes.

    Attributes:
        weight_bytes: of all constants, in the types that an engine keeps them in; the same for every batch.
        operations: type -> multiplications and additions of layers with weights and of matrix products.
    """

    weight_bytes: int
    operations: Mapping[str, int]

    def floor_ms(self, batch: int, bytes_a_second: float, peaks: Mapping[str, float]) -> float:
        """Milliseconds of a batch at least.

        Args:
            batch: images at once.
            bytes_a_second: that memory delivers.
            peaks: type -> operations a second.
        """
        computing = sum(batch * count / peaks[kind] for kind, count in self.operations.items())
        return 1e3 * max(self.weight_bytes / bytes_a_second, computing)


def work_of(path: Path) -> Work:
    """Count what an ONNX engine graph takes.

    Shapes are those of a run of one black image: inference by rules does not get through RRS.

    Raises:
        SystemExit: the size of the image is not part of the graph.
    """
    model = inliner.inline_local_functions(onnx.load(path, load_external_data=False))
    heavy = [node for node in model.graph.node if node.op_type in HEAVY]
    constants = {constant.name: list(constant.dims) for constant in model.graph.initializer}
    names = {name for node in heavy for name in (*node.input[:2], node.output[0])} - set(constants)
    values = _values(model, path, sorted(names))
    shapes = {name: list(value.shape) for name, value in values.items()} | constants
    producers = {name: node.op_type for node in model.graph.node for name in node.output}
    operations: Counter[str] = Counter()
    for node in heavy:
        both = [producers.get(name) == "DequantizeLinear" for name in node.input[:2]]
        kind = "int8" if all(both) else TYPES[values[node.output[0]].dtype.name]
        operations[kind] += _operations(node, shapes)
    return Work(_weight_bytes(model.graph), dict(operations))


def _values(model: onnx.ModelProto, path: Path, names: Sequence[str]) -> dict[str, npt.NDArray[Any]]:
    """Inner values of a graph, by name, for one black image."""
    image = model.graph.input[0]
    _, *size = (dim.dim_value for dim in image.type.tensor_type.shape.dim)
    if not all(size):
        raise SystemExit(f"{path}: the size of its image is open, so nothing is counted")
    present = {output.name for output in model.graph.output}
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names if name not in present)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    with tempfile.TemporaryDirectory() as folder:
        for weights in path.parent.glob(f"{path.name}.*"):
            shutil.copy(weights, folder)
        onnx.save(model, Path(folder, path.name))
        session = onnxruntime.InferenceSession(
            Path(folder, path.name), options, providers=["CPUExecutionProvider"]
        )
    black = np.zeros((1, *size), onnx.helper.tensor_dtype_to_np_dtype(image.type.tensor_type.elem_type))
    return dict(zip(names, session.run(list(names), {image.name: black}), strict=True))


def _operations(node: onnx.NodeProto, shapes: Mapping[str, list[int]]) -> int:
    """Twice the multiplications: each result, times the length of the sum behind it."""
    image, weight, out = (shapes[name] for name in (*node.input[:2], node.output[0]))
    if node.op_type == "Conv":
        return 2 * math.prod(out) * math.prod(weight[1:])
    if node.op_type == "ConvTranspose":
        return 2 * math.prod(image) * math.prod(weight[1:])
    transposed = any(item.name == "transA" and item.i for item in node.attribute)
    return 2 * math.prod(out) * (image[0] if transposed else image[-1])


def _weight_bytes(graph: onnx.GraphProto) -> int:
    """Of every constant; one that is quantised in the graph counts as the INT8 that becomes of it."""
    quantised = {node.input[0] for node in graph.node if node.op_type == "QuantizeLinear"}
    return sum(
        math.prod(constant.dims) * (1 if constant.name in quantised else BYTES.get(constant.data_type, 4))
        for constant in graph.initializer
    )


def measured_peaks(device: Any, kinds: set[str]) -> dict[str, float]:
    """Type -> operations a second of a large matrix product, the best of a few."""
    import torch
    from timing import seconds_of

    torch.backends.cuda.matmul.allow_tf32 = False
    side = 8192 if device.type == "cuda" else 1024
    found = {}
    for kind in kinds:
        if kind == "int8":
            one, other = (torch.randint(-9, 9, (side, side), dtype=torch.int8, device=device) for _ in "ab")
            work = lambda a=one, b=other: torch._int_mm(a, b)  # noqa: E731  # the products have no other public name
        else:
            dtype = {"fp32": torch.float32, "fp16": torch.float16}[kind]
            one, other = (torch.randn(side, side, dtype=dtype, device=device) for _ in "ab")
            work = lambda a=one, b=other: a @ b  # noqa: E731
        found[kind] = 2 * side**3 / min(seconds_of(work, device) for _ in range(5))
    return found


def main() -> None:
    """Count, measure, print and append."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--category", required=True)
    parser.add_argument("--workspace", type=Path, default=Path("workspace"))
    parser.add_argument("--device", default="cuda")
    options = parser.parse_args()
    import torch
    from rows import RESULTS, append_rows, machine
    from timing import copy_rate

    paths = options.workspace / options.category
    measured = json.loads((paths / "bench" / "latest" / "rows.json").read_text())["rows"]
    graphs = {
        precision: file
        for precision in ("fp32", "fp16", "int8")
        if (file := paths / "prepared" / f"tensorrt-{precision}" / "model.onnx").is_file()
    }
    works = {precision: work_of(file) for precision, file in graphs.items()}
    if not works:
        raise SystemExit(f"{paths}: no graphs; realnet-edge build --prepare --backend tensorrt makes them")
    device = torch.device(options.device)
    rate = copy_rate(device)
    peaks = measured_peaks(device, {kind for work in works.values() for kind in work.operations})
    rows: list[dict[str, object]] = []
    for row in measured:
        # What another device computed is not bounded by this one.
        if row["precision"] in works and (row["backend"] in GPU_BACKENDS) == (device.type == "cuda"):
            work = works[row["precision"]]
            floor = work.floor_ms(row["batch"], rate, peaks)
            shown = f"{row['backend']:24} {row['precision']} batch {row['batch']:2}"
            print(f"{shown} {row['latency_ms_p50']:9.3f} ms, at least {floor:7.3f} ms")
            rows.append(
                {
                    "category": options.category,
                    "backend": row["backend"],
                    "precision": row["precision"],
                    "batch": row["batch"],
                    "latency_ms_p50": row["latency_ms_p50"],
                    "floor_ms": round(floor, 4),
                    "times_floor": round(row["latency_ms_p50"] / floor, 2),
                    "weight_mb": round(work.weight_bytes / 1e6, 3),
                    **{
                        f"gop_{kind}": round(work.operations.get(kind, 0) / 1e9, 4)
                        for kind in ("fp32", "fp16", "int8")
                    },
                    "gb_per_second": round(rate / 1e9, 1),
                    **{
                        f"peak_tops_{kind}": round(peaks[kind] / 1e12, 2) if kind in peaks else ""
                        for kind in ("fp32", "fp16", "int8")
                    },
                    **machine(torch="torch"),
                    "device": row["device"],
                }
            )
    if not rows:
        raise SystemExit(f"{paths}: bench/latest has no row of an engine that ran on {device.type}")
    append_rows(RESULTS / "floor.csv", rows)


if __name__ == "__main__":
    main()
