"""The runner contract: uint8 images in, maps and scores out, the same for every backend."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from realnet_edge.errors import BackendError, ConfigError

DEFAULT_BATCH_RANGE = (1, 32)


class _Batch(Protocol):
    """What is checked of images, wherever they lie."""

    @property
    def dtype(self) -> np.dtype[Any]: ...

    @property
    def ndim(self) -> int: ...

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __len__(self) -> int: ...


# typing.Self needs Python 3.11.
_Self = TypeVar("_Self", bound="Runner")


@dataclass(frozen=True)
class Prediction:
    """What an engine says of N images.

    Attributes:
        anomaly_map: (N, H, W) float32 in [0, 1], at the engine's input size.
        score: (N,) float32 in [0, 1].
        rrs_indices: (N, k) int32, the residual planes that were selected; None unless diagnostics were
            asked for.

    The arrays belong to the caller: a later inference does not touch them.
    """

    anomaly_map: npt.NDArray[np.float32]
    score: npt.NDArray[np.float32]
    rrs_indices: npt.NDArray[np.int32] | None = None


class Runner(ABC):
    """An engine that is open inside a `with` block; may be entered again after it was left.

    Subclasses implement `_open`, `_close` and `_execute`; what goes in and what comes out is checked here,
    once, so that every backend refuses and accepts the same. Not for use from two threads at once.

    Args:
        backend: name of the runtime.
        precision: "fp32", "fp16" or "int8", as asked for.
        arithmetic: what computes, such as "f32" or "int8 + bf16"; `_open` may correct it.
        batch_range: smallest and largest batch.
        input_size: (height, width) of the images.
        threads: CPU threads for one inference; None leaves the choice to the runtime.

    Raises:
        ConfigError: `threads` below 1.
    """

    def __init__(
        self,
        *,
        backend: str,
        precision: str,
        arithmetic: str,
        batch_range: tuple[int, int],
        input_size: tuple[int, int],
        threads: int | None = None,
    ) -> None:
        if threads is not None and threads < 1:
            raise ConfigError(f"threads is {threads}: give at least 1, or leave it out.")
        self.backend = backend
        self.precision = precision
        self.arithmetic = arithmetic
        self.batch_range = batch_range
        self.input_size = input_size
        self.threads = threads
        self._is_open = False

    @abstractmethod
    def _open(self) -> None:
        """Load the engine. Must raise BackendError when it cannot be loaded as asked."""

    @abstractmethod
    def _close(self) -> None:
        """Let go of everything `_open` took."""

    @abstractmethod
    def _execute(self, images: npt.NDArray[np.uint8], diagnostics: bool) -> Prediction:
        """Run a checked, C-contiguous batch; the arrays returned must be the caller's own."""

    def __enter__(self: _Self) -> _Self:
        if self._is_open:
            raise BackendError(f"this {self.backend} runner is open already: use one `with` block at a time.")
        self._open()
        self._is_open = True
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._is_open = False
        self._close()

    def infer(self, images: npt.NDArray[np.uint8], diagnostics: bool = False) -> Prediction:
        """Score a batch.

        Args:
            images: (N, H, W, 3) uint8 RGB at `input_size`, N within `batch_range`.
            diagnostics: also return which residual planes were selected.

        Raises:
            BackendError: outside a `with` block, images of another type or shape, a batch out of range, a
                failed execution, or an output that is not finite or not of the stated shape.
        """
        self._require_open()
        self._check_images(images)
        prediction = self._execute(np.ascontiguousarray(images), diagnostics)
        self._check_prediction(prediction, len(images), diagnostics)
        return prediction

    def infer_filled(self, images: npt.NDArray[np.uint8], diagnostics: bool = False) -> Prediction:
        """`infer` for a batch that may be smaller than the engine takes.

        It is filled up by repeating its last image; what the engine says of the copies is dropped.

        Args:
            images: as for `infer`, at least one and at most as many as the engine takes.
            diagnostics: also return which residual planes were selected.

        Raises:
            BackendError: as `infer`.
        """
        count = len(images)
        if 0 < count < self.batch_range[0]:
            copies = np.repeat(images[-1:], self.batch_range[0] - count, axis=0)
            images = np.concatenate([images, copies])
        found = self.infer(images, diagnostics)
        indices = None if found.rrs_indices is None else found.rrs_indices[:count]
        return Prediction(found.anomaly_map[:count], found.score[:count], indices)

    def _require_open(self) -> None:
        if not self._is_open:
            raise BackendError(f"this {self.backend} runner is not open: call infer inside `with runner:`.")

    def _check_images(self, images: _Batch) -> None:
        height, width = self.input_size
        if images.dtype != np.uint8:
            raise BackendError(
                f"images are {images.dtype}, an engine takes uint8 RGB: normalisation lies inside it."
            )
        if images.ndim != 4 or images.shape[1:] != (height, width, 3):
            raise BackendError(
                f"images have shape {images.shape}, this engine takes (N, {height}, {width}, 3): resize with "
                "realnet_edge.imaging.preprocess and stack them."
            )
        low, high = self.batch_range
        if not low <= len(images) <= high:
            raise BackendError(
                f"a batch of {len(images)} images: this engine takes {low} to {high} at a time."
            )

    def _check_prediction(self, prediction: Prediction, count: int, diagnostics: bool) -> None:
        maps, scores, indices = prediction.anomaly_map, prediction.score, prediction.rrs_indices
        if maps.shape != (count, *self.input_size) or scores.shape != (count,):
            raise BackendError(
                f"the {self.backend} engine returned maps of {maps.shape} and scores of {scores.shape} for "
                f"{count} images of {self.input_size}. Build the bundle again."
            )
        if diagnostics and (indices is None or indices.ndim != 2 or len(indices) != count):
            raise BackendError(
                f"the {self.backend} engine gives no rrs_indices: it was built without diagnostics."
            )
        # A score that is not a number is greater than no threshold: every part would pass as good.
        if not (np.isfinite(scores).all() and np.isfinite(maps).all()):
            raise BackendError(
                f"the {self.backend} engine in {self.precision} ({self.arithmetic}) returned values that are "
                "not finite. Build it at a higher precision."
            )
