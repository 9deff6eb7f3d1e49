"""Compiled kernels, launched through the driver itself: on any stream, with no package in between.

Whoever computes inside another library's work is handed a stream by its handle, which pycuda does not take,
and a bare driver is all that a Jetson is sure to have.
"""

from __future__ import annotations

import ctypes
import hashlib
from collections.abc import Sequence
from functools import cached_property
from typing import Any

from realnet_edge.errors import BackendError
from realnet_edge.runtime.gpu import open_driver

_POINTER = ctypes.c_void_p
_SIGNATURES: dict[str, tuple[Any, ...]] = {
    # Not bound to a context: TensorRT calls from whichever thread it likes. From CUDA 12.0 on.
    "cuLibraryLoadData": (_POINTER, _POINTER, *(_POINTER, _POINTER, ctypes.c_uint) * 2),
    "cuLibraryGetKernel": (_POINTER, _POINTER, ctypes.c_char_p),
    "cuLaunchKernel": (_POINTER, *(ctypes.c_uint,) * 7, _POINTER, _POINTER, _POINTER),
    "cuGetErrorString": (ctypes.c_int, _POINTER),
}


class DriverLauncher:
    """Loads cubins and queues their kernels; what was loaded stays so until the process ends.

    The driver is opened when a kernel is first loaded: engines are also built where there is none.

    Args:
        driver: functions by the names of CUDA's driver API; None for the one of this machine.

    Raises:
        BackendError: from the methods, no driver, one from before CUDA 12, or what CUDA answered.
    """

    def __init__(self, driver: Any = None) -> None:
        self._given = driver
        self._loaded: dict[tuple[str, str], int] = {}

    @cached_property
    def _driver(self) -> Any:
        driver = open_driver() if self._given is None else self._given
        for name, types in _SIGNATURES.items():
            if not hasattr(driver, name):
                raise BackendError(
                    f"this NVIDIA driver has no {name}: kernels need one for CUDA 12.0 or newer. Update the "
                    "driver (JetPack 6 or newer), or build with --rrs native."
                )
            getattr(driver, name).argtypes = types
        return driver

    def load(self, cubin: bytes, name: str) -> int:
        """Handle of a kernel; the same code is loaded once."""
        key = hashlib.sha256(cubin).hexdigest(), name
        if key not in self._loaded:
            library, kernel = _POINTER(), _POINTER()
            nothing = (None, None, 0) * 2
            what = f"load kernel {name}"
            self._call(what, "cuLibraryLoadData", ctypes.byref(library), cubin, *nothing)
            self._call(what, "cuLibraryGetKernel", ctypes.byref(kernel), library, name.encode())
            self._loaded[key] = int(kernel.value or 0)
        return self._loaded[key]

    def launch(
        self,
        function: int,
        grid: tuple[int, int, int],
        threads: int,
        shared: int,
        arguments: Sequence[Any],
        stream: int,
    ) -> None:
        """Queue a kernel.

        Args:
            function: of `load`.
            grid: blocks of threads along each axis.
            threads: of a block.
            shared: bytes of dynamic shared memory.
            arguments: ctypes values in the order of the kernel's parameters; copied before this returns.
            stream: handle.
        """
        addresses = (_POINTER * len(arguments))(*(ctypes.addressof(argument) for argument in arguments))
        size = (*grid, threads, 1, 1, shared)
        self._call("launch a kernel", "cuLaunchKernel", function, *size, stream, addresses, None)

    def _call(self, what: str, name: str, *arguments: Any) -> None:
        code = getattr(self._driver, name)(*arguments)
        if code:
            text = ctypes.c_char_p()
            self._driver.cuGetErrorString(code, ctypes.byref(text))
            said = text.value.decode(errors="replace") if text.value else "no text"
            raise BackendError(
                f"CUDA's driver did not {what}: {said} ({name} answered {code}). If it stays, build with "
                "--rrs native."
            )
