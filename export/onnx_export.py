"""Checkpoint to ONNX: one graph, dynamic batch, checked against PyTorch before it gets its name."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir
import torch
from onnx_ir.passes.common import RemoveUnusedNodesPass

from realnet_edge import __version__
from realnet_edge.errors import ExportError
from realnet_edge.export.fold_batchnorm import FOLD_BATCHNORM
from realnet_edge.export.fold_selection import FOLD_SELECTION
from realnet_edge.export.fuse_attention import FUSE_ATTENTION
from realnet_edge.export.graph import OUTPUTS, EngineGraph
from realnet_edge.export.parity import check_parity, open_session, run_session
from realnet_edge.export.passes import run_passes
from realnet_edge.export.pool_residuals import POOL_RESIDUALS
from realnet_edge.export.report import REPORT_NAME, ExportReport
from realnet_edge.export.saving import SINGLE_FILE_LIMIT
from realnet_edge.export.simplify import simplify
from realnet_edge.files import atomic_folder, sha256_file, write_json
from realnet_edge.installed import ONNXRUNTIME, installed_versions
from realnet_edge.model.checkpoint import Checkpoint

_LAYERS = ("Conv", "ConvTranspose")
OPSET = 18
TOLERANCE = 1e-4
MODEL_NAME = "model.onnx"
MIN_IMAGES = 2
# What is rewritten once only the engine's outputs are given out.
PASSES = (FOLD_BATCHNORM, FOLD_SELECTION, FUSE_ATTENTION, POOL_RESIDUALS)
_VERSIONED = ("torch", "onnx", "onnxscript", *ONNXRUNTIME, "timm")


def onnx_from_checkpoint(
    checkpoint: Checkpoint,
    path: Path,
    images: npt.NDArray[np.uint8],
    tolerance: float = TOLERANCE,
    single_file_limit: int = SINGLE_FILE_LIMIT,
) -> ExportReport:
    """Export a checkpoint to `path` and check it on real images; the folder of `path` is replaced whole.

    Args:
        checkpoint: the trained model.
        path: the ONNX file to make, in a folder of its own. Weights over `single_file_limit` bytes go
            into `<name>.data` beside it. `export.json` holds the report.
        images: uint8 (N, H, W, 3) RGB real images at the model's `input_size`, N at least 2.
        tolerance: largest absolute difference of the anomaly map from PyTorch in FP32.
        single_file_limit: bytes of weights up to which the file stands alone.

    Raises:
        ExportError: unusable images, a graph that cannot be exported or that differs from PyTorch; what
            lay at `path` before is untouched then.
    """
    size = checkpoint.config.input_size
    check_images(images, size)
    graph = EngineGraph(checkpoint.model, checkpoint.score_rule, stages=True).eval()
    parameters = sum(t.numel() for t in graph.state_dict().values())
    external = 4 * parameters > single_file_limit
    with atomic_folder(path.parent) as folder:
        target = folder / path.name
        program = trace(graph, images)
        keep_engine_outputs(program)
        # Weights beside the graph are too large to run the network after every pass: parity has to do.
        probe = None if external else partial(_anomaly_map, images=images[:1])
        passes = run_passes(program.model, PASSES, tolerance, probe)
        _stamp(program, checkpoint)
        program.save(target, external_data=external)
        del program
        _check_model(target)
        plain = EngineGraph(checkpoint.model, checkpoint.score_rule).eval()
        parity = check_parity(plain, target, images, tolerance)
        report = ExportReport(
            model=path.name,
            files={file.name: sha256_file(file) for file in sorted(folder.iterdir())},
            external_data=external,
            parameters=parameters,
            category=checkpoint.category,
            checkpoint_sha256=checkpoint.sha256,
            input_size=size,
            score_rule=checkpoint.score_rule,
            opset=OPSET,
            images=len(images),
            tolerance=tolerance,
            passes=passes,
            parity=parity,
            versions={"realnet-edge": __version__, **installed_versions(_VERSIONED)},
        )
        write_json(folder / REPORT_NAME, report.to_dict())
    return report


def trace(graph: EngineGraph, images: npt.NDArray[np.uint8]) -> torch.onnx.ONNXProgram:
    """The graph as an ONNX program with a dynamic batch and only the engine's outputs.

    Inner stages keep the names of `EngineGraph.stage_names`, so a later check can ask for them.

    Raises:
        ExportError: PyTorch could not export it.
    """
    names = [*OUTPUTS, *graph.stage_names]
    try:
        with torch.no_grad(), _quiet():
            program = torch.onnx.export(
                graph,
                # Two images: a batch of one would be taken for a constant.
                (torch.from_numpy(images[:2]),),
                dynamo=True,
                opset_version=OPSET,
                input_names=["image"],
                output_names=names,
                dynamic_shapes={"image": {0: torch.export.Dim("batch", min=1, max=4096)}},
                optimize=False,
                verbose=False,
            )
    except Exception as error:
        # Whatever a tracer meets in third-party code, the user can only report it.
        raise ExportError(f"PyTorch could not export the model: {error}") from error
    if program is None:
        raise ExportError(
            "PyTorch exported no graph: this version has no dynamo exporter, install torch >= 2.7."
        )
    simplify(program.model)
    return program


def check_images(images: npt.NDArray[np.uint8], size: tuple[int, int]) -> None:
    """Refuse images that parity cannot be checked on: they must be of `size`, (height, width).

    Raises:
        ExportError: wrong type or shape, or fewer than two.
    """
    good = images.ndim == 4 and images.shape[1:] == (*size, 3) and images.dtype == np.uint8
    if not good or len(images) < MIN_IMAGES:
        raise ExportError(
            f"parity needs at least {MIN_IMAGES} real images as uint8 (N, {size[0]}, {size[1]}, 3), "
            f"got {images.shape} {images.dtype}."
        )


def keep_engine_outputs(program: torch.onnx.ONNXProgram) -> None:
    """Give out no inner stages: they keep their names in the graph, as far as passes leave them."""
    outputs = program.model.graph.outputs
    # One by one: onnx-ir takes those of a deleted slice for outputs still.
    for value in list(outputs)[len(OUTPUTS) :]:
        outputs.remove(value)
    # What only they took is no pass's to count.
    RemoveUnusedNodesPass()(program.model)


def _anomaly_map(model: Any, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """What a graph in the making gives for images."""
    session = open_session(ir.to_proto(model).SerializeToString())
    return run_session(session, images, OUTPUTS[:1])[0]


def _stamp(program: torch.onnx.ONNXProgram, checkpoint: Checkpoint) -> None:
    """Drop traces of the exporting machine, and say where the graph came from."""
    model: Any = program.model
    graph = model.graph
    taken = {node.name for node in graph.all_nodes() if node.op_type not in _LAYERS}
    for node in graph.all_nodes():
        if node.op_type in _LAYERS:
            # Named for its module, so that a user can say which layers quantisation shall spare.
            name = node.inputs[1].name.removeprefix("model.").removesuffix(".weight")
            # Layers may share a weight, and another node may be called like one.
            while name in taken:
                name += ".layer"
            node.name = name
            taken.add(name)
        node.metadata_props.clear()
        node.doc_string = None
        for value in node.outputs:
            value.metadata_props.clear()
    for value in (*graph.inputs, *graph.outputs, *graph.initializers.values()):
        value.metadata_props.clear()
    graph.metadata_props.clear()
    model.metadata_props.clear()
    model.metadata_props.update(
        {
            "realnet_edge_version": __version__,
            "checkpoint_sha256": checkpoint.sha256,
            "category": checkpoint.category,
            "score_rule": checkpoint.score_rule,
        }
    )


def _check_model(path: Path) -> None:
    """ONNX's own checker with strict shape inference; by path, since the message may exceed 2 GB.

    Raises:
        ExportError: the checker refuses the file.
    """
    try:
        onnx.checker.check_model(str(path), full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ExportError(f"the exported graph is not valid ONNX: {error}") from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence the exporter's notes to its own developers; errors still arrive as exceptions."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
