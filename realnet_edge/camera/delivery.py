"""Results go to those that they are for, in order, as soon as they can be reached."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Protocol, TypeVar

from realnet_edge.camera.backoff import Backoff
from realnet_edge.camera.outbox import Message, Outbox
from realnet_edge.errors import RealnetEdgeError

# How often a thread with nothing to do looks whether it shall stop.
_POLL_S = 0.2
# How long a send that is under way may keep the end waiting.
_END_S = 0.5

_Delivery = TypeVar("_Delivery", bound="Delivery")


class DeliveryError(RealnetEdgeError):
    """A destination could not be reached; the message is sent again."""


class RefusedError(RealnetEdgeError):
    """A destination does not want this message, now or ever; it is passed over."""


class Destination(Protocol):
    """Someone who gets every result.

    Attributes:
        name: the same in every run; what it has is remembered under it. No passwords.
    """

    name: str

    def send(self, message: Message) -> None:
        """Return when the destination has the message.

        Raises:
            DeliveryError: it is not known to have it.
            RefusedError: it does not want it.
        """

    def rest(self) -> bool:
        """Nothing is to be sent now; called a few times a second. Returns whether it is known to be reached.

        Raises:
            DeliveryError: it cannot be reached.
        """

    def close(self) -> None:
        """Take leave."""


class Delivery:
    """Sends what waits in an outbox to one destination, in a thread; use it in a `with` block.

    Args:
        outbox: where results wait.
        destination: who gets them.
        on_trouble: hears why a destination cannot be reached, once each time that it is lost, and None when
            it is reached again.
        on_refused: hears of each message that it does not want, and why.
        drain_s: how long leaving the block waits for what is still to be sent; the rest stays in the outbox.
        backoff: waits between tries.

    Attributes:
        sent: messages that the destination has got in this run.
        refused: messages that it did not want.
    """

    def __init__(
        self,
        outbox: Outbox,
        destination: Destination,
        on_trouble: Callable[[str, str | None], None] = lambda name, reason: None,
        on_refused: Callable[[str, str], None] = lambda name, reason: None,
        drain_s: float = 1.5,
        backoff: Backoff | None = None,
    ) -> None:
        self.sent = self.refused = 0
        self._outbox = outbox
        self._destination = destination
        self.name = destination.name
        self._on_trouble = on_trouble
        self._on_refused = on_refused
        self._drain_s = drain_s
        self._backoff = backoff or Backoff()
        self._in_trouble = False
        self._leaving = threading.Event()
        self._drained = threading.Event()
        self._thread = threading.Thread(target=self._work, name=f"deliver {destination.name}", daemon=True)

    def __enter__(self: _Delivery) -> _Delivery:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.leave()
        self._thread.join(self._drain_s)
        self._drained.set()
        self._thread.join(_END_S)

    def leave(self) -> None:
        """Send what waits and end; waits for nothing. Leaving the block does it otherwise."""
        self._leaving.set()
        self._outbox.wake()

    def _work(self) -> None:
        try:
            while not self._drained.is_set():
                if not self._tried() and self._leaving.is_set():
                    return
        finally:
            self._destination.close()

    def _tried(self) -> bool:
        """Send one message; False where there is none, or after waiting where it could not be sent."""
        try:
            return self._step()
        except (DeliveryError, sqlite3.Error) as error:
            self._tell(str(error))
            self._leaving.wait(self._backoff.next())
            return False

    def _step(self) -> bool:
        """Send one message; False where there is none.

        Raises:
            DeliveryError: it could not be sent, or the destination is not there.
            sqlite3.Error: the outbox cannot be read, or not be told of the delivery.
        """
        message = self._outbox.next(self.name)
        if message is None:
            if not self._leaving.is_set() and self._destination.rest():
                self._is_reached()
            self._outbox.wait(_POLL_S)
            return False
        try:
            self._destination.send(message)
            self.sent += 1
        except RefusedError as error:
            self.refused += 1
            self._on_refused(self.name, str(error))
        self._outbox.delivered(self.name, message)
        self._is_reached()
        return True

    def _is_reached(self) -> None:
        self._backoff.reset()
        self._tell(None)

    def _tell(self, reason: str | None) -> None:
        if self._in_trouble != (reason is not None):
            self._in_trouble = reason is not None
            self._on_trouble(self.name, reason)
