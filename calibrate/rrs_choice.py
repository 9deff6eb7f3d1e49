"""Whether a TensorRT engine computes RRS by our own kernels or by TensorRT's layers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from realnet_edge.bundle.preparation import RRS_MODES
from realnet_edge.errors import BackendError, ConfigError, ExportError, KernelError
from realnet_edge.kernels.kernel_set import KernelSet, load_kernel_set
from realnet_edge.runtime.tensorrt import versions

AUTO, PLUGIN, NATIVE = RRS_MODES
# For a compute capability, 87 for 8.7: code for it, and the graph whose RRS is one node.
FindPlugin = Callable[[int], tuple[KernelSet, Path]]


@dataclass(frozen=True)
class RrsChoice:
    """How RRS is computed.

    Attributes:
        used: "plugin" or "native".
        why: a sentence's part, for the manifest and for people.
        graph: ONNX file that TensorRT reads.
        kernels: what the plugin launches; None for "native".
    """

    used: str
    why: str
    graph: Path
    kernels: KernelSet | None = None

    @property
    def note(self) -> dict[str, str]:
        """For the manifest."""
        return {"used": self.used, "why": self.why}

    def __str__(self) -> str:
        by = "our own kernels, as a plugin" if self.used == PLUGIN else "TensorRT's own layers"
        return f"RRS is computed by {by}: {self.why}"


def choose_rrs(
    wanted: str, trt: Any, compute_capability: str, graph: Path, find: FindPlugin, portable: bool = False
) -> RrsChoice:
    """Take the plugin where it was asked for, or can be used.

    Args:
        wanted: "plugin", "native", or "auto" for the plugin where it can be used.
        trt: the module, `tensorrt` or `tensorrt_rtx`.
        compute_capability: of the GPU, such as "8.7".
        graph: ONNX file in the precision that was asked for.
        find: where the plugin's code and graph come from, such as `compiled_plugin` with what it needs.
        portable: the engine shall also run on other GPUs or releases.

    Raises:
        BackendError, ExportError, KernelError: the plugin was asked for and cannot be used.
    """
    check_mode(wanted)
    if wanted == NATIVE:
        return RrsChoice(NATIVE, "asked for", graph)
    sm = int(compute_capability.replace(".", ""))
    try:
        check_portable(portable)
        if (reason := versions.why_no_plugin(trt)) is not None:
            raise BackendError(f"RRS cannot be a plugin: {reason}. Build with --rrs native.")
        versions.prepare_plugins(trt)
        code, gathered = find(sm)
    except (BackendError, ConfigError, ExportError, KernelError) as error:
        if wanted == PLUGIN:
            raise
        return RrsChoice(NATIVE, f"the plugin cannot be used ({error})", graph)
    why = "asked for" if wanted == PLUGIN else f"there are kernels for SM {sm}"
    return RrsChoice(PLUGIN, why, gathered, code)


def compiled_plugin(graph: Path, target: Path, kernels: Path, sm: int) -> tuple[KernelSet, Path]:
    """The plugin from kernels that were compiled ahead of time; `choose_rrs` gives the last argument.

    Args:
        graph: ONNX file in the precision that was asked for.
        target: the graph with RRS as one node, to be made in a folder of its own.
        kernels: folder of compiled kernels.
        sm: compute capability, 87 for 8.7.

    Raises:
        ConfigError, ExportError, KernelError: no such GPU, kernels or RRS.
    """
    # Before the graph is looked into: nobody has kernels who did not compile any.
    if not (kernels / f"sm_{sm}").is_dir():
        load_kernel_set(kernels, sm, ("rrs_rank_max",))
    # Not above: it needs onnx, which a machine that builds the engine of a prepared bundle does not have.
    from realnet_edge.export.rrs_function import gather_rrs

    node = gather_rrs(graph, target)
    return load_kernel_set(kernels, sm, node.settings.kernels(node.blocks, node.read)), target


def check_mode(wanted: str, backend: str = "tensorrt") -> None:
    """Refuse an unknown mode, and the plugin for a runtime that has none.

    Raises:
        ConfigError: the message says what is valid, or why not.
    """
    if wanted not in RRS_MODES:
        raise ConfigError(f"rrs is {wanted!r}: use {', '.join(RRS_MODES)}.")
    if wanted == PLUGIN and backend != "tensorrt":
        raise ConfigError(
            f"{backend} cannot compute RRS as a plugin: its kernels are CUDA code, launched by TensorRT. "
            "Leave --rrs out, or build for tensorrt."
        )


def check_portable(portable: bool) -> None:
    """Refuse the plugin for an engine that shall also run on other GPUs or releases.

    Raises:
        BackendError: the message says why.
    """
    if portable:
        raise BackendError(
            "RRS's kernels are code for one GPU, and its plugin is registered with one release: an engine"
            " for others has none. Leave --hardware-compatible and --version-compatible out, or --rrs."
        )
