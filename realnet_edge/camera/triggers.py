"""What says that a part is there, once for each part."""

from __future__ import annotations

import itertools
import json
import re
import threading
import time
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone

from realnet_edge.camera.frames import utc_now
from realnet_edge.errors import DataError

# The same id within so long is the same part, said again.
REPEAT_S = 60.0
# Ids that are remembered; no line makes more parts in that time.
_REMEMBERED = 10_000
# What a part may be called: results, topics and file names take it.
_ID = re.compile(r"[^\x00-\x1f\x7f/\\]{1,128}")


@dataclass(frozen=True)
class Part:
    """A part that was announced.

    Attributes:
        id: what results call it.
        timestamp: UTC time at which it was announced, ISO 8601.
        came_at: the same in seconds of the monotonic clock.
        error: why the announcement cannot be used; None when it can.
    """

    id: str
    timestamp: str
    came_at: float
    error: str | None = None


Listener = Callable[[Part], bool]


class Trigger(ABC):
    """Announces parts to every camera that listens, each part once; safe between threads.

    Args:
        name: its address, without the password.
        repeat_s: an id that comes again within so many seconds is a message that was sent twice, and
            announces nothing. After that it is another part: carriers go round, and so do their numbers.
    """

    def __init__(self, name: str, repeat_s: float = REPEAT_S) -> None:
        self.name = name
        self._repeat_s = repeat_s
        self._lock = threading.Lock()
        self._listeners: list[Listener] = []
        self._recent: OrderedDict[str, float] = OrderedDict()

    def listen(self, listener: Listener) -> None:
        """Announce to this one as well.

        Args:
            listener: takes a part, and says whether it will give a result for it.
        """
        with self._lock:
            self._listeners.append(listener)
            first = len(self._listeners) == 1
        if first:
            self._start()

    def leave(self, listener: Listener) -> None:
        """Announce nothing more to this one."""
        with self._lock:
            self._listeners.remove(listener)
            last = not self._listeners
        if last:
            self._stop()

    @abstractmethod
    def _start(self) -> None:
        """Somebody listens."""

    @abstractmethod
    def _stop(self) -> None:
        """Nobody listens any more; return soon."""

    def _announce(self, name: str | None, error: str | None = None) -> tuple[str, str]:
        """Tell everyone of a part.

        Args:
            name: its id; None gives it one made of the time.
            error: why its message cannot be used: the part has come by all the same.

        Returns:
            Its id, and "accepted", "repeated", or "refused" when nobody inspects it.
        """
        now = time.monotonic()
        with self._lock:
            self._forget(now)
            if name is not None and name in self._recent:
                return name, "repeated"
            found = name or made_up_id()
            part = Part(found, utc_now(), now, error)
            taken = [listener(part) for listener in self._listeners]
            if not any(taken):
                return found, "refused"
            self._recent[found] = now
            return found, "accepted"

    def _forget(self, now: float) -> None:
        while self._recent:
            oldest = next(iter(self._recent))
            if len(self._recent) < _REMEMBERED and now - self._recent[oldest] < self._repeat_s:
                return
            del self._recent[oldest]


_counted = itertools.count(1)


def made_up_id() -> str:
    """An id that sorts by time and is nobody else's, not even after a restart."""
    now = datetime.now(timezone.utc)
    return f"{now:%Y%m%dT%H%M%S}.{now.microsecond // 1000:03d}Z-{next(_counted)}"


def announced_id(message: bytes) -> str | None:
    """The id that a message gives a part; None where it gives none.

    Args:
        message: JSON with the key "id" (a text or a whole number), or the id as plain text; empty for none.

    Raises:
        DataError: neither, or an id that nothing can be called.
    """
    try:
        text = message.decode().strip()
    except UnicodeDecodeError:
        raise DataError('the message is no text: send {"id": "A17"}, or the id alone.') from None
    if not text:
        return None
    return _from_json(text) if text.startswith(("{", "[", '"')) else checked_id(text)


def _from_json(text: str) -> str | None:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise DataError(f'the message {text[:40]!r} is no JSON object: send {{"id": "A17"}}.')
    given = document.get("id")
    if given is None and document:
        raise DataError(f'the message {text[:40]!r} has no id: send {{"id": "A17"}}, or nothing at all.')
    if given is None:
        return None
    if isinstance(given, bool) or not isinstance(given, str | int):
        raise DataError(f"the id {str(given)[:40]!r} is neither a text nor a whole number.")
    return checked_id(str(given))


def checked_id(text: str) -> str:
    """An id as it is.

    Raises:
        DataError: one that is too long, or with characters that no file name or topic takes.
    """
    if not _ID.fullmatch(text) or text.strip(". ") == "":
        raise DataError(
            f"the id {text[:40]!r} cannot be used: valid are 1 to 128 characters without slashes and control "
            "characters."
        )
    return text
