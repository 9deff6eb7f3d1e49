"""Which backends this machine has, what each can do, and which one to take."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from types import ModuleType
from typing import Any

from realnet_edge.errors import BackendError
from realnet_edge.runtime.cuda import PACKAGES, find_package
from realnet_edge.runtime.gpu import cuda_devices, first_gpu
from realnet_edge.runtime.ort_providers import PROVIDERS, providers_here
from realnet_edge.runtime.tensorrt import versions

# Backend -> precisions, best backend first: TensorRT where there is a GPU, by itself, then through ONNX
# Runtime, whose CUDA kernels have no INT8 convolutions; OpenVINO, which is the faster one on a CPU and has
# 16-bit arithmetic there; then ONNX Runtime, which is always installed.
SUPPORTED: dict[str, tuple[str, ...]] = {
    "tensorrt": ("fp32", "fp16", "int8"),
    "onnxruntime-tensorrt": ("fp32", "fp16", "int8"),
    "onnxruntime-tensorrt-rtx": ("fp32", "fp16", "int8"),
    "onnxruntime-cuda": ("fp32", "fp16"),
    "openvino": ("fp32", "fp16", "int8"),
    "onnxruntime": ("fp32", "int8"),
}
_INSTALL = {
    "openvino": "pip install 'realnet-edge[openvino]'",
    "onnxruntime": "pip install onnxruntime",
    **{backend: provider.install for backend, provider in PROVIDERS.items()},
    "tensorrt": "install TensorRT from NVIDIA (JetPack holds it) or pip install 'realnet-edge[tensorrt-rtx]'",
}
_NEEDS_GPU = (
    "run on a machine with an NVIDIA GPU, or prepare here what it builds from (realnet-edge build --prepare)"
)
_NEEDS_CUDA = "pip install 'realnet-edge[tensorrt]'"


@dataclass(frozen=True)
class BackendInfo:
    """What this machine has of one backend.

    Attributes:
        name: a key of `SUPPORTED`.
        available: engines of it can be built and run here.
        version: of the runtime; None when it cannot be imported.
        devices: what it would run on, with capabilities where they are told.
        precisions: what can be asked of it.
        missing: what keeps it from being available, else None.
        hint: what to do about that, else None.
    """

    name: str
    available: bool
    version: str | None
    devices: tuple[str, ...]
    precisions: tuple[str, ...]
    missing: str | None = None
    hint: str | None = None


def detect() -> list[BackendInfo]:
    """Every backend this package knows, best first, as found on this machine; imports each runtime."""
    return [detect_backend(name) for name in SUPPORTED]


def detect_backend(name: str) -> BackendInfo:
    """One backend as found on this machine; imports that runtime and no other.

    Args:
        name: a key of `SUPPORTED`.
    """
    return _DETECTORS[name]()


def best_backend(precision: str) -> str:
    """The best backend that this machine has for a precision.

    Raises:
        BackendError: unknown precision, or no backend here can do it; the message says what each lacks.
    """
    known = sorted({name for precisions in SUPPORTED.values() for name in precisions})
    if precision not in known:
        raise BackendError(f"precision {precision!r} is unknown: use {', '.join(known)}.")
    able = [info for info in detect() if precision in info.precisions]
    for info in able:
        if info.available:
            return info.name
    lacks = "; ".join(f"{info.name}: {info.missing} ({info.hint})" for info in able)
    raise BackendError(f"no backend on this machine can do {precision}. {lacks}.")


def check_precision(backend: str, precision: str) -> None:
    """Refuse a precision that a backend cannot do.

    Raises:
        BackendError: unknown backend or precision; the message lists what is valid.
    """
    if backend not in SUPPORTED:
        raise BackendError(f"backend {backend!r} is unknown: use {', '.join(SUPPORTED)}.")
    if precision not in SUPPORTED[backend]:
        able = ", ".join(SUPPORTED[backend])
        raise BackendError(f"{backend} cannot do {precision!r}: it can do {able}.{_done_by(precision)}")


def require_backend(backend: str, precision: str) -> None:
    """Refuse a backend that this machine does not have, or that cannot do the precision.

    Raises:
        BackendError: the message says what is missing and what adds it.
    """
    check_precision(backend, precision)
    info = detect_backend(backend)
    if not info.available:
        raise BackendError(f"{backend} cannot be used here: {info.missing}. What to do: {info.hint}.")


def import_backend(backend: str, precision: str) -> Any:
    """The runtime's own module, imported now.

    Raises:
        BackendError: a precision it cannot do, or it is not installed; the message gives the command.
    """
    check_precision(backend, precision)
    module, missing = _import(backend)
    if module is None:
        raise BackendError(f"{backend} cannot be used here: {missing}. What to do: {_INSTALL[backend]}.")
    return module


def _done_by(precision: str) -> str:
    """Which backends can do a precision, those that this machine has first; imports each of them."""
    able = [detect_backend(name) for name, precisions in SUPPORTED.items() if precision in precisions]
    here = [info.name for info in able if info.available]
    elsewhere = [info.name for info in able if not info.available]
    return "".join(
        f" {where} {precision} is done by {', '.join(names)}."
        for where, names in (("On this machine", here), ("On others", elsewhere))
        if names
    )


def _detect_onnxruntime() -> BackendInfo:
    module, missing = _import("onnxruntime")
    if module is None:
        return _absent("onnxruntime", missing)
    return BackendInfo("onnxruntime", True, _version(module), ("CPU",), SUPPORTED["onnxruntime"])


def _detect_provider(backend: str) -> BackendInfo:
    """One of ONNX Runtime's GPU providers; whether it starts shows when a session is opened."""
    module, missing = _import(backend)
    devices, no_device = cuda_devices()
    lacks = [(missing, _INSTALL["onnxruntime"]), (no_device, _NEEDS_GPU)]
    if module is not None and PROVIDERS[backend].name not in (here := providers_here(module)):
        lacks.append((f"this onnxruntime has only {', '.join(here)}", _INSTALL[backend]))
    return _gpu_backend(backend, None if module is None else _version(module), devices, lacks)


