"""Where TensorRT's releases differ, and which one each difference comes from.

Everything else of the API that is used is the same in 10.3 (JetPack 6), 10.13 and 10.16 (JetPack 7), 11 and
TensorRT for RTX 1.7. The module is always passed in: both flavours can be installed side by side.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

from realnet_edge.errors import BackendError, ConfigError

RTX = "tensorrt_rtx"


def flavour(trt: Any) -> str:
    """Name of the module: "tensorrt" or "tensorrt_rtx"."""
    return str(trt.__name__).split(".")[0]


def is_rtx(trt: Any) -> bool:
    """Whether the module is TensorRT for RTX."""
    return flavour(trt) == RTX


def describe(trt: Any) -> str:
    """Name and version for people."""
    return f"{'TensorRT for RTX' if is_rtx(trt) else 'TensorRT'} {trt.__version__}"


def strongly_typed(trt: Any) -> int:
    """Flags of a network whose types are those of its graph.

    The flag is bit 1 in TensorRT 10 and bit 0 in 11 and for RTX, where nothing else is left.
    """
    return 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)


def supports_gpu(trt: Any, compute_capability: str) -> bool:
    """Whether this release has kernels for a GPU.

    TensorRT for RTX names what it has; data centre GPUs (9.0, 10.0) are not among it, nor are Jetsons
    (8.7, 11.0). Of TensorRT's the builder knows.
    """
    if not is_rtx(trt):
        return True
    return f"SM{compute_capability.replace('.', '')}" in trt.ComputeCapability.__members__


def has_timing_cache(trt: Any) -> bool:
    """Whether builds can be made quicker by earlier ones: TensorRT for RTX times nothing since its 1.2."""
    return not is_rtx(trt)


def plugins_over_functions(trt: Any) -> bool:
    """Whether the parser prefers a plugin to a local function of the same name: from TensorRT 10.7 on.

    Before it, a graph must not hold the function if the plugin shall be found.
    """
    return is_rtx(trt) or _release(trt) >= (10, 7)


def why_no_plugin(trt: Any) -> str | None:
    """Why Python plugins cannot be used with this release; None where they can."""
    if not hasattr(trt, "IPluginCreatorV3One"):
        return f"{describe(trt)} has no IPluginV3, TensorRT 10.0 and newer have"
    return None


def prepare_plugins(trt: Any) -> None:
    """Let the parser of TensorRT for RTX find its library, which it looks for by a name that its wheel lacks.

    At the first plugin's node it opens `libtensorrt_rtx.so`, and ends the process if there is none.

    Raises:
        BackendError: the wheel's folder cannot be written to; the message gives the command.
    """
    if not is_rtx(trt) or sys.platform != "linux":
        return
    spec = importlib.util.find_spec(f"{RTX}_libs")
    folder = Path(spec.origin).parent if spec is not None and spec.origin else None
    # Without the wheel's own libraries they were installed where the loader looks, under both names.
    for library in [] if folder is None else folder.glob("libtensorrt_rtx.so.*"):
        link = library.with_suffix("")
        try:
            if not link.exists():
                link.symlink_to(library.name)
        except FileExistsError:
            pass
        except OSError as error:
            raise BackendError(
                f"plugins of {describe(trt)} need {link}, which cannot be made here ({error}). Make it with "
                f"`ln -s {library.name} {link}`, or build with --rrs native."
            ) from error


def make_hardware_compatible(trt: Any, config: Any) -> None:
    """Let the engine run on every GPU from Ampere on.

    Raises:
        ConfigError: TensorRT for RTX, which has no such setting.
    """
    if is_rtx(trt):
        raise ConfigError(
            "hardware-compatible engines are TensorRT's: those of TensorRT for RTX are made for compute "
            "capabilities 8.6, 8.9 and 12.0 in any case. Leave the option out."
        )
    config.hardware_compatibility_level = trt.HardwareCompatibilityLevel.AMPERE_PLUS


def create_context(trt: Any, engine: Any, cuda_graphs: bool) -> tuple[Any, bool]:
    """An execution context (None where TensorRT made none), and whether the runner may capture it.

    TensorRT for RTX compiles kernels while it runs, which no stream capture survives; from 1.2 on it captures
    by itself when told to.

    Raises:
        BackendError: TensorRT for RTX refused the setting.
    """
    if not is_rtx(trt):
        return engine.create_execution_context(), cuda_graphs
    config = engine.create_runtime_config()
    wanted = trt.CudaGraphStrategy.WHOLE_GRAPH_CAPTURE if cuda_graphs else trt.CudaGraphStrategy.DISABLED
    config.cuda_graph_strategy = wanted
    if config.cuda_graph_strategy != wanted:
        raise BackendError(f"{describe(trt)} did not take the CUDA graph strategy {wanted.name}.")
    return engine.create_execution_context(config), False


def _release(trt: Any) -> tuple[int, ...]:
    """(major, minor)."""
    return tuple(int(part) for part in str(trt.__version__).split(".")[:2])
