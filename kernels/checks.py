"""What a kernel refuses before it is launched: on a GPU a wrong shape reads memory that is not its own."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import torch
from torch import Tensor

from realnet_edge.errors import RealnetEdgeError

FLOATS = (torch.float32, torch.float16, torch.bfloat16)
INTEGERS = (torch.int64, torch.int32)


class KernelArgumentError(RealnetEdgeError, ValueError):
    """An argument that a kernel cannot take."""


def check_rank(name: str, tensor: Tensor, rank: int, axes: str) -> None:
    """Refuse a tensor of another number of dimensions; `axes` names them, as in "(N, C, H, W)".

    Raises:
        KernelArgumentError: it has more or fewer.
    """
    if tensor.ndim != rank:
        raise KernelArgumentError(
            f"{name} has {tensor.ndim} dimensions {tuple(tensor.shape)}; valid: {rank}, {axes}."
        )


def check_dtype(name: str, dtype: torch.dtype, valid: Collection[torch.dtype]) -> None:
    """Refuse a dtype that a kernel does not compute in or give.

    Raises:
        KernelArgumentError: it is not among the valid ones.
    """
    if dtype not in valid:
        names = ", ".join(str(known).removeprefix("torch.") for known in valid)
        raise KernelArgumentError(f"{name} is {str(dtype).removeprefix('torch.')}; valid: {names}.")


def check_same_device(tensors: Mapping[str, Tensor | None]) -> None:
    """Refuse tensors that do not lie on one device; those that are None are not looked at.

    Raises:
        KernelArgumentError: they lie on several.
    """
    devices = {name: tensor.device for name, tensor in tensors.items() if tensor is not None}
    if len(set(devices.values())) > 1:
        shown = ", ".join(f"{name} on {device}" for name, device in devices.items())
        raise KernelArgumentError(f"tensors lie on different devices: {shown}. Move them to one.")


def check_length(name: str, tensor: Tensor, length: int, counted: str) -> None:
    """Refuse anything but a vector of `length` values, one for each `counted`.

    Raises:
        KernelArgumentError: it has another shape.
    """
    if tensor.ndim != 1 or tensor.shape[0] != length:
        raise KernelArgumentError(
            f"{name} has shape {tuple(tensor.shape)}; valid: ({length},), one value a {counted}."
        )


def check_index(name: str, index: Tensor) -> None:
    """Refuse an index that is no vector of integers or is empty.

    Raises:
        KernelArgumentError: wrong rank or dtype, or no entries.
    """
    check_rank(name, index, 1, "positions")
    check_dtype(name, index.dtype, INTEGERS)
    if index.shape[0] == 0:
        raise KernelArgumentError(f"{name} is empty; valid: at least one position.")


def check_index_range(name: str, index: Tensor, count: int, lowest: int = 0) -> None:
    """Refuse positions outside lowest..count - 1, on the CPU only: elsewhere a look waits for the device.

    Raises:
        KernelArgumentError: a position lies outside.
    """
    if index.device.type != "cpu":
        return
    low, high = (int(end) for end in index.aminmax())
    if low < lowest or high >= count:
        raise KernelArgumentError(f"{name} holds positions {low}..{high}; valid: {lowest}..{count - 1}.")
