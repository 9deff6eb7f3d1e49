"""CUDA through pycuda, which Jetson users often have; pycuda raises by itself on every error."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pycuda.driver as driver

from realnet_edge.errors import BackendError
from realnet_edge.runtime.cuda.device import Bytes, CudaDevice, Graph


class PycudaDevice(CudaDevice):
    """See `CudaDevice`. Without captured graphs: pycuda's releases cannot record them."""

    def __init__(self) -> None:
        self._kept: list[Any] = []
        try:
            driver.init()
            if driver.Device.count() == 0:
                raise BackendError("no NVIDIA GPU: CUDA counts 0 devices.")
            # The primary context, which TensorRT and other libraries share.
            self._context = driver.Device(0).retain_primary_context()
            self._context.push()
            self._stream = driver.Stream()
        except driver.Error as error:
            raise BackendError(f"pycuda cannot open the GPU: {error}.") from error

    @property
    def stream(self) -> int:
        return int(self._stream.handle)

    def allocate(self, size: int) -> int:
        memory = _checked(driver.mem_alloc, size)
        self._kept.append(memory)
        return int(memory)

    def allocate_host(self, size: int) -> Bytes:
        memory: Bytes = _checked(driver.pagelocked_empty, size, np.uint8)
        return memory

    def to_device(self, address: int, source: Bytes) -> None:
        _checked(driver.memcpy_htod_async, address, source, self._stream)

    def to_host(self, target: Bytes, address: int) -> None:
        _checked(driver.memcpy_dtoh_async, target, address, self._stream)

    def fill(self, address: int, value: int, size: int) -> None:
        _checked(driver.memset_d8_async, address, value, size, self._stream)

    def synchronise(self) -> None:
        _checked(self._stream.synchronize)

    def wait_for(self, stream: int | None) -> None:
        # pycuda wraps no foreign stream: wait for all of them.
        _checked(self._context.synchronize)

    def capture(self, work: Callable[[], None]) -> Graph | None:
        return None

    def close(self) -> None:
        if self._context is None:
            return
        self._kept.clear()
        context, self._context, self._stream = self._context, None, None
        context.pop()
        context.detach()


def _checked(function: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return function(*arguments)
    except driver.Error as error:
        raise BackendError(f"{getattr(function, '__name__', 'CUDA')}: {error}.") from error
