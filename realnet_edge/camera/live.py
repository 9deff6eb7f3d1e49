"""A camera that may go away at any time and is found again."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from realnet_edge.camera.backoff import Backoff
from realnet_edge.camera.frames import Frame, utc_now
from realnet_edge.camera.sources import Source
from realnet_edge.camera.streams import Connect, StreamLostError

Phase = Literal["connecting", "live", "waiting"]


@dataclass(frozen=True)
class CameraState:
    """How it stands with a camera.

    Attributes:
        phase: "connecting", "live" with pictures coming, or "waiting" for the next try.
        reason: why it was lost or not found; None while nothing is wrong.
        retry_in_s: seconds until the next try, when waiting.
    """

    phase: Phase
    reason: str | None = None
    retry_in_s: float | None = None


class LiveSource(Source):
    """Frames of a camera or stream, for ever: what is lost is connected to again, however often it takes.

    Args:
        name: what results say of where a frame came from; no passwords.
        connect: the stream.
        on_state: hears of every change, in the thread that captures.
        backoff: waits between tries.
    """

    live = endless = True
    reconnects = 0

    def __init__(
        self,
        name: str,
        connect: Connect,
        on_state: Callable[[CameraState], None] = lambda state: None,
        backoff: Backoff | None = None,
    ) -> None:
        self.name = name
        self._connect = connect
        self._on_state = on_state
        self._backoff = backoff or Backoff()
        self._stop = threading.Event()
        self._found = False

    def __len__(self) -> int:
        return 0

    def frames(self) -> Iterator[Frame]:
        """Frames with their number since the start as id; never ends by itself."""
        number = 0
        reason: str | None = None
        while not self._stop.is_set():
            self._on_state(CameraState("connecting", reason))
            try:
                for position, picture in enumerate(self._connect.pictures()):
                    if self._stop.is_set():
                        return
                    if position == 0:
                        self._is_found()
                    yield Frame(
                        str(number),
                        self.name,
                        utc_now(),
                        None,
                        picture.image,
                        picture.error,
                        picture.decode_ms,
                    )
                    number += 1
                reason = "the stream ended"
            except StreamLostError as error:
                reason = str(error)
            self._wait(reason)

    def stop(self) -> None:
        self._stop.set()
        self._connect.interrupt()

    def close(self) -> None:
        """Each connection is closed where it was opened."""

    def _is_found(self) -> None:
        self.reconnects += self._found
        self._found = True
        self._backoff.reset()
        self._on_state(CameraState("live"))

    def _wait(self, reason: str) -> None:
        if self._stop.is_set():
            return
        seconds = self._backoff.next()
        self._on_state(CameraState("waiting", reason, seconds))
        self._stop.wait(seconds)
