"""A camera of which one picture is inspected for each part."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections import deque
from collections.abc import Iterator

from realnet_edge.camera.frames import Frame
from realnet_edge.camera.sources import Source
from realnet_edge.camera.triggers import Part, Trigger
from realnet_edge.errors import ConfigError

# How long a camera may take to stop.
_JOIN_S = 1.0


class TriggeredSource(Source):
    """One frame for each part that a trigger announces; the camera runs on in between.

    The frame is the first whole picture that arrives at or after the part's time, and has the part's id. A
    picture is one part's: where several were announced before it came, the last of them is the one in front
    of the camera, and those before it come out without a picture. So does a part for which none comes in
    time, and one that still waits when the line stops: every part gives exactly one frame, in order.

    Args:
        source: a camera.
        trigger: announces parts, perhaps to other cameras as well.
        wait_s: seconds after its time in which a part's picture has to arrive.
        delay_s: seconds from a part's announcement to the time at which it is in front of the camera.

    Raises:
        ConfigError: a source of files, whose files are parts already, or times that cannot be meant.
    """

    live = endless = triggered = True

    def __init__(self, source: Source, trigger: Trigger, wait_s: float = 1.0, delay_s: float = 0.0) -> None:
        if not source.live:
            raise ConfigError(
                f"{source.name}: a trigger is for cameras and streams; of files each one is a part already."
            )
        if not (0.0 < wait_s <= 600.0 and 0.0 <= delay_s <= 600.0):
            raise ConfigError(
                f"waiting {wait_s:g} s for a picture, {delay_s:g} s after the trigger: valid are more than 0 "
                "up to 600 s, and 0 up to 600 s."
            )
        self.name, self.fps = source.name, source.fps
        self._source, self._trigger = source, trigger
        self._wait_s, self._delay_s = wait_s, delay_s
        self._changed = threading.Condition()
        self._waiting: deque[Part] = deque()
        self._ready: deque[Frame] = deque()
        self._damage: str | None = None
        self._stopped = self._ended = self._closed = False
        self._error: Exception | None = None
        self._camera = threading.Thread(target=self._look, name="camera", daemon=True)

    @property
    def reconnects(self) -> int:
        return self._source.reconnects

    def __len__(self) -> int:
        return 0

    def frames(self) -> Iterator[Frame]:
        """A frame a part. After `stop` those of the parts that still wait, without a picture."""
        self._camera.start()
        self._trigger.listen(self._on_part)
        try:
            while (frame := self._next()) is not None:
                yield frame
        finally:
            self._trigger.leave(self._on_part)
            self._source.stop()
            self._camera.join(_JOIN_S)
        if self._error is not None:
            raise self._error

    def stop(self) -> None:
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        self._source.stop()

    def close(self) -> None:
        if not self._camera.is_alive():
            self._source.close()

    def _on_part(self, part: Part) -> bool:
        with self._changed:
            if self._closed:
                return False
            self._waiting.append(part)
            self._changed.notify_all()
            return True

    def _look(self) -> None:
        """The camera's thread."""
        try:
            for frame in self._source.frames():
                # Before it was decoded: a picture that lay ready before the trigger shows no part.
                self._on_picture(frame, time.monotonic() - frame.decode_ms / 1e3)
        except Exception as error:  # noqa: BLE001  # raised again where frames are asked for
            self._error = error
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _on_picture(self, frame: Frame, arrived_at: float) -> None:
        with self._changed:
            due = [part for part in self._waiting if part.came_at + self._delay_s <= arrived_at]
            if not due:
                return
            if frame.image is None:
                # The part may still be there when the next picture comes.
                self._damage = frame.error
                return
            *early, last = due
            for _ in due:
                self._waiting.popleft()
            for part in early:
                self._ready.append(self._missed(part, f"part {last.id} came before a picture was taken"))
            seen = dataclasses.replace(frame, id=last.id)
            self._ready.append(self._missed(last, last.error) if last.error else seen)
            self._damage = None
            self._changed.notify_all()

    def _next(self) -> Frame | None:
        """The next part's frame; None when there will be none any more."""
        with self._changed:
            while not self._ready:
                self._give_up(time.monotonic())
                if self._ready:
                    break
                if self._stopped or self._ended:
                    self._closed = True
                    return None
                self._changed.wait(self._until_next())
            return self._ready.popleft()

    def _give_up(self, now: float) -> None:
        """Parts whose time is over get a frame without a picture."""
        over = self._stopped or self._ended
        while self._waiting and (over or now >= self._latest(self._waiting[0])):
            part = self._waiting.popleft()
            if over:
                reason = "the line stopped before a picture was taken"
            else:
                reason = f"no picture came within {self._wait_s:g} s"
                reason += f"; the last one {self._damage}" if self._damage else ""
            self._ready.append(self._missed(part, reason))

    def _latest(self, part: Part) -> float:
        return part.came_at + self._delay_s + self._wait_s

    def _until_next(self) -> float | None:
        if not self._waiting:
            return None
        return max(0.0, self._latest(self._waiting[0]) - time.monotonic())

    def _missed(self, part: Part, reason: str | None) -> Frame:
        return Frame(part.id, self.name, part.timestamp, None, None, part.error or reason, 0.0)
