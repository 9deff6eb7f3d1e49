"""Checkpoint to engine bundle: graph, engine, threshold and drift, written only when all of it is good."""

from __future__ import annotations

import dataclasses
import tempfile
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from realnet_edge.bundle import GPU_BACKENDS, Bundle, Calibration, InputSpec, Manifest, write_bundle
from realnet_edge.calibrate.builder_facts import builder_facts
from realnet_edge.calibrate.engine_files import Engine, engine_files
from realnet_edge.calibrate.measure import Progress, drift, predict
from realnet_edge.calibrate.quantise import DEFAULT_METHOD, WEIGHT_BITS, quantise_onnx
from realnet_edge.calibrate.rrs_choice import AUTO, check_mode
from realnet_edge.calibrate.sources import Sources, ensure_onnx, open_sources
from realnet_edge.calibrate.tensorrt_build import PlanJob, Tell, graph_in_precision, plan_from_onnx
from realnet_edge.calibrate.threshold import conformal_threshold
from realnet_edge.config import DEFAULT_FPR
from realnet_edge.errors import ConfigError
from realnet_edge.export import TorchRunner
from realnet_edge.export.onnx_export import MODEL_NAME, TOLERANCE
from realnet_edge.imaging import load_batch
from realnet_edge.installed import ONNXRUNTIME
from realnet_edge.runtime import DEFAULT_BATCH_RANGE, best_backend, open_runner, require_backend
from realnet_edge.runtime.machine import int8_saturates, refuse_saturation
from realnet_edge.runtime.tensorrt import EngineOptions
from realnet_edge.workspace import KERNELS, TIMING_CACHES, Workspace

# What takes part beside the backend; its versions go into the manifest.
PACKAGES = ("torch", "onnx", *ONNXRUNTIME, "numpy")
# ONNX Runtime's int8 kernels give int8, too coarse for what the residuals are the small difference of: with
# all layers in INT8 a screw model's image AUROC fell from 70.5 to 32.1. OpenVINO's give float; a backbone of
# depthwise convolutions still costs it more accuracy than INT8 there saves time, and so do the raw features,
# at the first layer of each U-Net. With that layer in INT8 right behind a float backbone it fails to compile.
# On GPUs layers give FP16, and INT8 has no zero points: there the 1x1 layers of the skips, which take what
# is not normalised, and the last level, whose errors nothing behind them averages out, cost more than all
# others together. On a screw model residuals were off by 10% without this and `smooth`, by 1% with both, and
# 76% of all multiplications instead of 87% are in INT8.
_FEATURES = ("backbone", "reconstruction.*.input_blocks.0")
_UNEVEN = ("reconstruction.*.skip", "reconstruction.*.output_blocks.[678]", "reconstruction.*.out.")
SPARED = {
    "onnxruntime": ("backbone", "reconstruction"),
    "openvino": _FEATURES,
    **dict.fromkeys(GPU_BACKENDS, (*_FEATURES, *_UNEVEN)),
}


