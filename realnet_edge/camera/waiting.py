"""Where items wait between threads: bounded, and every item that does not get through is named."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

# How often a waiting thread looks whether it is over: an event that others set wakes nobody here.
_POLL_S = 0.05

T = TypeVar("T")


@dataclass
class Lane(Generic[T]):
    """The queue of one of those who put.

    Attributes:
        capacity: items that may wait, at least 1.
        newest_first: when full, the item that has waited longest gives way.
        items: those that wait.
        finished: nothing more will be put.
        error: what it finished with.
    """

    capacity: int
    newest_first: bool = False
    items: deque[T] = field(default_factory=deque)
    finished: bool = False
    error: BaseException | None = None

    @property
    def is_full(self) -> bool:
        return len(self.items) >= self.capacity


class Waiting(Generic[T]):
    """Bounded queues, one for each thread that puts, to one thread that takes from them in turn.

    Whoever puts into a full one either waits, or takes away what has waited longest: of a camera the newest
    frame is worth most, of files every one. A queue that is full, empty or never filled holds up no other.

    Args:
        lanes: the queues.
        is_over: True ends both sides; asked again and again.
        on_lost: hears of each item put that nobody gets: it gave way, or it came or still waited when all was
            over. In any of the threads, and held up by nothing.

    Attributes:
        looked_at: monotonic time at which who takes last came for items or was seen waiting for them.
    """

    def __init__(
        self,
        lanes: Sequence[Lane[T]],
        is_over: Callable[[], bool],
        on_lost: Callable[[T], None] = lambda item: None,
    ) -> None:
        self._lanes = lanes
        self._is_over = is_over
        self._on_lost = on_lost
        self._changed = threading.Condition()
        self._turn = 0
        self._closed = False
        self.looked_at = time.monotonic()

    def put(self, item: T, lane: int = 0) -> bool:
        """Hand an item over; False when nobody takes any more."""
        into = self._lanes[lane]
        with self._changed:
            while into.is_full and not into.newest_first and not self._has_ended():
                self._changed.wait(_POLL_S)
            if self._has_ended():
                self._on_lost(item)
                return False
            if into.is_full:
                self._on_lost(into.items.popleft())
            into.items.append(item)
            self._changed.notify_all()
            return True

    def finish(self, error: BaseException | None = None, lane: int = 0) -> None:
        """Nothing more will be put here. An error is raised at the other end, behind the items that wait."""
        with self._changed:
            self._lanes[lane].finished, self._lanes[lane].error = True, error
            self._changed.notify_all()

    def take(self, most: int = 1, wait_s: float = 0.0) -> list[T]:
        """Items of the queues in turn: waits until there is one, and then so long for more.

        Returns:
            1 to `most` items; none once every queue has finished and is empty, or all is over.

        Raises:
            BaseException: what a queue finished with, once its items are taken.
        """
        with self._changed:
            while not (self._has_ended() or self._is_next_known()):
                self.looked_at = time.monotonic()
                self._changed.wait(_POLL_S)
            self.looked_at = time.monotonic()
            if self._has_ended():
                return []
            for lane in self._lanes:
                if lane.error is not None and not lane.items:
                    raise lane.error
            taken = self._taken(most)
            end = time.monotonic() + wait_s
            while len(taken) < most and not self._has_ended() and not self._is_finished():
                left = end - time.monotonic()
                if left <= 0:
                    break
                self._changed.wait(min(left, _POLL_S))
                taken += self._taken(most - len(taken))
            return taken

    def close(self) -> None:
        """Nothing more will be taken."""
        with self._changed:
            self._closed = True
            for lane in self._lanes:
                while lane.items:
                    self._on_lost(lane.items.popleft())
            self._changed.notify_all()

    def _is_next_known(self) -> bool:
        """Whether there is an item, an error to raise, or nothing more to come."""
        return self._is_finished() or any(lane.items or lane.error for lane in self._lanes)

    def _is_finished(self) -> bool:
        return all(lane.finished for lane in self._lanes)

    def _taken(self, most: int) -> list[T]:
        taken: list[T] = []
        empty = 0
        while len(taken) < most and empty < len(self._lanes):
            lane = self._lanes[self._turn]
            self._turn = (self._turn + 1) % len(self._lanes)
            if lane.items:
                taken.append(lane.items.popleft())
                empty = 0
            else:
                empty += 1
        if taken:
            self._changed.notify_all()
        return taken

    def _has_ended(self) -> bool:
        return self._closed or self._is_over()
