"""Numerics of the very graphs that TensorRT is handed, computed by ONNX Runtime on a category's test images.

    python benchmarks/tensorrt_numerics.py --workspace DIR --category NAME [--data DIR] [--images N]

The FP32 graph, its cast to FP16, and symmetric INT8 Q/DQ with the rest in FP16 are made as a build for
TensorRT makes them, and compared with FP32 PyTorch image by image: the FP32 map has to be within 1e-4, the
image AUROC of FP16 within 0.1 points and that of INT8 within 0.5. ONNX Runtime computes what is FP16 or INT8
in float on a processor and rounds what each node gives: what is measured is the loss by rounding that the
files prescribe, not what a GPU's kernels make of them. Rows are appended to --out, which is
benchmarks/results/tensorrt-numerics.csv; a bound that is missed ends with exit code 3.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rows import RESULTS, append_rows, machine

from realnet_edge.bench import measure_accuracy, measure_drift
from realnet_edge.bench.drift import JUDGED
from realnet_edge.bench.predictions import Predictions, predict
from realnet_edge.bench.testset import TestSet, load_test_set, recorded_splits
from realnet_edge.calibrate import ensure_onnx, open_sources
from realnet_edge.calibrate.build import SPARED, BuildOptions, quantised
from realnet_edge.calibrate.inspect_qdq import inspect_qdq
from realnet_edge.calibrate.quantise import OP_TYPES
from realnet_edge.calibrate.sources import Sources
from realnet_edge.calibrate.tensorrt_build import graph_in_precision
from realnet_edge.export import TorchRunner
from realnet_edge.export.graph import OUTPUTS
from realnet_edge.export.onnx_export import MODEL_NAME
from realnet_edge.export.parity import open_session, run_session
from realnet_edge.imaging import load_batch
from realnet_edge.metrics import image_auroc_interval
from realnet_edge.workspace import Workspace

MAP_BOUND = 1e-4
# Points of image AUROC.
AUROC_BOUNDS = {"fp16": 0.1, "int8": 0.5}


def tensorrt_graphs(sources: Sources, folder: Path, exclude: Sequence[str] = ()) -> dict[str, Path]:
    """Precision -> the graph that a build for TensorRT reads.

    Args:
        sources: the trained category.
        folder: where they are made.
        exclude: layers that INT8 spares beside those that a build does.
    """
    graph, _, _ = ensure_onnx(sources)
    images = load_batch(sources.calibration, sources.size)
    wanted = BuildOptions(exclude=tuple(exclude))
    int8 = quantised(graph, folder / "int8" / MODEL_NAME, images, "tensorrt", wanted)
    made = {"fp32": graph, "fp16": graph, "int8": int8}
    return {name: graph_in_precision(source, folder / f"made-{name}", name) for name, source in made.items()}


def answers(graph: Path, paths: Sequence[Path], size: tuple[int, int], threads: int) -> Predictions:
    """What ONNX Runtime makes of a graph, image by image."""
    session = open_session(graph, threads)
    found = [run_session(session, load_batch([path], size), OUTPUTS) for path in paths]
    maps, scores, indices = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return Predictions(maps, scores, indices.astype(np.int32))


def row(
    name: str, graph: Path, found: Predictions, reference: Predictions, tests: TestSet, size: tuple[int, int]
) -> dict[str, object]:
    """Accuracy and drift of one graph."""
    own = measure_accuracy(tests.labels, tests.masks(size), found)
    theirs = measure_accuracy(tests.labels, tests.masks(size), reference)
    drift = measure_drift(found, reference, None)
    low, high = image_auroc_interval(tests.labels, found.scores, reference.scores)
    narrow, left = inspect_qdq(graph, OP_TYPES)
    rounded = {metric: _rounded(getattr(own, metric)) for metric in JUDGED}
    return {
        "precision": name,
        "images": len(tests.samples),
        **rounded,
        "image_auroc_drift": _difference(own.image_auroc, theirs.image_auroc),
        "image_auroc_drift_low": _rounded(100 * low),
        "image_auroc_drift_high": _rounded(100 * high),
        "pixel_auroc_drift": _difference(own.pixel_auroc, theirs.pixel_auroc),
        "map_max_abs": f"{drift.map_max_abs:.2e}",
        "map_mean_abs": f"{drift.map_mean_abs:.2e}",
        "score_spearman": _rounded(drift.score_spearman, 4),
        "rrs_exchanged": _rounded(drift.rrs_exchanged),
        "int8_layers": len(narrow),
        "float_layers": len(left),
    }


def missed(name: str, measured: dict[str, object]) -> str | None:
    """What a graph misses of its bound, None where it keeps it."""
    if name == "fp32":
        off = float(str(measured["map_max_abs"]))
        return None if off <= MAP_BOUND else f"fp32: a map is off by {off:.1e}, {MAP_BOUND:.0e} is allowed"
    off, bound = float(str(measured["image_auroc_drift"])), AUROC_BOUNDS[name]
    return None if abs(off) <= bound else f"{name}: image AUROC is off by {off:+.2f}, {bound} is allowed"


def _rounded(value: float | None, digits: int = 2) -> object:
    return "" if value is None else round(value, digits)


def _difference(value: float | None, reference: float | None) -> object:
    return "" if value is None or reference is None else round(value - reference, 3)


def main() -> int:
    """Measure, print, append; gives the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--workspace", type=Path, required=True)
    parser.add_argument("--category", required=True)
    parser.add_argument("--data", type=Path, help="where the images lie, if not where training found them")
    parser.add_argument("--images", type=int, help="at most so many test images")
    parser.add_argument("--exclude", action="append", default=[], help="layers that INT8 spares, too")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--out", type=Path, default=RESULTS / "tensorrt-numerics.csv")
    options = parser.parse_args()
    sources = open_sources(Workspace(options.workspace), options.category, options.data)
    root = options.data or Path(sources.checkpoint.data["root"])
    splits = recorded_splits(sources.paths.checkpoint)
    tests = load_test_set(root, options.category, options.images, splits)
    with TorchRunner(sources.checkpoint, threads=options.threads or None) as runner:
        reference = predict(runner, tests.paths, 1, diagnostics=True)
    rows, faults = [], []
    with tempfile.TemporaryDirectory() as folder:
        graphs = tensorrt_graphs(sources, Path(folder), options.exclude)
        for name, graph in graphs.items():
            found = answers(graph, tests.paths, sources.size, options.threads)
            measured = row(name, graph, found, reference, tests, sources.size)
            print(", ".join(f"{key} {value}" for key, value in measured.items()))
            rows.append(
                {
                    "category": options.category,
                    "backbone": sources.checkpoint.config.backbone,
                    "steps": sources.checkpoint.training.get("steps", ""),
                    "spared": " ".join((*SPARED["tensorrt"], *options.exclude)) if name == "int8" else "",
                    **measured,
                    "checkpoint_sha256": sources.checkpoint.sha256[:12],
                    **machine(torch="torch", onnxruntime="onnxruntime"),
                }
            )
            faults += [fault] if (fault := missed(name, measured)) else []
    append_rows(options.out, rows)
    for fault in faults:
        print(fault, file=sys.stderr)
    return 3 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