@dataclass(frozen=True)
class BuildOptions:
    """How to build.

    Attributes:
        target_fpr: wanted share of good parts called defective, within (0, 1).
        max_batch: largest batch that the manifest allows.
        method: where INT8 ranges come from, see `quantise_onnx`.
        exclude: beginnings of layer names that INT8 leaves in float, beside those that the backend
            needs in float.
        tolerance: largest difference of the exported graph's maps from PyTorch's, see `ensure_onnx`.
        weight_bits: bits of INT8 weights, 7 or 8; None takes 8, or 7 where this processor would cut off sums.
        engine: settings of TensorRT's builder, whose largest batch stands in for `max_batch`; None for the
            default ones with batches of 1 to `max_batch`.
        timing_cache: folder where TensorRT's times of kernels are kept; None for one in the workspace.
        rrs: how TensorRT computes RRS, "plugin", "native" or "auto", see `choose_rrs`.
        kernels: folder of kernels compiled for the plugin; None for one in the workspace.
        require_signature: files of public keys, one of which has to have signed a bundle whose engine is
            kept; None for any.
    """

    target_fpr: float = DEFAULT_FPR
    max_batch: int = DEFAULT_BATCH_RANGE[1]
    method: str = DEFAULT_METHOD
    exclude: tuple[str, ...] = ()
    tolerance: float = TOLERANCE
    weight_bits: int | None = None
    engine: EngineOptions | None = None
    timing_cache: Path | None = None
    rrs: str = AUTO
    kernels: Path | None = None
    require_signature: tuple[Path, ...] | None = None

    def __post_init__(self) -> None:
        """Refuse values before any work is done."""
        if not 0.0 < self.target_fpr < 1.0:
            raise ConfigError(
                f"false-positive rate {self.target_fpr!r}: give a number between 0 and 1, such as 0.02."
            )
        if self.max_batch < 1:
            raise ConfigError(f"max_batch is {self.max_batch}: give at least 1.")
        if self.weight_bits not in (None, *WEIGHT_BITS):
            raise ConfigError(
                f"weight_bits is {self.weight_bits!r}: give {' or '.join(map(str, WEIGHT_BITS))}."
            )
        check_mode(self.rrs)

    def bits(self, backend: str) -> int:
        """Bits of INT8 weights: as asked for, else what the backend computes here without losing sums."""
        return self.weight_bits or (7 if backend not in GPU_BACKENDS and int8_saturates() else 8)

    @property
    def builder(self) -> EngineOptions:
        """Settings of TensorRT's builder."""
        return self.engine or EngineOptions(batch=(1, 1, self.max_batch))

    def batch(self, backend: str) -> tuple[int, int]:
        """Smallest and largest batch that the manifest allows."""
        if backend != "tensorrt":
            return 1, self.max_batch
        return self.builder.batch[0], self.builder.batch[2]


def build_bundle(
    workspace: Workspace,
    category: str,
    precision: str,
    backend: str | None = None,
    *,
    data_root: Path | None = None,
    options: BuildOptions | None = None,
    progress: Progress | None = None,
    tell: Tell | None = None,
) -> Bundle:
    """Build the bundle of a trained category; one that is there already is replaced only at success.

    The ONNX graph is exported if the one at hand is not of this checkpoint. The threshold comes from the
    built engine's scores of the held-out good images, drift from its maps of these and of the calibration
    images against FP32 PyTorch.

    Args:
        workspace: where checkpoint, graph and bundle lie.
        category: the trained category.
        precision: "fp32", "fp16" or "int8".
        backend: a key of `SUPPORTED`; None takes the best one that this machine has.
        data_root: folder that holds the category's images, where they were moved since training.
        options: threshold, batch and calibration.
        progress: told of each step.
        tell: told in a sentence what else is worth knowing, such as why an engine is built anew.

    Raises:
        BackendError: a backend that is missing here or cannot do the precision; a TensorRT build that failed.
        ConfigError: settings of TensorRT's builder for another backend.
        CheckpointError, DataError, ExportError: as `open_sources`, `ensure_onnx` and `quantise_onnx`.
    """
    wanted = options or BuildOptions()
    report = progress or _silent
    chosen = backend or best_backend(precision)
    check_mode(wanted.rrs, chosen)
    require_backend(chosen, precision)
    given = (wanted.engine, wanted.timing_cache, wanted.kernels)
    if chosen != "tensorrt" and any(setting is not None for setting in given):
        raise ConfigError(f"settings of TensorRT's builder mean nothing to {chosen}: leave them out.")
    if precision == "int8" and chosen not in GPU_BACKENDS:
        refuse_saturation(wanted.bits(chosen), f"{category} for {chosen}")
    sources = open_sources(workspace, category, data_root)
    report("exporting and checking the graph", 0, 1)
    graph, _, _ = ensure_onnx(sources, wanted.tolerance)
    report("exporting and checking the graph", 1, 1)
    with tempfile.TemporaryDirectory(dir=sources.paths.root, prefix=".build.") as scratch:
        report(f"building the {chosen} engine", 0, 1)
        if precision == "int8":
            images = load_batch(sources.calibration, sources.size)
            graph = quantised(graph, Path(scratch, "int8", MODEL_NAME), images, chosen, wanted)
        if chosen == "tensorrt":
            say = tell or (lambda text: None)
            built = _build_plan(workspace, sources, graph, Path(scratch), precision, wanted, report, say)
        else:
            if chosen in GPU_BACKENDS:
                graph = graph_in_precision(graph, Path(scratch), precision)
            built = Engine(engine_files(graph, Path(scratch), chosen, precision))
        report(f"building the {chosen} engine", 1, 1)
        manifest = described(sources, chosen, precision, wanted, built)
        engine = Bundle(built.files[manifest.engine].parent, manifest, "")
        complete = _measured(sources, engine, wanted, report)
        return write_bundle(sources.paths.bundle(chosen, precision), built.files, complete)


