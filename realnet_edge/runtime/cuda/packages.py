"""Which package speaks to CUDA here."""

from __future__ import annotations

import importlib.util

# Best first: cuda-bindings has wheels for x86-64 and aarch64 and captures graphs; pycuda is what Jetson users
# have long had.
PACKAGES = {"cuda-bindings": "cuda.bindings.runtime", "pycuda": "pycuda.driver"}


def find_package() -> str | None:
    """The first of `PACKAGES` that is installed, None where none is; imports neither."""
    return next((name for name, module in PACKAGES.items() if _installed(module)), None)


def _installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # not even the package that the module would lie in
        return False
