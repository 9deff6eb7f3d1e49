"""What each rewrite of the exported graph is worth: nodes, and time in ONNX Runtime and OpenVINO.

    python benchmarks/export_passes.py [--size edge] [--rounds 21] [--threads 1] [--arithmetic f32 bf16]

Variants add one pass after the other, in the order of an export. Weights are random: they decide nothing
about speed; before anything is timed, the maps of all variants have to agree in FP32. Variants run in turns,
and a row holds the medians of its rounds: processor time, which other work on the machine disturbs least, and
its ratio to the graph without any pass. Rows are appended to benchmarks/results/export-passes.csv.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import openvino as ov
import torch
from configs import CONFIGS
from rows import RESULTS, append_rows, machine

from realnet_edge.calibrate.openvino_build import ir_from_onnx
from realnet_edge.export.graph import OUTPUTS, EngineGraph
from realnet_edge.export.onnx_export import PASSES, keep_engine_outputs, trace
from realnet_edge.export.parity import open_session, run_session
from realnet_edge.model import RealNet

TOLERANCE = 1e-3
Work = Callable[[], object]


def graphs(size: str, folder: Path, images: np.ndarray) -> dict[str, tuple[int, Path]]:
    """Name of the last pass -> nodes of the graph and its file, without any pass first."""
    torch.manual_seed(0)
    model = RealNet(CONFIGS[size]).eval()
    program = trace(EngineGraph(model, "avgpool16", stages=True).eval(), images)
    keep_engine_outputs(program)
    found = {}
    for step in (None, *PASSES):
        name = step.name if step else "as traced"
        if step:
            step.apply(program.model)
        path = folder / name.replace(" ", "-") / "model.onnx"
        path.parent.mkdir()
        program.save(path, external_data=True)
        found[name] = (len(program.model.graph), path)
    return found


def works(
    path: Path, images: np.ndarray, threads: int, arithmetic: list[str]
) -> dict[tuple[str, str], tuple[Work, np.ndarray]]:
    """(backend, arithmetic) -> one inference, and its map."""
    session = open_session(path, threads)

    def infer() -> np.ndarray:
        return run_session(session, images, OUTPUTS)[0]

    found: dict[tuple[str, str], tuple[Work, np.ndarray]] = {("onnxruntime", "f32"): (infer, infer())}
    core = ov.Core()
    files = ir_from_onnx(path, path.parent, "fp32")
    for kind in arithmetic:
        settings = {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": kind, "NUM_STREAMS": 1}
        request = core.compile_model(files["model.xml"], "CPU", settings).create_infer_request()

        def run(request: ov.InferRequest = request) -> np.ndarray:
            request.infer({"image": images})
            return request.get_output_tensor(0).data

        found["openvino", kind] = (run, run().copy())
    return found


def main() -> None:
    """Measure, print and append."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", choices=list(CONFIGS), default="edge")
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--arithmetic", nargs="+", default=["f32"], help="of OpenVINO: f32, bf16, f16")
    options = parser.parse_args()
    side = CONFIGS[options.size].image_size
    images = np.random.default_rng(0).integers(0, 256, (2, side, side, 3), dtype=np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        variants = graphs(options.size, Path(folder), images)
        made = {
            (name, *engine): work
            for name, (_, path) in variants.items()
            for engine, work in works(path, images[:1], options.threads, options.arithmetic).items()
        }
        rows = measured(options, variants, made)
    append_rows(RESULTS / "export-passes.csv", rows)


def measured(
    options: argparse.Namespace,
    variants: dict[str, tuple[int, Path]],
    made: dict[tuple[str, str, str], tuple[Work, np.ndarray]],
) -> list[dict[str, object]]:
    """One row a variant and engine.

    Raises:
        SystemExit: a pass changed the FP32 map.
    """
    for (name, backend, kind), (_, found) in made.items():
        off = float(np.abs(found - made["as traced", backend, kind][1]).max())
        if kind == "f32" and off > TOLERANCE:
            raise SystemExit(f"{name} changed the map of {backend} by {off:.1e}")
    times: dict[tuple[str, str, str], list[float]] = {key: [] for key in made}
    for number in range(options.rounds + 2):
        for key, (work, _) in made.items():
            start = time.process_time()
            work()
            # The first two rounds warm up.
            times[key] += [time.process_time() - start] * (number >= 2)
    rows = []
    for (name, backend, kind), own in times.items():
        ratios = [b / o for b, o in zip(times["as traced", backend, kind], own, strict=True)]
        row: dict[str, object] = {
            "size": options.size,
            "backend": backend,
            "arithmetic": kind,
            "up_to": name,
            "nodes": variants[name][0],
            "threads": options.threads,
            "rounds": options.rounds,
            "cpu_ms": round(1e3 * statistics.median(own), 2),
            "times_as_traced": round(statistics.median(ratios), 3),
            **machine(torch="torch", onnxruntime="onnxruntime", openvino="openvino"),
        }
        told = f"{row['nodes']:>5} nodes {row['cpu_ms']:>9} ms {row['times_as_traced']:>6} times as traced"
        print(f"{backend:12} {kind:5} {name:16} {told}")
        rows.append(row)
    return rows


if __name__ == "__main__":
    main()
