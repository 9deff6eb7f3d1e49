"""Images that lie on the GPU already, taken from any library through `__cuda_array_interface__`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from realnet_edge.errors import BackendError


@dataclass(frozen=True)
class DeviceImages:
    """A batch on the GPU; the library that made it keeps it alive.

    Attributes:
        address: of the first byte.
        shape: as the producer states it.
        dtype: as the producer states it.
        ready: nothing is at work on the bytes any more.
        stream: handle of the stream that may be, where it is not ready; None where the producer does not say.
    """

    address: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    ready: bool
    stream: int | None

    @property
    def ndim(self) -> int:
        return len(self.shape)

    def __len__(self) -> int:
        return self.shape[0] if self.shape else 0

    @classmethod
    def of(cls, array: Any) -> DeviceImages:
        """Read the interface, version 2 or 3, of an array of PyTorch, CuPy, Numba or OpenCV.

        Raises:
            BackendError: an interface that lacks something, or an array whose bytes do not lie in a row.
        """
        stated: Mapping[str, Any] = array.__cuda_array_interface__
        try:
            shape = tuple(int(length) for length in stated["shape"])
            dtype, address = np.dtype(stated["typestr"]), int(stated["data"][0])
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise BackendError(
                f"images on the GPU: their __cuda_array_interface__ is incomplete ({error!r}). Give an array "
                "of PyTorch, CuPy or Numba, or a NumPy array."
            ) from error
        if stated.get("mask") is not None:
            raise BackendError("images on the GPU have a mask: give them without one.")
        strides = stated.get("strides")
        if strides is not None and tuple(strides) != _contiguous(shape, dtype.itemsize):
            raise BackendError(
                f"images on the GPU have strides {tuple(strides)}: an engine reads (N, H, W, 3) bytes in a "
                "row. Make them contiguous first."
            )
        stream = stated.get("stream")
        # Version 3 says by a stream of None that there is nothing to wait for; version 2 says nothing.
        ready = stream is None and "stream" in stated
        return cls(address, shape, dtype, ready, None if stream is None else int(stream))


def _contiguous(shape: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
    return tuple(itemsize * math.prod(shape[axis + 1 :]) for axis in range(len(shape)))
