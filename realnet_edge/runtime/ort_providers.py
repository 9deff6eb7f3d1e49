"""ONNX Runtime's execution providers for NVIDIA GPUs: what each is called, needs and is told.

A provider that cannot start is dropped by ONNX Runtime with a line in its log, and the session computes on
the processor: so what took part is asked of the session afterwards.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from realnet_edge.errors import BackendError

CPU = "CPUExecutionProvider"
# The provider for TensorRT for RTX as a package of its own, beside the plain onnxruntime.
RTX_PLUGIN = "onnxruntime_ep_nv_tensorrt_rtx"
RECORD_PLACES = "session.record_ep_graph_assignment_info"
# Where nearly all of the time goes: with one of these on the processor it is no engine of a GPU. Shapes are
# computed there on purpose.
_HEAVY = frozenset({"Conv", "ConvTranspose", "MatMul", "Gemm"})
_GPU_PACKAGE = "pip uninstall onnxruntime, then pip install 'onnxruntime-gpu[cuda,cudnn]'"


@dataclass(frozen=True)
class Provider:
    """One execution provider.

    Attributes:
        name: ONNX Runtime's.
        install: what adds it.
        options: its options by name, from the folder of its cache, (height, width) and smallest and largest
            batch.
    """

    name: str
    install: str
    options: Callable[[Path, tuple[int, int], tuple[int, int]], dict[str, str]]


def _cuda(_cache: Path, _size: tuple[int, int], _batch: tuple[int, int]) -> dict[str, str]:
    # FP32 means float32: it would multiply in TF32 otherwise.
    return {"device_id": "0", "use_tf32": "0"}


def _tensorrt(cache: Path, size: tuple[int, int], batch: tuple[int, int]) -> dict[str, str]:
    # Neither trt_fp16_enable nor trt_int8_enable: without them networks are strongly typed, as the graph is.
    return {
        "device_id": "0",
        "trt_engine_cache_enable": "1",
        "trt_engine_cache_path": str(cache),
        "trt_timing_cache_enable": "1",
        "trt_timing_cache_path": str(cache),
        **_profile("trt", size, batch),
    }


def _rtx(cache: Path, size: tuple[int, int], batch: tuple[int, int]) -> dict[str, str]:
    return {"device_id": "0", "nv_runtime_cache_path": str(cache), **_profile("nv", size, batch)}


def _profile(prefix: str, size: tuple[int, int], batch: tuple[int, int]) -> dict[str, str]:
    """Smallest, optimal and largest shape; the optimal one is the smallest, as a camera loop asks for it."""
    shapes = {"min": batch[0], "opt": batch[0], "max": batch[1]}
    return {
        f"{prefix}_profile_{name}_shapes": f"image:{count}x{size[0]}x{size[1]}x3"
        for name, count in shapes.items()
    }


# Backend -> its provider.
PROVIDERS = {
    "onnxruntime-cuda": Provider("CUDAExecutionProvider", _GPU_PACKAGE, _cuda),
    "onnxruntime-tensorrt": Provider(
        "TensorrtExecutionProvider",
        f"{_GPU_PACKAGE}, and TensorRT's libraries from NVIDIA in the release that it names",
        _tensorrt,
    ),
    "onnxruntime-tensorrt-rtx": Provider(
        "NvTensorRTRTXExecutionProvider",
        "pip install 'onnxruntime>=1.24' onnxruntime-ep-nv-tensorrt-rtx",
        _rtx,
    ),
}


def providers_here(ort: Any) -> list[str]:
    """Names of the providers that this onnxruntime has, those of packages beside it included."""
    found = [str(name) for name in ort.get_available_providers()]
    rtx = PROVIDERS["onnxruntime-tensorrt-rtx"].name
    if rtx not in found and importlib.util.find_spec(RTX_PLUGIN) is not None:
        found.append(rtx)
    return found


def open_session(
    ort: Any, model: Path, provider: Provider, options: dict[str, str], threads: int | None
) -> Any:
    """A session on the first GPU with one provider, and what it cannot do on the processor.

    Raises:
        BackendError: the provider is not there, did not start, left layers with weights to the processor, or
            does not take the model.
    """
    here = providers_here(ort)
    if provider.name not in here:
        raise BackendError(
            f"this onnxruntime {ort.__version__} has no {provider.name}, only {', '.join(here)}. What to do: "
            f"{provider.install}."
        )
    settings = ort.SessionOptions()
    settings.log_severity_level = 3
    settings.add_session_config_entry(RECORD_PLACES, "1")
    if threads is not None:
        settings.intra_op_num_threads = threads
    _preload(ort)
    built_in = provider.name in ort.get_available_providers()
    if not built_in:
        settings.add_provider_for_devices([_plugin_device(ort, provider)], options)
    asked = {"providers": [(provider.name, options)]} if built_in else {}
    try:
        session = ort.InferenceSession(str(model), settings, enable_fallback=0, **asked)
    except Exception as error:  # its exceptions share no base but Exception
        raise BackendError(
            f"{model}: ONNX Runtime's {provider.name} cannot load it ({' '.join(str(error).split())}). If a "
            f"library is missing: {provider.install}."
        ) from error
    session.disable_fallback()
    check_session(session, provider)
    return session


def check_session(session: Any, provider: Provider) -> None:
    """Refuse a session that computes elsewhere than it was told to.

    Raises:
        BackendError: the provider takes no part, or layers with weights are left to the processor.
    """
    taken = list(session.get_providers())
    if taken not in ([provider.name], [provider.name, CPU]):
        raise BackendError(
            f"ONNX Runtime took {', '.join(taken)} where {provider.name} was asked for: it could not start, "
            f"most often because a library is missing or of another CUDA. What to do: {provider.install}."
        )
    # Newer releases tell which layer lies where.
    places = session.get_provider_graph_assignment_info() if _tells_places(session) else []
    strays = [
        node.name or node.op_type
        for place in places
        if place.ep_name == CPU
        for node in place.get_nodes()
        if node.op_type in _HEAVY
    ]
    if strays:
        raise BackendError(
            f"ONNX Runtime's {provider.name} leaves {len(strays)} layers with weights to the processor "
            f"({', '.join(strays[:3])}): build for another backend or precision."
        )


def _tells_places(session: Any) -> bool:
    return hasattr(session, "get_provider_graph_assignment_info")


def _preload(ort: Any) -> None:
    """CUDA's libraries from NVIDIA's packages, where they are installed as such."""
    if hasattr(ort, "preload_dlls"):
        # It prints what it does not find; standard output belongs to results.
        with contextlib.redirect_stdout(sys.stderr):
            ort.preload_dlls()


def _plugin_device(ort: Any, provider: Provider) -> Any:
    """The first device of the provider in a package of its own, which is registered first.

    Raises:
        BackendError: the package is broken, or sees no GPU that it can use.
    """
    try:
        plugin = importlib.import_module(RTX_PLUGIN)
        if provider.name not in {device.ep_name for device in ort.get_ep_devices()}:
            ort.register_execution_provider_library(provider.name, plugin.get_library_path())
    except Exception as error:  # its exceptions share no base but Exception
        raise BackendError(f"{RTX_PLUGIN} is installed but broken ({error}). {provider.install}.") from error
    devices = [device for device in ort.get_ep_devices() if device.ep_name == provider.name]
    if not devices:
        raise BackendError(
            f"{provider.name} sees no GPU that it can use: it needs a GeForce or RTX one from Ampere on."
        )
    return devices[0]
