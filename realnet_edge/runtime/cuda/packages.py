"""Which package speaks to CUDA here."""

from __future__ import annotations

import importlib.util

# Best first: cuda-bindings has wheels for x86-64 and aarch64 and captures graphs; pycuda is what Jetson users
# have long had.
PACKAGES = {"cuda-bindings": "cuda.bindings.runtime", "pycuda": "pycuda.driver"}


def find_package() -> str | None:
    """The first of `PACKAGES` that is installed, None where none is; imports neither."""
    for name, module in PACKAGES.items():
        try:
            if importlib.util.find_spec(module) is not None:
                return name
        except ModuleNotFoundError:  # not even the package that the module would lie in
            continue
    return None
