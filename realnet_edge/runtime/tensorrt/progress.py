"""How far a build has come, and how it is ended early."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, TypeVar

# (what is being done, steps done, steps in all)
Progress = Callable[[str, int, int], None]
_STEPS = 100
_Result = TypeVar("_Result")


class Phases:
    """TensorRT's nested phases as one share of the whole, which never falls.

    Args:
        what: the step's name for `report`.
        report: called with 0..100 of 100, each number once.

    Attributes:
        failure: what `report` raised, if it did.
    """

    def __init__(self, what: str, report: Progress) -> None:
        self._what, self._report = what, report
        # Name -> (steps done, steps, name of the phase that it is part of).
        self._phases: dict[str, tuple[int, int, str | None]] = {}
        self._shown = 0
        self.failure: Exception | None = None
        self._lock = threading.Lock()
        report(what, 0, _STEPS)

    def start(self, name: str, parent: str | None, steps: int) -> None:
        with self._lock:
            self._phases[name] = (0, max(steps, 1), parent)

    def step(self, name: str, step: int) -> None:
        with self._lock:
            if name not in self._phases:
                return
            _, steps, parent = self._phases[name]
            self._phases[name] = (min(step + 1, steps), steps, parent)
            shown = int(_STEPS * self._share())
            if shown > self._shown:
                self._shown = shown
                self._report(self._what, shown, _STEPS)

    def finish(self, name: str) -> None:
        with self._lock:
            self._phases.pop(name, None)

    def _share(self) -> float:
        """Done share of the outermost phase: each inner phase is a step of the one around it."""
        share = 0.0
        # Inner phases begin later, and dictionaries keep that order.
        for done, steps, parent in reversed(self._phases.values()):
            share = min((done + share) / steps, 1.0)
            if parent is None:
                return share
        return 0.0


def monitor(trt: Any, phases: Phases, cancelled: threading.Event) -> Any:
    """TensorRT's progress monitor; once `cancelled` is set it ends the build at the next step."""

    class Monitor(trt.IProgressMonitor):  # type: ignore[misc]  # the base comes with the module passed in
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            phases.start(phase_name, parent_phase, num_steps)

        def step_complete(self, phase_name: str, step: int) -> bool:
            try:
                phases.step(phase_name, step)
            except Exception as error:  # noqa: BLE001  # out of here it would end the process
                phases.failure = error
                cancelled.set()
            return not cancelled.is_set()

        def phase_finish(self, phase_name: str) -> None:
            phases.finish(phase_name)

    return Monitor()


def run_cancellable(work: Callable[[], _Result], cancelled: threading.Event) -> _Result:
    """Run `work` aside, so that Ctrl-C is heard while TensorRT computes; then `cancelled` is set.

    Python sees a signal only between two of its own instructions on the main thread, and a build is a single
    one of minutes.

    Raises:
        BaseException: what `work` raised; KeyboardInterrupt once the build has ended after Ctrl-C.
    """
    results: list[_Result] = []
    failures: list[BaseException] = []
    ended = threading.Event()

    def body() -> None:
        try:
            results.append(work())
        except BaseException as error:  # noqa: BLE001  # handed to the waiting thread, which raises it
            failures.append(error)
        finally:
            ended.set()

    threading.Thread(target=body, name="tensorrt-build").start()
    # An event, not Thread.join: until Python 3.12 that takes a thread for ended after a signal in between.
    interrupt: BaseException | None = None
    while not ended.is_set():
        try:
            ended.wait(0.1)
        except KeyboardInterrupt as error:  # noqa: PERF203  # ten times a second
            # Waited for all the same: a process that ends inside TensorRT crashes.
            interrupt = error
            cancelled.set()
    if interrupt is not None:
        raise interrupt
    if failures:
        raise failures[0]
    return results[0]
