"""Whether an ONNX file computes what the model computes, on real images, and if not, from where on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import torch

from realnet_edge.errors import ExportError
from realnet_edge.export.graph import OUTPUTS, EngineGraph

_RANKS = "rrs_indices"
_FOLDER_OF_WEIGHTS = "session.model_external_initializers_file_folder_path"


@dataclass(frozen=True)
class Parity:
    """Differences between ONNX Runtime and PyTorch over all images at one batch size.

    Attributes:
        batch: images a call.
        map_max_abs, map_mean_abs: absolute differences of the anomaly maps.
        score_max_abs: largest absolute difference of the image scores.
        rank_swaps: places in RRS's order that hold another plane; near-equal scores swap on rounding.
    """

    batch: int
    map_max_abs: float
    map_mean_abs: float
    score_max_abs: float
    rank_swaps: int


@dataclass(frozen=True)
class StageDifference:
    """How far one inner tensor is off.

    Attributes:
        name: the stage, see `EngineGraph.stage_names`.
        max_abs: largest absolute difference.
        relative: the same, relative to the stage's own largest magnitude in PyTorch.
        swaps: for the RRS order the number of places that differ, else 0.
    """

    name: str
    max_abs: float
    relative: float
    swaps: int = 0


def check_parity(
    graph: EngineGraph, path: Path, images: npt.NDArray[np.uint8], tolerance: float
) -> tuple[Parity, ...]:
    """Compare an ONNX file with the model it came from, image by image and all in one batch.

    Args:
        graph: the model in evaluation mode.
        path: the ONNX file; its external data lie beside it.
        images: uint8 (N, H, W, 3) RGB, N at least 2, real images.
        tolerance: largest absolute difference of the anomaly map.

    Raises:
        ExportError: the file does not run, or a map differs by more; the message names the first stage
            that does.
    """
    session = open_session(path)
    results = []
    for batch in (1, len(images)):
        chunks = [images[i : i + batch] for i in range(0, len(images), batch)]
        pairs = [(_torch_outputs(graph, chunk), run_session(session, chunk, OUTPUTS)) for chunk in chunks]
        found = _compare(pairs, batch)
        # Not `>`: a NaN must fail too.
        if not found.map_max_abs <= tolerance:
            # The whole batch is looked into: which image is off does not matter, which stage is does.
            stages = stage_differences(graph, path, images)
            raise ExportError(_message(found, tolerance, stages))
        results.append(found)
    return tuple(results)


def stage_differences(graph: EngineGraph, path: Path, images: npt.NDArray[np.uint8]) -> list[StageDifference]:
    """Differences of the inner tensors between PyTorch and an ONNX file, in the order of computation.

    Stages that a rewritten file no longer holds are left out.
    """
    names = [*graph.stage_names[:-1], _RANKS, graph.stage_names[-1], "anomaly_map"]
    session, present = _open_with_outputs(path, names)
    found = run_session(session, images, present)
    with torch.no_grad():
        staged = EngineGraph(graph.model, graph.score_rule, stages=True).eval()
        values = [t.numpy() for t in staged(torch.from_numpy(images))]
    reference = dict(zip((*OUTPUTS, *graph.stage_names), values, strict=True))
    return [_difference(name, reference[name], got) for name, got in zip(present, found, strict=True)]


def first_apart(stages: Sequence[StageDifference], tolerance: float) -> StageDifference | None:
    """The first stage off by more than `tolerance` relative to its own size, or with swapped ranks."""
    return next((s for s in stages if s.swaps or not s.relative <= tolerance), None)


def open_session(
    model: Path | bytes, threads: int = 0, weights: Path | None = None
) -> onnxruntime.InferenceSession:
    """ONNX Runtime on the CPU, as the runner of bundles opens it.

    Args:
        model: an ONNX file, or what would stand in one.
        threads: 0 for all cores.
        weights: folder of external data, where the model is not a file beside them.

    Raises:
        ExportError: the file cannot be loaded.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    if weights is not None:
        options.add_session_config_entry(_FOLDER_OF_WEIGHTS, str(weights))
    source = model if isinstance(model, bytes) else str(model)
    try:
        return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        # ONNX Runtime raises a family of its own errors that share no base but Exception.
        raise ExportError(f"ONNX Runtime does not load the exported graph: {error}") from error


def run_session(
    session: onnxruntime.InferenceSession, images: npt.NDArray[np.uint8], names: Sequence[str]
) -> list[npt.NDArray[np.float32]]:
    """The named outputs for a batch.

    Raises:
        ExportError: execution failed.
    """
    try:
        outputs: list[npt.NDArray[np.float32]] = session.run(list(names), {"image": images})
    except Exception as error:
        raise ExportError(f"ONNX Runtime does not run the exported graph: {error}") from error
    return outputs


def _torch_outputs(graph: EngineGraph, images: npt.NDArray[np.uint8]) -> list[npt.NDArray[np.float32]]:
    with torch.no_grad():
        return [tensor.numpy() for tensor in graph(torch.from_numpy(images))]


def _compare(
    pairs: list[tuple[list[npt.NDArray[np.float32]], list[npt.NDArray[np.float32]]]], batch: int
) -> Parity:
    maps = np.concatenate([np.abs(a[0] - b[0]).ravel() for a, b in pairs])
    scores = np.concatenate([np.abs(a[1] - b[1]) for a, b in pairs])
    swaps = sum(int((a[2] != b[2]).sum()) for a, b in pairs)
    return Parity(batch, float(maps.max()), float(maps.mean(dtype=np.float64)), float(scores.max()), swaps)


def _difference(
    name: str, reference: npt.NDArray[np.float32], found: npt.NDArray[np.float32]
) -> StageDifference:
    if name == _RANKS:
        return StageDifference(name, 0.0, 0.0, int((reference != found).sum()))
    off = float(np.abs(reference - found).max())
    return StageDifference(name, off, off / max(float(np.abs(reference).max()), 1e-12))


def _open_with_outputs(path: Path, names: Sequence[str]) -> tuple[onnxruntime.InferenceSession, list[str]]:
    """A session on a copy of the graph that also returns the named inner tensors, and which it has."""
    model = onnx.load(path, load_external_data=False)
    already = {output.name for output in model.graph.output}
    made = {name for node in model.graph.node for name in node.output} | already
    present = [name for name in names if name in made]
    for name in present:
        if name not in already:
            model.graph.output.append(onnx.ValueInfoProto(name=name))
    return open_session(model.SerializeToString(), weights=path.parent), present


def _message(found: Parity, tolerance: float, stages: Sequence[StageDifference]) -> str:
    head = (
        f"the exported graph is off by {found.map_max_abs:.2e} in the anomaly map at batch {found.batch}, "
        f"{tolerance:.0e} is allowed; nothing was written. "
    )
    first = first_apart(stages, tolerance)
    listed = ", ".join(
        f"{s.name} {s.swaps if s.name == _RANKS else format(s.relative, '.1e')}" for s in stages
    )
    if first is None:
        where = "No single stage is at fault: the difference builds up over all of them."
    elif first.name == _RANKS:
        where = (
            f"ONNX Runtime and PyTorch part at stage rrs_indices: {first.swaps} places hold another plane "
            "while the scores before it agree, so near-equal scores were ordered differently and the "
            "discriminator saw its input permuted. Try other images, or allow more with --tolerance."
        )
    else:
        where = (
            f"ONNX Runtime and PyTorch part at stage {first.name}: {first.max_abs:.2e} absolute, "
            f"{first.relative:.1e} of its largest value."
        )
    return f"{head}{where} Stages (relative difference, swapped places): {listed}."
