"""Memory of a training on a CPU: what a step frees, the next step needs again."""

from __future__ import annotations

import ctypes
import sys

# glibc's malloc.h.
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
# The larger one where glibc takes it, else the most that older ones take.
_MMAP_BYTES = (1 << 30, 32 << 20)
_TRIM_BYTES = (1 << 31) - 1


def keep_freed_memory() -> bool:
    """Have this process keep freed memory for its next allocations, and say whether that could be set.

    glibc gives large blocks back to the system at once and gets them anew, page by page and zeroed: tens of
    thousands of page faults a step. The price: what a step took stays with the process. Nothing changes where
    the C library is another one.
    """
    if sys.platform != "linux":
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    mapped = any(mallopt(_M_MMAP_THRESHOLD, size) for size in _MMAP_BYTES)
    return bool(mallopt(_M_TRIM_THRESHOLD, _TRIM_BYTES)) and mapped
