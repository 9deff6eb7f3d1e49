"""Which NVIDIA GPUs answer, asked of the driver itself: no torch, no CUDA package."""

from __future__ import annotations

import ctypes
import sys

_DRIVER = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
_NAME_BYTES = 256


def cuda_devices() -> tuple[tuple[str, ...], str | None]:
    """Names of the NVIDIA GPUs that the driver reaches, and why there is none (None when there is one)."""
    try:
        driver = ctypes.CDLL(_DRIVER)
    except OSError:
        return (), "no NVIDIA driver"
    if code := driver.cuInit(0):
        return (), f"the NVIDIA driver answers with error {code}"
    count = ctypes.c_int()
    if code := driver.cuDeviceGetCount(ctypes.byref(count)):
        return (), f"the NVIDIA driver answers with error {code}"
    names = tuple(_name(driver, index) for index in range(count.value))
    return names, None if names else "no NVIDIA GPU"


def _name(driver: ctypes.CDLL, index: int) -> str:
    device = ctypes.c_int()
    text = ctypes.create_string_buffer(_NAME_BYTES)
    driver.cuDeviceGet(ctypes.byref(device), index)
    driver.cuDeviceGetName(text, _NAME_BYTES, device)
    return text.value.decode(errors="replace") or f"GPU {index}"
