"""RRS's plugin in TensorRT's registry, as long as a graph is parsed and built or an engine is loaded."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from realnet_edge.errors import BackendError, ExportError
from realnet_edge.kernels.kernel_set import KernelSet
from realnet_edge.kernels.rrs_call import DOMAIN, Launcher
from realnet_edge.kernels.rrs_plugin import rrs_creator
from realnet_edge.runtime.cuda.kernels import DriverLauncher
from realnet_edge.runtime.tensorrt import versions


@contextmanager
def rrs_registered(
    trt: Any, kernels: KernelSet | None, launcher: Launcher | None = None
) -> Iterator[list[Exception]]:
    """Let TensorRT find the plugin inside the block; what was made there lives on after it.

    Args:
        trt: the module, `tensorrt` or `tensorrt_rtx`.
        kernels: code for this GPU, to build with; None to load engines, which bring their own.
        launcher: what speaks to the GPU; None for this machine's driver.

    Yields:
        What went wrong in the plugin, in this block or while an engine runs that was loaded in it.

    Raises:
        BackendError: TensorRT does not take the plugin. Errors of the block get the plugin's own reason.
    """
    versions.prepare_plugins(trt)
    failures: list[Exception] = []
    creator = rrs_creator(trt, DriverLauncher() if launcher is None else launcher, kernels, failures)
    registry = trt.get_plugin_registry()
    if not registry.register_creator(creator, DOMAIN):
        raise BackendError(
            f"{versions.describe(trt)} has a plugin by the name of RRS's already: build in another process."
        )
    try:
        yield failures
    except (BackendError, ExportError) as error:
        if not failures:
            raise
        raise type(error)(f"{error} {plugin_said(failures)}") from failures[-1]
    finally:
        registry.deregister_creator(creator)


def plugin_said(failures: list[Exception]) -> str:
    """The newest reason as a sentence; empty where nothing went wrong."""
    return f"RRS's plugin said: {failures[-1]}" if failures else ""


def has_plugin(trt: Any, network: Any) -> bool:
    """Whether a parsed network holds a plugin's layer."""
    kinds = (network.get_layer(index).type for index in range(network.num_layers))
    return trt.LayerType.PLUGIN_V3 in kinds
