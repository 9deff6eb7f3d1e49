"""Which NVIDIA GPUs answer, asked of the driver itself: no torch, no CUDA package."""

from __future__ import annotations

import ctypes
import sys
from dataclasses import dataclass

from realnet_edge.errors import BackendError

_DRIVER = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
_NAME_BYTES = 256
# CUdevice_attribute: compute capability, major and minor.
_CAPABILITY = (75, 76)


@dataclass(frozen=True)
class CudaGpu:
    """A GPU as the driver describes it.

    Attributes:
        name: such as "Orin" or "NVIDIA L4".
        compute_capability: such as "8.7".
        cuda: newest CUDA that the driver supports, such as "12.6".
    """

    name: str
    compute_capability: str
    cuda: str


def cuda_devices() -> tuple[tuple[str, ...], str | None]:
    """Names of the NVIDIA GPUs that the driver reaches, and why there is none (None when there is one)."""
    try:
        driver = open_driver()
        names = tuple(_name(driver, index) for index in range(_count(driver)))
    except BackendError as error:
        return (), str(error)
    return names, None if names else "no NVIDIA GPU"


def first_gpu() -> CudaGpu:
    """The GPU that engines are built for and run on.

    Raises:
        BackendError: no driver, or no GPU.
    """
    driver = open_driver()
    if not _count(driver):
        raise BackendError("no NVIDIA GPU")
    version, parts = ctypes.c_int(), (ctypes.c_int(), ctypes.c_int())
    _check(driver.cuDriverGetVersion(ctypes.byref(version)))
    for part, attribute in zip(parts, _CAPABILITY, strict=True):
        _check(driver.cuDeviceGetAttribute(ctypes.byref(part), attribute, 0))
    # 12060 is CUDA 12.6.
    cuda = f"{version.value // 1000}.{version.value % 1000 // 10}"
    return CudaGpu(_name(driver, 0), f"{parts[0].value}.{parts[1].value}", cuda)


def open_driver() -> ctypes.CDLL:
    """The driver's own library, initialised.

    Raises:
        BackendError: there is none, or it does not start.
    """
    try:
        driver = ctypes.CDLL(_DRIVER)
    except OSError as error:
        raise BackendError("no NVIDIA driver") from error
    _check(driver.cuInit(0))
    return driver


def _count(driver: ctypes.CDLL) -> int:
    count = ctypes.c_int()
    _check(driver.cuDeviceGetCount(ctypes.byref(count)))
    return count.value


def _check(code: int) -> None:
    if code:
        raise BackendError(f"the NVIDIA driver answers with error {code}")


def _name(driver: ctypes.CDLL, index: int) -> str:
    device = ctypes.c_int()
    text = ctypes.create_string_buffer(_NAME_BYTES)
    driver.cuDeviceGet(ctypes.byref(device), index)
    driver.cuDeviceGetName(text, _NAME_BYTES, device)
    return text.value.decode(errors="replace") or f"GPU {index}"
