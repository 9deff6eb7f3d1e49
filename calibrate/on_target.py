"""Prepared bundle to engine bundle, on the machine that will run it: without torch, onnx or the data."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from realnet_edge.bundle import Bundle, EngineTarget, Manifest, Preparation, load_bundle, write_bundle
from realnet_edge.calibrate.builder_facts import builder_facts
from realnet_edge.calibrate.carried import Carried, Images, read_carried
from realnet_edge.calibrate.carried_kernels import carried_plugin
from realnet_edge.calibrate.engine_files import Engine, engine_files
from realnet_edge.calibrate.measure import Progress, drift
from realnet_edge.calibrate.rrs_choice import choose_rrs
from realnet_edge.calibrate.tensorrt_build import PlanJob, Tell, plan_from_graph
from realnet_edge.calibrate.threshold import conformal_threshold
from realnet_edge.errors import BundleError, ConfigError, GateError
from realnet_edge.installed import ONNXRUNTIME
from realnet_edge.runtime import Prediction, Runner, open_runner, require_backend
from realnet_edge.runtime.backends import import_backend
from realnet_edge.runtime.tensorrt import EngineOptions
from realnet_edge.runtime.tensorrt.target import target_here
from realnet_edge.workspace import TIMING_CACHES, Workspace


@dataclass(frozen=True)
class TargetOptions:
    """What the target may settle otherwise than the machine that prepared the bundle.

    Attributes:
        target_fpr: wanted share of good parts called defective, within (0, 1); None keeps what was prepared.
        engine: settings of TensorRT's builder that are another here, by the names of `EngineOptions`.
        timing_cache: folder where TensorRT's times of kernels are kept; None for one in the workspace.
        rrs: how TensorRT computes RRS, "plugin", "native" or "auto"; None keeps what was prepared.
        require_signature: files of public keys, one of which has to have signed the prepared bundle, and one
            at hand whose engine is to be kept; None for any.
    """

    target_fpr: float | None = None
    engine: Mapping[str, Any] = field(default_factory=dict)
    timing_cache: Path | None = None
    rrs: str | None = None
    require_signature: Sequence[Path] | None = None


def build_on_target(
    folder: Path,
    workspace: Workspace,
    options: TargetOptions | None = None,
    progress: Progress | None = None,
    tell: Tell | None = None,
) -> Bundle:
    """Build, check and set the engine of a prepared bundle; the bundle at hand is replaced only at success.

    The engine must answer as FP32 PyTorch did, within the limits that were prepared: releases of a runtime
    differ between machines. The threshold comes from this engine's scores of the held-out good images.

    Args:
        folder: the prepared bundle; it stays as it is.
        workspace: where the finished bundle goes.
        options: what is settled here.
        progress: told of each step.
        tell: told in a sentence what else is worth knowing, such as why an engine is built anew.

    Raises:
        BundleError: not a prepared bundle, damaged, or not signed as required.
        BackendError: its backend is missing here; the engine did not build, load or run.
        KernelError: RRS shall be computed by our kernels, and the bundle carries none for this GPU.
        ConfigError: settings of TensorRT's builder for another backend.
        GateError: the engine does not answer as it should.
    """
    wanted = options or TargetOptions()
    report = progress or (lambda what, done, total: None)
    say = tell or (lambda text: None)
    prepared = load_bundle(folder, wanted.require_signature)
    carried = read_carried(prepared)
    stated = prepared.manifest
    settings = (wanted.engine or None, wanted.timing_cache, wanted.rrs)
    if stated.backend != "tensorrt" and any(setting is not None for setting in settings):
        raise ConfigError(f"settings of TensorRT's builder mean nothing to {stated.backend}: leave them out.")
    require_backend(stated.backend, stated.precision)
    paths = workspace.category(stated.category)
    paths.root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=paths.root, prefix=".build.") as scratch:
        what = f"building the {stated.backend} engine"
        report(what, 0, 1)
        if stated.backend == "tensorrt":
            job = PlanJob(
                folder=Path(scratch),
                precision=stated.precision,
                options=engine_options(prepared, wanted.engine),
                calibration_sha256=stated.calibration.list_sha256 if stated.calibration else None,
                timing_cache=wanted.timing_cache or workspace.root / TIMING_CACHES,
                at_hand=paths.bundle("tensorrt", stated.precision),
                progress=report,
                tell=say,
                require_signature=wanted.require_signature,
            )
            trt = import_backend("tensorrt", stated.precision)
            built = plan_prepared(trt, target_here(trt), prepared, job, wanted.rrs)
        else:
            graph = prepared.engine_path
            built = Engine(engine_files(graph, Path(scratch), stated.backend, stated.precision))
        report(what, 1, 1)
        manifest = _manifest(prepared, built)
        engine = Bundle(built.files[manifest.engine].parent, manifest, "")
        complete = _measured(engine, prepared, carried, wanted, report)
        return write_bundle(paths.bundle(stated.backend, stated.precision), built.files, complete)


def engine_options(prepared: Bundle, changes: Mapping[str, Any]) -> EngineOptions:
    """Settings of TensorRT's builder as they were prepared, but for what is another here."""
    stated = _preparation(prepared)
    try:
        return EngineOptions(**{"batch": stated.profile, **stated.settings, **changes})
    except TypeError as error:
        raise BundleError(
            f"{prepared.path}: settings of TensorRT's builder that this version does not know ({error}). "
            "Prepare it again with the realnet-edge that shall build it."
        ) from error


