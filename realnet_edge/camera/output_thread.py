"""Results on their way out, in a thread of their own: the engine goes on while they are written and sent."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import TypeVar

from realnet_edge.camera.results import Inspection
from realnet_edge.camera.waiting import Lane, Waiting
from realnet_edge.errors import RealnetEdgeError

# Results that may wait: enough for a disk's pause, few enough for the pictures that they hold.
_WAITING = 8
# A run that is to stop gives up an output that has had one result for so long.
_HANGS_S = 1.5
_POLL_S = 0.05

Sink = Callable[[Inspection], None]
_Thread = TypeVar("_Thread", bound="OutputThread")


class OutputThread:
    """Calls sinks with each result, in order; use it in a `with` block, which ends when they have all.

    Args:
        sinks: called one after the other; an error in one ends the thread, and is raised when the block ends.
        stop: where set, an output that hangs does not keep the block from ending.
        on_failure: hears in the thread that a sink has failed.

    Raises:
        RealnetEdgeError: at the end of the block, results were not handed on because an output hangs.
    """

    def __init__(
        self, sinks: Sequence[Sink], stop: threading.Event, on_failure: Callable[[], None] = lambda: None
    ) -> None:
        self._sinks = sinks
        self._stop = stop
        self._on_failure = on_failure
        self._lost = 0
        self._began: float | None = None
        self._error: BaseException | None = None
        self._waiting = Waiting([Lane[Inspection](_WAITING)], self._hangs, self._lose)
        self._thread = threading.Thread(target=self._work, name="output", daemon=True)

    def put(self, inspection: Inspection) -> None:
        """Hand a result over; waits where too many wait already."""
        self._waiting.put(inspection)

    def __enter__(self: _Thread) -> _Thread:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._waiting.finish()
        while self._thread.is_alive() and not self._hangs():
            self._thread.join(_POLL_S)
        hangs = self._thread.is_alive()
        self._waiting.close()
        # What ended the block is what the user has to know.
        if error is not None:
            return
        if self._error is not None:
            raise self._error
        if hangs:
            raise RealnetEdgeError(
                f"an output has not returned for {_HANGS_S} s: {self._lost + 1} results were not handed on. "
                "Look at the disk or the machine that it writes to."
            )

    def _work(self) -> None:
        try:
            while taken := self._waiting.take():
                self._began = time.monotonic()
                for sink in self._sinks:
                    sink(taken[0])
                self._began = None
        except BaseException as error:  # noqa: BLE001  # raised again where the block ends
            self._error, self._began = error, None
            self._waiting.close()
            self._on_failure()

    def _lose(self, inspection: Inspection) -> None:
        del inspection
        self._lost += 1

    def _hangs(self) -> bool:
        began = self._began
        return self._stop.is_set() and began is not None and time.monotonic() - began > _HANGS_S
