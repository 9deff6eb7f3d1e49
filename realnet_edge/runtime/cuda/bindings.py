"""CUDA through cuda-bindings, 12.9 and 13: the runtime API, every answer checked."""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Callable
from typing import Any

import numpy as np
from cuda.bindings import runtime as cudart

from realnet_edge.errors import BackendError
from realnet_edge.runtime.cuda.device import Bytes, CudaDevice, Graph


class BindingsDevice(CudaDevice):
    """See `CudaDevice`. Uses the device's primary context, which TensorRT and other libraries share."""

    def __init__(self) -> None:
        self._device_memory: list[int] = []
        self._host_memory: list[int] = []
        self._stream: Any = None
        if not call(cudart.cudaGetDeviceCount):
            raise BackendError("no NVIDIA GPU: CUDA counts 0 devices.")
        call(cudart.cudaSetDevice, 0)
        # Not blocking: the legacy default stream of another library must not stand in line with this one.
        self._stream = call(cudart.cudaStreamCreateWithFlags, cudart.cudaStreamNonBlocking)

    @property
    def stream(self) -> int:
        return int(self._stream)

    def allocate(self, size: int) -> int:
        address = int(call(cudart.cudaMalloc, size))
        self._device_memory.append(address)
        return address

    def allocate_host(self, size: int) -> Bytes:
        address = int(call(cudart.cudaHostAlloc, size, cudart.cudaHostAllocDefault))
        self._host_memory.append(address)
        return np.ctypeslib.as_array((ctypes.c_uint8 * size).from_address(address))

    def to_device(self, address: int, source: Bytes) -> None:
        kind = cudart.cudaMemcpyKind.cudaMemcpyHostToDevice
        call(cudart.cudaMemcpyAsync, address, source.ctypes.data, source.nbytes, kind, self._stream)

    def to_host(self, target: Bytes, address: int) -> None:
        kind = cudart.cudaMemcpyKind.cudaMemcpyDeviceToHost
        call(cudart.cudaMemcpyAsync, target.ctypes.data, address, target.nbytes, kind, self._stream)

    def fill(self, address: int, value: int, size: int) -> None:
        call(cudart.cudaMemsetAsync, address, value, size, self._stream)

    def synchronise(self) -> None:
        call(cudart.cudaStreamSynchronize, self._stream)

    def wait_for(self, stream: int | None) -> None:
        if stream is None:
            call(cudart.cudaDeviceSynchronize)
            return
        call(cudart.cudaStreamSynchronize, cudart.cudaStream_t(stream))

    def capture(self, work: Callable[[], None]) -> Graph | None:
        # Thread-local: what other threads do meanwhile neither joins the graph nor breaks it.
        mode = cudart.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
        call(cudart.cudaStreamBeginCapture, self._stream, mode)
        try:
            work()
        except BaseException:
            # Ended all the same, or every later call on the stream fails; its own answer is of no interest.
            cudart.cudaStreamEndCapture(self._stream)
            cudart.cudaGetLastError()
            raise
        recorded = call(cudart.cudaStreamEndCapture, self._stream)
        try:
            executable = call(cudart.cudaGraphInstantiate, recorded, 0)
        finally:
            call(cudart.cudaGraphDestroy, recorded)
        return Graph(
            launch=lambda: call(cudart.cudaGraphLaunch, executable, self._stream),
            release=lambda: call(cudart.cudaGraphExecDestroy, executable),
        )

    def close(self) -> None:
        releases: list[tuple[Callable[..., Any], Any]] = [
            *((cudart.cudaFreeHost, address) for address in self._host_memory),
            *((cudart.cudaFree, address) for address in self._device_memory),
        ]
        if self._stream is not None:
            releases.append((cudart.cudaStreamDestroy, self._stream))
        self._host_memory, self._device_memory, self._stream = [], [], None
        with contextlib.ExitStack() as stack:
            # All of them, whatever one answers; the first error is raised at the end.
            for release, handle in reversed(releases):
                stack.callback(call, release, handle)


def call(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a CUDA function and give its one result (None where it has none).

    Raises:
        BackendError: CUDA's answer was not success; the message has its name, its own text, and what to do.
    """
    code, *results = function(*arguments)
    if code != cudart.cudaError_t.cudaSuccess:
        _, text = cudart.cudaGetErrorString(code)
        shown = text.decode(errors="replace") if isinstance(text, bytes) else str(text)
        raise BackendError(f"{function.__name__}: {shown} ({code.name}). {_advice(code)}")
    return results[0] if results else None


def _advice(code: Any) -> str:
    errors = cudart.cudaError_t
    if code in (errors.cudaErrorInsufficientDriver, errors.cudaErrorNoDevice):
        return "This needs an NVIDIA GPU and a driver for this CUDA; `realnet-edge env` shows what is here."
    if code == errors.cudaErrorMemoryAllocation:
        return "Close what else uses the GPU's memory, or build with a smaller largest batch."
    return "An error of earlier work may show late: run once more by itself to see whether it stays."