def _detect_openvino() -> BackendInfo:
    module, missing = _import("openvino")
    if module is None:
        return _absent("openvino", missing)
    core = module.Core()
    version = _version(module).split("-")[0]
    if "CPU" not in core.available_devices:
        found = ", ".join(core.available_devices) or "nothing"
        return _absent("openvino", f"its CPU plugin (it sees {found})", version)
    capabilities = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    types = [name for name in ("INT8", "BF16", "FP16", "FP32") if name in capabilities]
    device = f"CPU: {core.get_property('CPU', 'FULL_DEVICE_NAME').strip()} ({', '.join(types)})"
    return BackendInfo("openvino", True, version, (device,), SUPPORTED["openvino"])


def _detect_tensorrt() -> BackendInfo:
    module, missing = _import("tensorrt")
    devices, no_device = cuda_devices()
    lacks = [(missing, _INSTALL["tensorrt"]), (no_device, _NEEDS_GPU)]
    if find_package() is None:
        lacks.append((f"neither {' nor '.join(PACKAGES)} is installed", _NEEDS_CUDA))
    if module is not None and devices:
        capability = first_gpu().compute_capability
        if not versions.supports_gpu(module, capability):
            found = f"{versions.describe(module)} has no kernels for compute capability {capability}"
            lacks.append((found, "install TensorRT itself from NVIDIA"))
    version = None if module is None else _version(module)
    if module is not None and versions.is_rtx(module):
        version = f"{version} (for RTX)"
    return _gpu_backend("tensorrt", version, devices, lacks)


def _gpu_backend(
    name: str, version: str | None, devices: tuple[str, ...], lacks: list[tuple[str | None, str]]
) -> BackendInfo:
    """`lacks`: what is missing, None where it is there, and what to do about it."""
    texts = [text for text, _ in lacks if text]
    hints = [hint for text, hint in lacks if text]
    return BackendInfo(
        name,
        not texts,
        version,
        devices,
        SUPPORTED[name],
        " and ".join(texts) or None,
        " and ".join(hints) or None,
    )


def _import(name: str) -> tuple[ModuleType | None, str | None]:
    if name in PROVIDERS:
        name = "onnxruntime"
    if name == "openvino":
        # Importing it reports usage to its makers over the network, from a process it forks. An inspection
        # line tells nobody anything: with that package marked as absent, OpenVINO takes its own stub.
        sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # None is documented
    if name == "tensorrt" and not _installed(name) and _installed(versions.RTX):
        # The other flavour counts where TensorRT itself is not installed; where it is broken, that is said.
        name = versions.RTX
    try:
        return importlib.import_module(name), None
    except ModuleNotFoundError as error:
        # A package that is there but lacks a part of its own is another fault than an absent one.
        return None, f"{name} is not installed" if error.name == name else f"{name} is broken ({error})"
    except (ImportError, OSError, RuntimeError) as error:
        return None, f"{name} is broken ({error})"


def _installed(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False


def _version(module: ModuleType) -> str:
    return str(getattr(module, "__version__", "unknown"))


def _absent(name: str, missing: str | None, version: str | None = None) -> BackendInfo:
    return BackendInfo(name, False, version, (), SUPPORTED[name], missing, _INSTALL[name])


_DETECTORS: dict[str, Callable[[], BackendInfo]] = {
    "tensorrt": _detect_tensorrt,
    **{backend: partial(_detect_provider, backend) for backend in PROVIDERS},
    "openvino": _detect_openvino,
    "onnxruntime": _detect_onnxruntime,
}
