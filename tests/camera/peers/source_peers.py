"""A source that does what a test wants of it."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator

import numpy as np

from realnet_edge.camera import Frame, Source
from realnet_edge.camera.frames import utc_now


class Scripted(Source):
    """Frames every so often; `captured` says how many it gave.

    Args:
        count: how many; None for all until it is stopped.
        pause_s: before each.
        error: raised in place of an end.
        kind: "files", "camera", or "parts" of a trigger, which come from a camera.
    """

    def __init__(
        self,
        count: int | None,
        pause_s: float = 0.0,
        error: BaseException | None = None,
        kind: str = "files",
    ) -> None:
        self.name = kind
        self.live = self.endless = kind != "files"
        self.triggered = kind == "parts"
        self.captured = 0
        self.closed = False
        self._count = count
        self._pause = pause_s
        self._error = error
        self._stopped = threading.Event()

    def __len__(self) -> int:
        return self._count or 0

    def frames(self) -> Iterator[Frame]:
        image = np.full((40, 40, 3), 10, np.uint8)
        for number in itertools.count() if self._count is None else range(self._count):
            if self._stopped.wait(self._pause):
                return
            self.captured += 1
            yield Frame(str(number), self.name, utc_now(), None, image, None, 0.0)
        if self._error:
            raise self._error

    def stop(self) -> None:
        self._stopped.set()

    def close(self) -> None:
        self.closed = True
