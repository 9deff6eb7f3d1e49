"""Results that go back to the requests that wait for them."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from typing import Any

from realnet_edge.camera import Inspection


class Answers:
    """A sink that gives a part's result to whoever expects it; safe between threads.

    Args:
        source: name of the source whose parts these are.
    """

    def __init__(self, source: str) -> None:
        self._source = source
        self._lock = threading.Lock()
        self._expected: dict[str, Future[dict[str, Any]]] = {}

    def expect(self, part: str) -> Future[dict[str, Any]] | None:
        """What will hold the part's result; None where a part of this id is under way already."""
        with self._lock:
            if part in self._expected:
                return None
            return self._expected.setdefault(part, Future())

    def forget(self, part: str) -> None:
        """The part will have no result."""
        with self._lock:
            self._expected.pop(part, None)

    def __call__(self, inspection: Inspection) -> None:
        if inspection.frame.source != self._source:
            return
        with self._lock:
            expected = self._expected.pop(inspection.frame.id, None)
        # Whoever has given up waiting has cancelled it.
        if expected is not None and expected.set_running_or_notify_cancel():
            expected.set_result(inspection.to_dict())
