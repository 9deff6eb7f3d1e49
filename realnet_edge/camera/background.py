"""Files written in a thread of their own: a slow disk holds up no result."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

# Encoded pictures that may wait.
_MOST_BYTES = 64 << 20
# How long the end waits for what is still to be written.
_END_S = 1.5


class Background:
    """Hands files to a writer, in order, in bounded memory.

    Args:
        write: writes one file, by its name and bytes; it must raise nothing.
        most_bytes: that may wait; one file more always may.
    """

    def __init__(self, write: Callable[[str, bytes], None], most_bytes: int = _MOST_BYTES) -> None:
        self._write = write
        self._most = most_bytes
        self._waiting: deque[tuple[str, bytes]] = deque()
        self._bytes = 0
        self._changed = threading.Condition()
        self._finished = False
        self._thread = threading.Thread(target=self._work, name="pictures", daemon=True)
        self._thread.start()

    def put(self, name: str, encoded: bytes) -> bool:
        """Hand a file over; False where too much waits already."""
        with self._changed:
            if self._bytes >= self._most:
                return False
            self._waiting.append((name, encoded))
            self._bytes += len(encoded)
            self._changed.notify_all()
            return True

    def finish(self) -> None:
        """Nothing more is handed over; waits for nothing."""
        with self._changed:
            self._finished = True
            self._changed.notify_all()

    def close(self) -> int | None:
        """Write what waits, for a while; gives how many files were not written, None if a write hangs."""
        self.finish()
        self._thread.join(_END_S)
        with self._changed:
            left = len(self._waiting)
            self._waiting.clear()
        # A write that is under way ends soon, or never.
        self._thread.join(_END_S / 3)
        return None if self._thread.is_alive() else left

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._waiting and not self._finished:
                    self._changed.wait()
                if not self._waiting:
                    return
                name, encoded = self._waiting.popleft()
                self._bytes -= len(encoded)
            self._write(name, encoded)
