"""Where items wait between two threads: bounded, with every item that does not get through counted."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from typing import Generic, TypeVar

# How often a waiting thread looks whether it shall stop: an event that others set wakes nobody here.
_POLL_S = 0.05

T = TypeVar("T")


class Waiting(Generic[T]):
    """A bounded queue from one thread to another.

    Whoever puts either waits while it is full, or takes away what has waited longest and puts the new item:
    of a camera the newest frame is worth most, of files every one.

    Args:
        capacity: items that may wait, at least 1.
        newest_first: when full, the item that has waited longest gives way.
        stop: ends both sides when set.

    Attributes:
        lost: items put that nobody got: they gave way, or came or still waited when it was closed.
    """

    def __init__(self, capacity: int, newest_first: bool, stop: threading.Event) -> None:
        self.lost = 0
        self._capacity = capacity
        self._newest_first = newest_first
        self._stop = stop
        self._items: deque[T] = deque()
        self._changed = threading.Condition()
        self._finished = False
        self._error: BaseException | None = None
        self._closed = False

    def put(self, item: T) -> bool:
        """Hand an item over; False when nobody takes any more."""
        with self._changed:
            while not self._is_closed() and not self._newest_first and len(self._items) >= self._capacity:
                self._changed.wait(_POLL_S)
            if self._is_closed():
                self.lost += 1
                return False
            if len(self._items) >= self._capacity:
                self._items.popleft()
                self.lost += 1
            self._items.append(item)
            self._changed.notify_all()
            return True

    def finish(self, error: BaseException | None = None) -> None:
        """Nothing more will be put. An error is raised at the other end, behind the items that wait."""
        with self._changed:
            self._finished, self._error = True, error
            self._changed.notify_all()

    def close(self) -> None:
        """Nothing more will be taken."""
        with self._changed:
            self._closed = True
            self.lost += len(self._items)
            self._items.clear()
            self._changed.notify_all()

    def __iter__(self) -> Iterator[T]:
        """Items in order, until the other side has finished, or either side stops.

        Raises:
            BaseException: what the other side finished with.
        """
        while True:
            with self._changed:
                while not (self._items or self._finished or self._is_closed()):
                    self._changed.wait(_POLL_S)
                if self._is_closed():
                    return
                if not self._items:
                    break
                item = self._items.popleft()
                self._changed.notify_all()
            yield item
        if self._error is not None:
            raise self._error

    def _is_closed(self) -> bool:
        return self._closed or self._stop.is_set()
