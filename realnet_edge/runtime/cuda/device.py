"""The interface: one GPU, one stream, buffers on both sides, and captured graphs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from realnet_edge.errors import BackendError
from realnet_edge.runtime.cuda.packages import PACKAGES, find_package

Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Graph:
    """A captured graph: `launch` queues it, `release` frees it, once and before the device is closed."""

    launch: Callable[[], None]
    release: Callable[[], None]


class CudaDevice(ABC):
    """The first GPU, open from construction until `close`; not for use from two threads at once.

    Everything but allocation is queued on the one stream and done when `synchronise` returns.

    Raises:
        BackendError: on construction, no GPU or no driver. From every method: what CUDA answered, by its
            name, and the call that it answered to.
    """

    @property
    @abstractmethod
    def stream(self) -> int:
        """Handle of the stream, as TensorRT takes it."""

    @abstractmethod
    def allocate(self, size: int) -> int:
        """Device memory of `size` bytes, freed by `close`; gives its address."""

    @abstractmethod
    def allocate_host(self, size: int) -> Bytes:
        """Page-locked host memory of `size` bytes as a uint8 array, valid until `close`."""

    @abstractmethod
    def to_device(self, address: int, source: Bytes) -> None:
        """Copy page-locked, contiguous bytes to the device."""

    @abstractmethod
    def to_host(self, target: Bytes, address: int) -> None:
        """Copy device bytes into page-locked, contiguous memory."""

    @abstractmethod
    def fill(self, address: int, value: int, size: int) -> None:
        """Set `size` bytes of device memory to `value`, 0..255."""

    @abstractmethod
    def synchronise(self) -> None:
        """Wait for all that was queued; here an error of queued work comes to light."""

    @abstractmethod
    def wait_for(self, stream: int | None) -> None:
        """Wait for another stream's work, whose handle a producer gave; None waits for all streams."""

    @abstractmethod
    def capture(self, work: Callable[[], None]) -> Graph | None:
        """Record what `work` queues as a graph, without running it; None where the package cannot.

        Raises:
            BackendError: something in `work` cannot be captured; the stream is usable again.
        """

    @abstractmethod
    def close(self) -> None:
        """Free everything; may be called more than once."""


def open_device() -> CudaDevice:
    """The first GPU through the first package of `PACKAGES` that is installed.

    Raises:
        BackendError: neither package is installed, or there is no GPU.
    """
    package = find_package()
    if package == "cuda-bindings":
        from realnet_edge.runtime.cuda.bindings import BindingsDevice

        return BindingsDevice()
    if package == "pycuda":
        from realnet_edge.runtime.cuda.pycuda import PycudaDevice

        return PycudaDevice()
    raise BackendError(
        f"no package that speaks to CUDA is installed: one of {', '.join(PACKAGES)} is needed. Install "
        "'realnet-edge[tensorrt]', which takes cuda-bindings."
    )
