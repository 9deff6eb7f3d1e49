"""Kernels on CPU tensors by Triton's interpreter, which has to be chosen before triton is imported.

`test_interpreter.py` one folder up runs this folder in a process of its own; in any other there is nothing
to collect here. By hand: `TRITON_INTERPRET=1 python -m pytest tests/kernels/interpreter`.
"""

from __future__ import annotations

import ctypes
import importlib
import os
from collections.abc import Iterable
from typing import Any

import pytest
import torch

from realnet_edge.kernels.catalogue import find_kernels
from realnet_edge.kernels.spec import POINTER, KernelSpec

collect_ignore_glob = [] if os.environ.get("TRITON_INTERPRET") == "1" else ["test_*.py"]

_DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "i64": torch.int64}
_POINTER, _UINT = ctypes.c_void_p, ctypes.c_uint


class InterpretedDriver:
    """CUDA's driver with Triton's interpreter for a GPU and this machine's memory for its own.

    Functions have the C signatures of the real ones, and what a launch is given is read back through its
    pointers. A "cubin" is the name of a kernel.

    Attributes:
        launches: (kernel, grid, threads, stream) of each launch.
    """

    def __init__(self) -> None:
        self.launches: list[tuple[str, tuple[int, int, int], int, int | None]] = []
        self._specs: list[KernelSpec] = []
        library = (_POINTER, ctypes.c_char_p, *(_POINTER, _POINTER, _UINT) * 2)
        self.cuLibraryLoadData = ctypes.CFUNCTYPE(ctypes.c_int, *library)(self._load)
        self.cuLibraryGetKernel = ctypes.CFUNCTYPE(ctypes.c_int, _POINTER, _POINTER, ctypes.c_char_p)(
            self._get
        )
        launch = (_POINTER, *(_UINT,) * 7, _POINTER, _POINTER, _POINTER)
        self.cuLaunchKernel = ctypes.CFUNCTYPE(ctypes.c_int, *launch)(self._launch)
        self.cuGetErrorString = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, _POINTER)(lambda _code, _text: 0)

    def _load(self, library: int, code: bytes, *options: Any) -> int:
        self._specs += find_kernels((code.decode(),))
        ctypes.c_uint64.from_address(library).value = len(self._specs)
        return 0

    def _get(self, kernel: int, library: int, name: bytes) -> int:
        ctypes.c_uint64.from_address(kernel).value = library
        return 0 if self._specs[library - 1].name == name.decode() else 500

    def _launch(self, function: int, *rest: Any) -> int:
        grid, block, _shared, stream, parameters, extra = rest[:3], rest[3:6], *rest[6:]
        spec = self._specs[function - 1]
        assert block == (32 * spec.num_warps, 1, 1)
        assert extra is None
        self.launches.append((spec.name, grid, block[0], stream))
        count = len(spec.parameters)
        places = (ctypes.c_uint64 * count).from_address(parameters)
        values = [_read(place, p) for place, p in zip(places, spec.parameters, strict=True)]
        module, _, name = spec.function.partition(":")
        kernel = getattr(importlib.import_module(module), name)
        kernel[grid](*_grouped(spec, values), **spec.constants)
        return 0


def _read(place: int, parameter: Any) -> Any:
    """An integer, or a tensor that begins where a pointer points to; how long it is nobody says."""
    if parameter.kind != POINTER:
        return ctypes.c_int32.from_address(place).value
    address = ctypes.c_uint64.from_address(place).value
    memory = (ctypes.c_uint8 * 8).from_address(address)
    return torch.frombuffer(memory, dtype=_DTYPES[parameter.type.removeprefix("*")], count=1)


def _grouped(spec: KernelSpec, values: Iterable[Any]) -> list[Any]:
    """Values of the entry's parameters as the function takes them: tuples are tuples again."""
    left = iter(values)
    return [
        next(left) if isinstance(kind, str) else tuple(next(left) for _ in kind)
        for kind in spec.arguments.values()
    ]


@pytest.fixture
def driver() -> InterpretedDriver:
    return InterpretedDriver()
