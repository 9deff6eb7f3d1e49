"""From a bundle to the runner of its backend."""

from __future__ import annotations

from realnet_edge.bundle import Bundle
from realnet_edge.bundle.locate import find_bundles
from realnet_edge.errors import BackendError
from realnet_edge.runtime.backends import detect_backend, require_backend
from realnet_edge.runtime.base import Runner
from realnet_edge.runtime.machine import refuse_saturation
from realnet_edge.runtime.ort import OnnxRuntimeGpuRunner, OnnxRuntimeRunner
from realnet_edge.runtime.ort_providers import PROVIDERS
from realnet_edge.runtime.ov import OpenVinoRunner
from realnet_edge.runtime.tensorrt.runner import TensorRtRunner
from realnet_edge.workspace import Workspace

_RUNNERS: dict[str, type[OnnxRuntimeRunner] | type[OpenVinoRunner]] = {
    "onnxruntime": OnnxRuntimeRunner,
    "openvino": OpenVinoRunner,
}


def open_runner(bundle: Bundle, threads: int | None = None) -> Runner:
    """The runner for a bundle; use it in a `with` block.

    Args:
        bundle: as `load_bundle` returned it, so every hash was verified.
        threads: CPU threads for one inference; None leaves the choice to the runtime.

    Raises:
        BackendError: its backend is missing on this machine; the message says what adds it. There is no
            fallback to another backend. Or its INT8 weights are wider than this processor computes exactly;
            or it is a prepared bundle, whose engine is yet to be built.
    """
    stated = bundle.manifest
    if stated.preparation is not None:
        raise BackendError(
            f"{bundle.path}: prepared, not built: there is no engine in it yet. Build it on the machine that "
            f"shall run it: realnet-edge build --on-target {bundle.path}"
        )
    require_backend(stated.backend, stated.precision)
    if stated.backend == "tensorrt":
        return _open_tensorrt(bundle, threads)
    if stated.backend in PROVIDERS:
        return OnnxRuntimeGpuRunner(
            stated.backend,
            bundle.engine_path,
            precision=stated.precision,
            input_size=(stated.input.height, stated.input.width),
            batch_range=stated.batch,
            threads=threads,
        )
    if stated.calibration is not None:
        refuse_saturation(stated.calibration.weight_bits, str(bundle.path))
    return _RUNNERS[stated.backend](
        bundle.engine_path,
        precision=stated.precision,
        input_size=(stated.input.height, stated.input.width),
        batch_range=stated.batch,
        threads=threads,
    )


def _open_tensorrt(bundle: Bundle, threads: int | None) -> Runner:
    stated = bundle.manifest
    if stated.engine_key is None:
        raise BackendError(
            f"{bundle.path}: a TensorRT engine without a key could be of any machine: build it again here."
        )
    return TensorRtRunner(
        bundle.engine_path,
        key=stated.engine_key,
        precision=stated.precision,
        input_size=(stated.input.height, stated.input.width),
        batch_range=stated.batch,
        threads=threads,
    )


def choose_bundle(
    workspace: Workspace, category: str, backend: str | None = None, precision: str | None = None
) -> tuple[str, str]:
    """(backend, precision) of the bundle to run: the first one present that this machine can run.

    What is not named is chosen: the best backend first (GPUs, OpenVINO, ONNX Runtime), then INT8, FP16, FP32.
    A backend that is named is never replaced by another.

    Raises:
        BundleError: none is there; the message says which exist and how to build one.
        BackendError: none of those that fit can run here; the message says what is missing.
    """
    fitting = find_bundles(workspace, category, backend, precision)
    here = {name: detect_backend(name) for name, _ in fitting}
    for name, level in fitting:
        if here[name].available:
            return name, level
    lacks = "; ".join(f"{name}: {here[name].missing} ({here[name].hint})" for name in dict(fitting))
    raise BackendError(f"category {category!r} has no bundle that this machine can run. {lacks}.")
