"""Checkpoint to prepared bundle: what a machine without PyTorch needs to build, check and set its engine."""

from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path

import numpy as np
import onnxruntime

from realnet_edge.bundle import GPU_BACKENDS, Bundle, Manifest, Preparation, write_bundle
from realnet_edge.calibrate.build import BuildOptions, described, quantised
from realnet_edge.calibrate.carried import HELD_OUT_NAME, PARITY_NAME, Carried, Images, write_carried
from realnet_edge.calibrate.carried_kernels import CarriedRrs, carry_rrs
from realnet_edge.calibrate.engine_files import Engine, graph_files
from realnet_edge.calibrate.measure import Progress
from realnet_edge.calibrate.rrs_choice import NATIVE, check_mode
from realnet_edge.calibrate.sources import PARITY_IMAGES, Sources, ensure_onnx, open_sources
from realnet_edge.calibrate.tensorrt_build import graph_in_precision
from realnet_edge.errors import ConfigError
from realnet_edge.export import TorchRunner
from realnet_edge.export.onnx_export import MODEL_NAME
from realnet_edge.imaging import load_batch
from realnet_edge.runtime import Prediction, check_precision
from realnet_edge.workspace import KERNELS, Workspace

NOT_BUILT = "not built yet"
# How far an engine may be from FP32 PyTorch: as many times as far as its own graph is in ONNX Runtime, plus
# (mean of the map, largest of the score) for other orders of summing and narrower float types.
MARGIN = 2.0
FLOORS = {"fp32": (1e-4, 1e-3), "fp16": (2e-3, 2e-2), "int8": (2e-3, 2e-2)}


def prepare_bundle(
    workspace: Workspace,
    category: str,
    precision: str,
    backend: str,
    *,
    data_root: Path | None = None,
    options: BuildOptions | None = None,
    progress: Progress | None = None,
) -> Bundle:
    """Write what another machine builds an engine from; the backend need not be here.

    The bundle holds the graph in its final precision, and RRS's kernels where there are any; a few images
    with FP32 PyTorch's answers and how far the engine may be from these; and the held-out good images, for
    the threshold is one of the target's own engine.

    Args:
        workspace: where checkpoint, graph and prepared bundle lie.
        category: the trained category.
        precision: "fp32", "fp16" or "int8".
        backend: the target's.
        data_root: folder that holds the category's images, where they were moved since training.
        options: threshold, batch, calibration and TensorRT's builder; its timing cache is of no use here.
        progress: told of each step.

    Raises:
        BackendError: a backend that cannot do the precision.
        ConfigError: settings of TensorRT's builder for another backend.
        KernelError: kernels were asked for and there are none, see `carry_rrs`.
        CheckpointError, DataError, ExportError: as `build_bundle`.
    """
    wanted = options or BuildOptions()
    report = progress or (lambda what, done, total: None)
    check_precision(backend, precision)
    check_mode(wanted.rrs, backend)
    if backend != "tensorrt" and (wanted.engine is not None or wanted.kernels is not None):
        raise ConfigError(f"settings of TensorRT's builder mean nothing to {backend}: leave them out.")
    sources = open_sources(workspace, category, data_root)
    report("exporting and checking the graph", 0, 1)
    graph, _, _ = ensure_onnx(sources, wanted.tolerance)
    report("exporting and checking the graph", 1, 1)
    with tempfile.TemporaryDirectory(dir=sources.paths.root, prefix=".prepare.") as scratch:
        if precision == "int8":
            images = load_batch(sources.calibration, sources.size)
            graph = quantised(graph, Path(scratch, "int8", MODEL_NAME), images, backend, wanted)
        if backend in GPU_BACKENDS:
            graph = graph_in_precision(graph, Path(scratch), precision)
        rrs = CarriedRrs(graph, {})
        if backend == "tensorrt":
            kernels, given = wanted.kernels or workspace.root / KERNELS, wanted.kernels is not None
            rrs = carry_rrs(wanted.rrs, graph, Path(scratch), kernels, given, wanted.builder.portable)
        carried = _carried(sources, report)
        report("checking the graph in ONNX Runtime", 0, 1)
        # TF32 has the 10 bits of fraction that FP16 has.
        narrow = backend == "tensorrt" and wanted.builder.tf32
        limits = _limits(carried, rrs.graph, FLOORS["fp16" if narrow else precision])
        report("checking the graph in ONNX Runtime", 1, 1)
        files = {file.name: file for file in (*graph_files(rrs.graph), *rrs.kernels.values())}
        files |= write_carried(Path(scratch), carried)
        manifest = _manifest(sources, backend, precision, wanted, files, limits, rrs.kernels)
        return write_bundle(sources.paths.prepared(backend, precision), files, manifest)


def _carried(sources: Sources, report: Progress) -> Carried:
    good = load_batch(sources.calibration[:PARITY_IMAGES], sources.size)
    parity = np.concatenate([good, _marked(good)])
    what = "scoring with FP32 PyTorch"
    report(what, 0, len(parity))
    found = []
    with TorchRunner(sources.checkpoint) as runner:
        for done, image in enumerate(parity, start=1):
            found.append(runner.infer(image[np.newaxis]))
            report(what, done, len(parity))
    expected = Prediction(
        np.concatenate([p.anomaly_map for p in found]), np.concatenate([p.score for p in found])
    )
    return Carried(parity, expected, load_batch(sources.held_out, sources.size))


def _marked(images: Images) -> Images:
    """The same with a block of inverted pixels: on good parts an engine that sees nothing would pass."""
    height, width = images.shape[1:3]
    rows, columns = slice(height // 4, height // 2), slice(width // 4, width // 2)
    marked: Images = images.copy()
    marked[:, rows, columns] = 255 - marked[:, rows, columns]
    return marked


def _limits(carried: Carried, graph: Path, floors: tuple[float, float]) -> tuple[float, float]:
    """Largest mean difference of the maps and largest difference of a score that the engine may have."""
    found = _computed(graph, carried.parity)
    maps = float(np.abs(found.anomaly_map - carried.expected.anomaly_map).mean(dtype=np.float64))
    scores = float(np.abs(found.score - carried.expected.score).max())
    return min(MARGIN * maps + floors[0], 1.0), min(MARGIN * scores + floors[1], 1.0)


def _computed(graph: Path, images: Images) -> Prediction:
    """What the very graph gives, Q/DQ and all, computed in float: no processor's INT8 kernels take part."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
    single = [session.run(["anomaly_map", "score"], {"image": image[np.newaxis]}) for image in images]
    maps, scores = (np.concatenate(parts) for parts in zip(*single, strict=True))
    return Prediction(maps, scores)


def _manifest(
    sources: Sources,
    backend: str,
    precision: str,
    wanted: BuildOptions,
    files: dict[str, Path],
    limits: tuple[float, float],
    kernels: dict[str, Path],
) -> Manifest:
    preparation = Preparation(
        parity=PARITY_NAME,
        held_out=HELD_OUT_NAME,
        map_mean_abs=limits[0],
        score_max_abs=limits[1],
        target_fpr=wanted.target_fpr,
        profile=wanted.builder.batch,
        settings=wanted.builder.settings() if backend == "tensorrt" else {},
        rrs=wanted.rrs if backend == "tensorrt" else NATIVE,
        kernels={sm: file.name for sm, file in kernels.items()},
    )
    return dataclasses.replace(
        described(sources, backend, precision, wanted, Engine(files)),
        arithmetic=NOT_BUILT,
        preparation=preparation,
    )