def plan_prepared(
    trt: Any, target: EngineTarget, prepared: Bundle, job: PlanJob, rrs: str | None = None
) -> Engine:
    """The TensorRT engine of a prepared bundle, with RRS by the kernels it carries where they are to be used.

    Args:
        trt: the module, `tensorrt` or `tensorrt_rtx`.
        target: this machine.
        prepared: the bundle.
        job: what to build.
        rrs: "plugin", "native" or "auto"; None keeps what was prepared.

    Raises:
        BackendError, ExportError, KernelError: see `choose_rrs` and `plan_from_graph`.
    """
    wanted = rrs or _preparation(prepared).rrs
    find = partial(carried_plugin, prepared)
    capability, portable = target.compute_capability, job.options.portable
    chosen = choose_rrs(wanted, trt, capability, prepared.engine_path, find, portable)
    plan = plan_from_graph(trt, target, chosen, job)
    return Engine(plan.files, plan.key, plan.notes)


def _manifest(prepared: Bundle, built: Engine) -> Manifest:
    """The manifest but for what only the running engine can tell."""
    stated = prepared.manifest
    origin = {"prepared": {**stated.builder, "manifest_sha256": prepared.manifest_sha256}}
    profile = stated.batch if built.key is None else (built.key.profile[0], built.key.profile[2])
    return dataclasses.replace(
        stated,
        batch=profile,
        engine=next(iter(built.files)),
        builder={**builder_facts(stated.backend, (*ONNXRUNTIME, "numpy")), **built.notes, **origin},
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        files=dict.fromkeys(built.files, ""),
        engine_key=built.key,
        preparation=None,
    )


def _measured(
    engine: Bundle, prepared: Bundle, carried: Carried, wanted: TargetOptions, report: Progress
) -> Manifest:
    """The manifest with arithmetic, drift and threshold of the engine as it runs here."""
    with open_runner(engine) as runner:
        arithmetic = runner.arithmetic
        found = _infer(runner, carried.parity, "checking the engine", report)
        differences = drift(found, carried.expected)
        check_drift(
            differences, _preparation(prepared), f"{engine.manifest.backend} {engine.manifest.precision}"
        )
        scores = _infer(runner, carried.held_out, "scoring good images with the engine", report).score
    target_fpr = wanted.target_fpr or _preparation(prepared).target_fpr
    return dataclasses.replace(
        engine.manifest,
        arithmetic=arithmetic,
        threshold=conformal_threshold(scores, target_fpr),
        drift={**differences, "on": "parity images: good ones, half of them with an inverted block"},
    )


def check_drift(differences: dict[str, float], stated: Preparation, engine: str) -> None:
    """Refuse an engine that is too far from FP32 PyTorch.

    Args:
        differences: as `drift` gives them.
        stated: holds the limits.
        engine: what the message calls it.

    Raises:
        GateError: the message has what was found and what is allowed.
    """
    limits = {"map_mean_abs": stated.map_mean_abs, "score_max_abs": stated.score_max_abs}
    beyond = [
        f"{name} {differences[name]:.2g}, {limit:.2g} allowed"
        for name, limit in limits.items()
        if not differences[name] <= limit
    ]
    if beyond:
        raise GateError(
            f"the {engine} engine does not answer here as it should ({'; '.join(beyond)}), so no bundle was "
            "written. The graph is right: it was checked where it was prepared. Try another release of the "
            "runtime, a lower --builder-level, or prepare it at a higher precision."
        )


def _infer(runner: Runner, images: Images, what: str, report: Progress) -> Prediction:
    """Answers image by image, as a camera loop asks for them."""
    found = []
    report(what, 0, len(images))
    for done, image in enumerate(images, start=1):
        found.append(runner.infer_filled(image[np.newaxis]))
        report(what, done, len(images))
    return Prediction(
        np.concatenate([p.anomaly_map for p in found]), np.concatenate([p.score for p in found])
    )


def _preparation(prepared: Bundle) -> Preparation:
    stated = prepared.manifest.preparation
    if stated is None:
        raise BundleError(f"{prepared.path}: has its engine already, so there is nothing to build from.")
    return stated
