"""ONNX to a TensorRT engine: the graph in the precision that was asked for, its key, and the engine."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from realnet_edge.bundle import EngineKey, EngineTarget, changed, load_bundle
from realnet_edge.calibrate.engine_files import graph_files
from realnet_edge.calibrate.rrs_choice import RrsChoice, choose_rrs, compiled_plugin
from realnet_edge.errors import BundleError
from realnet_edge.files import sha256_file
from realnet_edge.runtime.backends import import_backend
from realnet_edge.runtime.tensorrt import EngineBuild, EngineOptions, engine_from_onnx
from realnet_edge.runtime.tensorrt.progress import Progress
from realnet_edge.runtime.tensorrt.target import target_here
from realnet_edge.runtime.tensorrt.versions import describe

ENGINE_NAME = "model.plan"
Tell = Callable[[str], None]


@dataclass(frozen=True)
class PlanBuild:
    """An engine and what it is bound to.

    Attributes:
        files: name inside a bundle -> file.
        key: of the engine.
        notes: for the manifest: how RRS is computed, and what the build took where there was one.
    """

    files: dict[str, Path]
    key: EngineKey
    notes: dict[str, Any]


@dataclass(frozen=True)
class PlanJob:
    """Which engine is to be built, and where.

    Attributes:
        folder: existing folder for what is made.
        precision: "fp32", "fp16" or "int8"; the latter two compute the rest in FP16.
        options: batches and settings of the builder.
        calibration_sha256: hash of the list of calibration images, None where there are none.
        timing_cache: folder for files of measured kernels.
        at_hand: folder of the bundle that would be replaced, whether it is there or not.
        progress: told of the share that is done.
        tell: told how RRS is computed, why the engine is built anew, and what the build took.
        require_signature: files of public keys, one of which has to have signed the bundle at hand, or its
            engine is not kept; None keeps any that fits.
    """

    folder: Path
    precision: str
    options: EngineOptions
    calibration_sha256: str | None
    timing_cache: Path
    at_hand: Path
    progress: Progress
    tell: Tell
    require_signature: Sequence[Path] | None = None


def plan_from_onnx(source: Path, job: PlanJob, rrs: str, kernels: Path) -> PlanBuild:
    """Build an engine for this machine's GPU, unless the bundle at hand has the very same one.

    Args:
        source: FP32 ONNX, or symmetric int8 Q/DQ ONNX for int8.
        job: what to build.
        rrs: how RRS shall be computed, see `choose_rrs`.
        kernels: folder of compiled kernels.

    Raises:
        BackendError, ExportError, ConfigError: see `engine_from_onnx`; also no TensorRT or no GPU here.
        KernelError: see `choose_rrs`.
    """
    trt = import_backend("tensorrt", job.precision)
    target = target_here(trt)
    graph = graph_in_precision(source, job.folder, job.precision)
    find = partial(compiled_plugin, graph, job.folder / "rrs" / graph.name, kernels)
    chosen = choose_rrs(rrs, trt, target.compute_capability, graph, find, job.options.portable)
    return plan_from_graph(trt, target, chosen, job)


def plan_from_graph(trt: Any, target: EngineTarget, rrs: RrsChoice, job: PlanJob) -> PlanBuild:
    """`plan_from_onnx` for a graph whose types are settled; needs neither torch nor onnx.

    Args:
        trt: the module, `tensorrt` or `tensorrt_rtx`.
        target: this machine, as `target_here` describes it.
        rrs: how RRS is computed, and the graph for it in the precision of the job; external data lie beside.
        job: what to build.

    Raises:
        BackendError, ExportError, ConfigError: see `engine_from_onnx`.
    """
    job.tell(str(rrs))
    key = EngineKey(
        target=target,
        graph_sha256=sha256_graph(rrs.graph),
        precision=job.precision,
        profile=job.options.batch,
        settings=job.options.settings(),
        calibration_sha256=job.calibration_sha256,
        plugins_sha256=None if rrs.kernels is None else rrs.kernels.sha256,
    )
    reusable = reusable_engine(job.at_hand, key, job.tell, job.require_signature)
    if reusable is not None:
        return PlanBuild({ENGINE_NAME: reusable}, key, {"rrs": rrs.note})
    plan = job.folder / ENGINE_NAME
    build = engine_from_onnx(
        trt,
        rrs.graph,
        plan,
        job.options,
        kernels=rrs.kernels,
        timing_cache=job.timing_cache / timing_cache_name(target),
        progress=job.progress,
    )
    job.tell(describe_build(describe(trt), build))
    return PlanBuild({ENGINE_NAME: plan}, key, {"rrs": rrs.note, "engine_build": vars(build)})


def graph_in_precision(source: Path, folder: Path, precision: str) -> Path:
    """The graph that TensorRT reads: as it is for fp32, else with all that may be in FP16."""
    if precision == "fp32":
        return source
    # Not above: it needs onnx, which a machine that builds the engine of a prepared bundle does not have.
    from realnet_edge.export.cast_fp16 import cast_fp16

    target = folder / "half" / source.name
    cast_fp16(source, target)
    return target


def sha256_graph(graph: Path) -> str:
    """SHA-256 over an ONNX file and the external data beside it, whose names begin with its own."""
    parts = [f"{file.name} {sha256_file(file)}" for file in graph_files(graph)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def reusable_engine(
    at_hand: Path, key: EngineKey, tell: Tell, require_signature: Sequence[Path] | None = None
) -> Path | None:
    """The engine file of a bundle whose key is the same; else None, and `tell` hears what changed."""
    if not at_hand.is_dir():
        return None
    try:
        bundle = load_bundle(at_hand, require_signature)
    except BundleError as error:
        tell(f"building the engine anew: {error}")
        return None
    before = bundle.manifest.engine_key
    differences = changed(before, key) if before is not None else ["the bundle at hand holds no engine"]
    if differences:
        tell(f"building the engine anew: {'; '.join(differences)}")
        return None
    tell("the engine at hand is of this graph, this machine and these settings: it is kept")
    return bundle.engine_path


def timing_cache_name(target: EngineTarget) -> str:
    """One file a flavour, version and compute capability: TensorRT takes no other's times."""
    return f"{target.flavour}-{target.version}-sm{target.compute_capability.replace('.', '')}.timing"


def describe_build(release: str, build: EngineBuild) -> str:
    """What a build took, for people."""
    size = build.size / 2**20
    text = f"{release}: {build.layers} layers in {build.seconds:.0f} s, engine of {size:.1f} MiB"
    if build.timing_cache is None:
        return text
    before, after = (size / 2**10 for size in build.timing_cache)
    return f"{text}; timing cache of {before:.0f} KiB before, {after:.0f} KiB after"
