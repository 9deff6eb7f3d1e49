"""This machine's TensorRT and GPU: which module to take, and whose engines may be run."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from realnet_edge.bundle import EngineKey, EngineTarget, changed_target
from realnet_edge.errors import BackendError
from realnet_edge.runtime.gpu import first_gpu
from realnet_edge.runtime.tensorrt.versions import flavour


def target_here(trt: Any) -> EngineTarget:
    """What engines built here are bound to.

    Raises:
        BackendError: no driver, or no GPU.
    """
    gpu = first_gpu()
    return EngineTarget(flavour(trt), str(trt.__version__), gpu.name, gpu.compute_capability, gpu.cuda)


def refuse_foreign(key: EngineKey, here: EngineTarget, engine: Path) -> None:
    """Refuse an engine that was not built for this machine: it is code, and is not even looked into.

    Raises:
        BackendError: the message says what is another.
    """
    differences = changed_target(key, here)
    if differences:
        raise BackendError(
            f"{engine}: built for another machine, so it was not loaded ({'; '.join(differences)}). Build "
            "the bundle again here with `realnet-edge build`."
        )


def import_flavour(name: str) -> Any:
    """The module of a flavour, "tensorrt" or "tensorrt_rtx".

    Raises:
        BackendError: it is not installed, or broken.
    """
    try:
        return importlib.import_module(name)
    except (ImportError, OSError, RuntimeError) as error:
        raise BackendError(
            f"this engine runs with {name}, which cannot be imported here ({error}). Install it, or build "
            "the bundle again with the TensorRT that is here."
        ) from error