def _build_plan(
    workspace: Workspace,
    sources: Sources,
    graph: Path,
    scratch: Path,
    precision: str,
    wanted: BuildOptions,
    report: Progress,
    tell: Tell,
) -> Engine:
    job = PlanJob(
        folder=scratch,
        precision=precision,
        options=wanted.builder,
        calibration_sha256=sources.calibration_list_sha256 if precision == "int8" else None,
        timing_cache=wanted.timing_cache or workspace.root / TIMING_CACHES,
        at_hand=sources.paths.bundle("tensorrt", precision),
        progress=report,
        tell=tell,
        require_signature=wanted.require_signature,
    )
    plan = plan_from_onnx(graph, job, wanted.rrs, wanted.kernels or workspace.root / KERNELS)
    return Engine(plan.files, plan.key, plan.notes)


def quantised(graph: Path, target: Path, images: Any, backend: str, wanted: BuildOptions) -> Path:
    """The graph with INT8 as a backend wants it, at `target`; see `quantise_onnx`."""
    quantise_onnx(
        graph,
        target,
        images,
        method=wanted.method,
        exclude=(*SPARED[backend], *wanted.exclude),
        quantise_outputs=backend == "onnxruntime",
        asymmetric=backend == "openvino",
        weight_bits=wanted.bits(backend),
        smooth=backend in GPU_BACKENDS,
    )
    return target


def described(
    sources: Sources, backend: str, precision: str, wanted: BuildOptions, built: Engine
) -> Manifest:
    """The manifest but for what only the running engine can tell."""
    calibration = None
    if precision == "int8":
        count = len(sources.calibration)
        calibration = Calibration(wanted.method, count, sources.calibration_list_sha256, wanted.bits(backend))
    return Manifest(
        category=sources.checkpoint.category,
        input=InputSpec(*sources.size),
        score_rule=sources.checkpoint.score_rule,
        backend=backend,
        precision=precision,
        arithmetic="unknown",
        batch=wanted.batch(backend),
        engine=next(iter(built.files)),
        builder={**builder_facts(backend, PACKAGES), **built.notes},
        checkpoint_sha256=sources.checkpoint.sha256,
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        files=dict.fromkeys(built.files, ""),
        calibration=calibration,
        engine_key=built.key,
    )


def _measured(sources: Sources, engine: Bundle, wanted: BuildOptions, progress: Progress) -> Manifest:
    """The manifest with arithmetic, threshold and drift of the engine as it runs here."""
    held_out = len(sources.held_out)
    files = [*sources.held_out, *sources.calibration]
    with open_runner(engine) as runner:
        arithmetic = runner.arithmetic
        found = predict(runner, files, "scoring good images with the engine", progress)
    with TorchRunner(sources.checkpoint) as runner:
        reference = predict(runner, files, "scoring good images with FP32 PyTorch", progress)
    return dataclasses.replace(
        engine.manifest,
        arithmetic=arithmetic,
        threshold=conformal_threshold(found.score[:held_out], wanted.target_fpr),
        drift=drift(found, reference),
    )


def _silent(what: str, done: int, total: int) -> None:
    """No one asked to be told."""
