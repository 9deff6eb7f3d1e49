"""A camera whose pictures come when a test says so, triggers that a test pulls, and HTTP requests."""

from __future__ import annotations

import http.client
import json
import queue
import threading
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from waiting_peers import PATIENCE_S, wait

from realnet_edge.camera import Frame, Source
from realnet_edge.camera.frames import utc_now
from realnet_edge.camera.triggered import TriggeredSource
from realnet_edge.camera.triggers import Trigger


class Shutter(Source):
    """A live source that gives a picture of grey `value` each time that `shoot` asks for one."""

    live = endless = True

    def __init__(self) -> None:
        self.name = "shutter"
        self._asked: queue.Queue[Frame | Exception | None] = queue.Queue()
        self.seen = 0

    def __len__(self) -> int:
        return 0

    def shoot(self, value: int | None = 0, error: str | None = None) -> None:
        image = None if value is None else np.full((4, 4, 3), value, np.uint8)
        count = self.seen
        self._asked.put(Frame("0", self.name, utc_now(), None, image, error, 0.0))
        wait(lambda: self.seen > count)

    def fail(self, error: Exception) -> None:
        self._asked.put(error)

    def frames(self) -> Iterator[Frame]:
        while (item := self._asked.get()) is not None:
            if isinstance(item, Exception):
                raise item
            yield item
            self.seen += 1

    def stop(self) -> None:
        self._asked.put(None)

    def close(self) -> None:
        """Nothing is held open."""


class Hand(Trigger):
    """Announces what a test says."""

    def __init__(self, repeat_s: float = 60.0) -> None:
        super().__init__("hand", repeat_s)
        self.runs = threading.Event()

    @property
    def listening(self) -> int:
        return len(self._listeners)

    def _start(self) -> None:
        self.runs.set()

    def _stop(self) -> None:
        self.runs.clear()

    def pull(self, name: str | None, error: str | None = None) -> tuple[str, str]:
        return self._announce(name, error)


class Reading:
    """A source whose frames are read in a thread, as a line does."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.frames: list[Frame] = []
        self.error: Exception | None = None
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def __getitem__(self, number: int) -> Frame:
        """Wait for the frame of this number."""
        wait(lambda: len(self.frames) > number, lambda: (self.frames, self.error))
        return self.frames[number]

    def stop(self) -> None:
        self.source.stop()
        self.join()

    def join(self) -> None:
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive()
        self.source.close()

    def _read(self) -> None:
        try:
            for frame in self.source.frames():
                self.frames.append(frame)  # each one is looked at before the next comes
        except Exception as error:  # noqa: BLE001  # looked at by the test
            self.error = error


def triggered(hand: Hand, wait_s: float = 30.0, delay_s: float = 0.0) -> tuple[Shutter, Reading]:
    """A camera that is triggered by hand, being read."""
    camera, count = Shutter(), hand.listening
    reading = Reading(TriggeredSource(camera, hand, wait_s, delay_s))
    wait(lambda: hand.listening > count)
    return camera, reading


def ask(
    url: str,
    path: str,
    body: bytes | Iterator[bytes] = b"",
    headers: dict[str, str] | None = None,
    method: str = "POST",
) -> tuple[int, Any]:
    """The code and the document that a server answers."""
    place = urlsplit(url)
    connection = http.client.HTTPConnection(str(place.hostname), place.port, timeout=60)
    connection.request(method, path, body, headers or {})
    answer = connection.getresponse()
    document = json.loads(answer.read() or b"null")
    connection.close()
    return answer.status, document
