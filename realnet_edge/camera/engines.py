"""What decides on a line: one engine, or several of which the next takes over when one keeps failing."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from realnet_edge.camera.backoff import Backoff
from realnet_edge.errors import BackendError, ConfigError
from realnet_edge.runtime import Prediction, Runner

# Failures in a row after which an engine is given up for the next one.
_PATIENCE = 3

_Chain = TypeVar("_Chain", bound="EngineChain")


class Engine(Protocol):
    """What scores images, and what its scores are compared with."""

    @property
    def input_size(self) -> tuple[int, int]:
        """Height and width of the images."""

    @property
    def threshold(self) -> float:
        """Image score above which a part is a defect."""

    @property
    def bundle(self) -> str:
        """Id of the bundle that decides."""

    def infer(self, images: npt.NDArray[np.uint8]) -> Prediction:
        """Score (N, H, W, 3) uint8 RGB, N within what the engine was made for.

        Raises:
            BackendError: that failed.
        """


@dataclass(frozen=True)
class SingleEngine:
    """An open runner and its threshold. Its first inference allocates memory, which takes time."""

    runner: Runner
    threshold: float
    bundle: str

    @property
    def input_size(self) -> tuple[int, int]:
        return self.runner.input_size

    def infer(self, images: npt.NDArray[np.uint8]) -> Prediction:
        return self.runner.infer(images)


@dataclass(frozen=True)
class Choice:
    """An engine that can be opened again and again.

    Attributes:
        open: gives a runner that is not open yet.
        threshold: of this engine: those of others do not fit its scores.
        bundle: id of its bundle.
        own_threshold: the one that its bundle was built with; None without any.
    """

    open: Callable[[], Runner]
    threshold: float
    bundle: str
    own_threshold: float | None = None


@dataclass(frozen=True)
class Standing:
    """What decides.

    Attributes:
        bundle: id of its bundle.
        threshold: image score above which a part is a defect.
        own_threshold: the one that its bundle was built with; None without any.
        works: whether it is built, and has not failed since.
    """

    bundle: str
    threshold: float
    own_threshold: float | None
    works: bool


class EngineChain:
    """Engines of which the first that works decides; use it in a `with` block.

    One that fails is built anew before the next image; after three failures in a row the next engine takes
    over, and stays. The last one is tried for ever, with waits in between: for images that come meanwhile
    `infer` raises, so that each is reported as not inspected.

    Args:
        choices: the best first.
        on_trouble: hears of each failure, and of each engine that takes over.
        backoff: waits between tries of the last engine.
        batch: most images at a time; tried, as one image is, whenever an engine is built.

    Raises:
        ConfigError: no engine, engines for images of different sizes, or one that does not take the batch.
    """

    def __init__(
        self,
        choices: Sequence[Choice],
        on_trouble: Callable[[str], None] = lambda text: None,
        backoff: Backoff | None = None,
        batch: int = 1,
    ) -> None:
        if not choices:
            raise ConfigError("a line needs an engine: give at least one.")
        self._choices = choices
        self._thresholds = [choice.threshold for choice in choices]
        # Held where another engine takes over and where its threshold changes: from different threads.
        self._turn = threading.Lock()
        self._on_trouble = on_trouble
        self._backoff = backoff or Backoff()
        self._number = self._failures = 0
        self._retry_at = 0.0
        self._opened = ExitStack()
        self._runner: Runner | None = None
        self._batch = batch
        runners = [choice.open() for choice in choices]
        self.input_size = _common_size(runners)
        for choice, runner in zip(choices, runners, strict=True):
            _check_batch(choice.bundle, runner, batch)

    @property
    def threshold(self) -> float:
        return self._thresholds[self._number]

    @property
    def bundle(self) -> str:
        return self._choices[self._number].bundle

    @property
    def arithmetic(self) -> str:
        """What the engine that decides computes in."""
        return self._runner.arithmetic if self._runner else "nothing: it is being built"

    def __enter__(self: _Chain) -> _Chain:
        # A first engine that does not open at all is a mistake of today, not a failure in the night.
        try:
            self._open()
        except BackendError:
            self._close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def standing(self) -> Standing:
        """What decides now, all of it of one engine."""
        with self._turn:
            choice = self._choices[self._number]
            return Standing(choice.bundle, self.threshold, choice.own_threshold, self._runner is not None)

    def set_threshold(self, value: float, bundle: str | None = None) -> float:
        """Decide by another threshold from the next frame on, from any thread.

        Other engines of the chain keep theirs: a threshold does not fit their scores.

        Args:
            value: image score above which a part is a defect, in [0, 1].
            bundle: id of the bundle whose engine it is for; None for the one that decides.

        Returns:
            The threshold before.

        Raises:
            ConfigError: no image score, or no such bundle in the chain.
        """
        check_threshold(value)
        with self._turn:
            ids = [choice.bundle for choice in self._choices]
            if bundle is not None and bundle not in ids:
                raise ConfigError(f"no engine of {bundle} in this line: valid is {', '.join(ids)}.")
            number = self._number if bundle is None else ids.index(bundle)
            before, self._thresholds[number] = self._thresholds[number], value
        return before

    def infer(self, images: npt.NDArray[np.uint8]) -> Prediction:
        try:
            prediction = self._ready().infer_filled(images)
        except BackendError as error:
            self._fail(error)
            raise
        self._failures = 0
        self._backoff.reset()
        return prediction

    def _ready(self) -> Runner:
        if self._runner is not None:
            return self._runner
        if (seconds := self._retry_at - time.monotonic()) > 0:
            raise _WaitingError(f"the engine has failed and is tried again in {seconds:.1f} s")
        return self._open()

    def _open(self) -> Runner:
        runner = self._opened.enter_context(self._choices[self._number].open())
        # The first inference allocates memory: what cannot run at all must not look built.
        for images in {1, self._batch}:
            runner.infer_filled(np.zeros((images, *self.input_size, 3), np.uint8))
        self._runner = runner
        return runner

    def _close(self) -> None:
        self._runner = None
        self._opened.close()

    def _fail(self, error: BackendError) -> None:
        if isinstance(error, _WaitingError):
            return
        self._close()
        self._failures += 1
        self._on_trouble(f"engine {self.bundle}: {error}")
        if self._failures < _PATIENCE:
            return
        if self._number + 1 < len(self._choices):
            with self._turn:
                self._number, self._failures = self._number + 1, 0
            self._on_trouble(f"engine {self.bundle} takes over, with its own threshold {self.threshold:.4f}")
        else:
            self._retry_at = time.monotonic() + self._backoff.next()


def check_threshold(value: float, name: str = "threshold") -> None:
    """Refuse what no image score can be compared with.

    Raises:
        ConfigError: not a number in [0, 1].
    """
    if not (math.isfinite(value) and 0.0 <= value <= 1.0):
        raise ConfigError(f"{name} {value} is no image score: give a number in [0, 1].")


class _WaitingError(BackendError):
    """No new failure: the engine has not been tried again yet."""


def _check_batch(bundle: str, runner: Runner, batch: int) -> None:
    low, high = runner.batch_range
    if not low <= batch <= high:
        raise ConfigError(
            f"batch {batch}: engine {bundle} takes {low} to {high} images at a time; give so many."
        )


def _common_size(runners: Sequence[Runner]) -> tuple[int, int]:
    sizes = [runner.input_size for runner in runners]
    if len(set(sizes)) > 1:
        listed = ", ".join(f"{width}x{height}" for height, width in sizes)
        raise ConfigError(f"engines that stand in for each other must take images of one size, not {listed}.")
    return sizes[0]
