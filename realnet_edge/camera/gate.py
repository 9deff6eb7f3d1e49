"""A reject gate: one coil of a Modbus device, set for a part that is to leave the line."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from types import TracebackType
from typing import Any, TypeVar
from urllib.parse import urlsplit

from realnet_edge.camera.alarms import Alarm, Trouble
from realnet_edge.camera.backoff import Backoff
from realnet_edge.camera.results import DEFECT, NOT_INSPECTED, Inspection
from realnet_edge.errors import ConfigError, RealnetEdgeError

PORT = 502
# How long a device may take to answer: a gate that needs longer is none.
_TIMEOUT_S = 1.0
# How often the thread looks whether the line still inspects.
_POLL_S = 0.25
# Decisions that may wait: their age ends them long before, unless parts come faster than any gate moves.
_WAITING = 1_000

_Gate = TypeVar("_Gate", bound="RejectGate")


class GateLostError(RealnetEdgeError):
    """The device could not be reached, or did not do what it was told."""


@dataclass(frozen=True)
class Coil:
    """One coil of a device.

    Attributes:
        host, port: where the device, or its gateway, listens.
        unit: the device's address there, 0 to 255.
        address: of the coil as the protocol counts, from 0; coil 00001 of many manuals is 0.
    """

    host: str
    port: int
    unit: int
    address: int

    @classmethod
    def parse(cls, text: str) -> Coil:
        """From modbus://HOST:PORT/UNIT/COIL; the port may be missing.

        Raises:
            ConfigError: no such address.
        """
        parts = urlsplit(text)
        try:
            port, (unit, address) = parts.port or PORT, (int(part) for part in parts.path[1:].split("/"))
        except ValueError:
            port, unit, address = PORT, -1, -1
        if parts.scheme != "modbus" or not parts.hostname or not (0 <= unit <= 255 and 0 <= address <= 65535):
            raise ConfigError(
                f"{text} is no coil: valid is modbus://HOST:PORT/UNIT/COIL, the port 502 if there is none, "
                "UNIT 0 to 255, COIL 0 to 65535 as the protocol counts (00001 of a manual is 0)."
            )
        return cls(parts.hostname, port, unit, address)

    def __str__(self) -> str:
        return f"modbus://{self.host}:{self.port}/{self.unit}/{self.address}"


@dataclass(frozen=True)
class GateRules:
    """What the gate does.

    Attributes:
        not_inspected: whether a part that nobody saw leaves the line, too.
        pulse_s: how long the coil is set for a reject; None leaves it until the next part's decision.
        age_s: a decision older than that is not carried out: its part is somewhere else by now.
    """

    not_inspected: bool = True
    pulse_s: float | None = None
    age_s: float = 1.0

    @property
    def safe(self) -> bool:
        """The coil while nothing is inspected: set, so that what passes leaves the line; pulses end."""
        return self.not_inspected and self.pulse_s is None

    def rejects(self, inspection: Inspection) -> bool:
        """Whether a part leaves the line."""
        return inspection.verdict == DEFECT or (self.not_inspected and inspection.verdict == NOT_INSPECTED)


class RejectGate:
    """A sink that moves a gate, in a thread of its own; use it in a `with` block.

    Decisions are carried out in order, each within its age; one that comes too late, or that the device does
    not take in time, is a failure and never moves the gate. The coil takes the safe state of the rules when
    the device is reached, while nothing is inspected, after a decision that failed, and at the end.

    Args:
        coil: which.
        rules: what is a reject, and how it is written.
        on_alarm: hears of a device that is away, and of late decisions, once each time.
        idle: says why nothing is inspected now; None while it is.
        backoff: waits between tries to reach the device.

    Attributes:
        done: decisions that were carried out.
        failed: decisions that were not.
    """

    def __init__(
        self,
        coil: Coil,
        rules: GateRules,
        on_alarm: Alarm,
        idle: Callable[[], str | None] = lambda: None,
        backoff: Backoff | None = None,
    ) -> None:
        self.done = self.failed = 0
        self.name = str(coil)
        self._coil = coil
        self._rules = rules
        self._idle = idle
        self._away = Trouble(self.name, on_alarm)
        self._late = Trouble(self.name, on_alarm, "decisions come in time again")
        self._backoff = backoff or Backoff(0.1, 2.0)
        self._client = _client(coil)
        self._waiting: deque[tuple[datetime, bool]] = deque()
        self._changed = threading.Condition()
        self._leaving = False
        # What the coil holds, as far as is known, and when a pulse ends.
        self._held: bool | None = None
        self._pulse_ends: float | None = None
        self._thread = threading.Thread(target=self._work, name=f"gate {coil}", daemon=True)

    def __call__(self, inspection: Inspection) -> None:
        decision = datetime.fromisoformat(inspection.frame.timestamp), self._rules.rejects(inspection)
        with self._changed:
            if len(self._waiting) >= _WAITING:
                self._waiting.popleft()
                self.failed += 1
            self._waiting.append(decision)
            self._changed.notify_all()

    def __enter__(self: _Gate) -> _Gate:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.leave()
        # What is decided is carried out if it still may be; a device that is away is not waited for.
        self._thread.join(1.5 * _TIMEOUT_S)

    def leave(self) -> None:
        """Carry out what waits and end; waits for nothing. Leaving the block does it otherwise."""
        with self._changed:
            self._leaving = True
            self._changed.notify_all()

    def _work(self) -> None:
        while not self._leaving or self._waiting:
            self._tried()
        # One that is away stays as it is, and is not waited for.
        if not self._away.failing:
            with suppress(GateLostError):
                self._write(self._rules.safe)
        self._client.close()

    def _tried(self) -> None:
        try:
            self._step()
            self._backoff.reset()
        except GateLostError as error:
            self._lost(str(error))

    def _step(self) -> None:
        """Reach the device, carry out one decision, or see to it that the coil is as it must be."""
        if self._held is None:
            self._write(self._rules.safe)
            self._away.works()
        decision = self._next()
        if decision is None:
            self._keep()
            return
        taken, reject = decision
        if self._age(taken) > self._rules.age_s:
            self._give_up()
            return
        self._carry_out(reject)
        with self._changed:
            self._waiting.popleft()
        self.done += 1
        self._late.works()

    def _next(self) -> tuple[datetime, bool] | None:
        """The oldest decision, left where it is; None where there is none for a while, or a pulse ends."""
        with self._changed:
            if not self._waiting and not self._leaving:
                self._changed.wait(self._pause())
            return self._waiting[0] if self._waiting else None

    def _pause(self) -> float:
        if self._pulse_ends is None:
            return _POLL_S
        return min(_POLL_S, max(0.0, self._pulse_ends - time.monotonic()))

    def _keep(self) -> None:
        if self._pulse_ends is not None and time.monotonic() >= self._pulse_ends:
            self._write(False)
            self._pulse_ends = None
        elif self._pulse_ends is None and self._held != self._rules.safe and self._idle() is not None:
            self._write(self._rules.safe)

    def _carry_out(self, reject: bool) -> None:
        if self._rules.pulse_s is None:
            self._write(reject)
        elif reject:
            self._write(True)
            self._pulse_ends = time.monotonic() + self._rules.pulse_s
        else:
            self._keep()

    def _give_up(self) -> None:
        """The part of the oldest decision has gone by."""
        with self._changed:
            self._waiting.popleft()
        self.failed += 1
        self._late.failed(
            f"decisions are more than {self._rules.age_s:g} s old; the gate is not moved for parts gone by"
        )
        if self._rules.pulse_s is None:
            self._write(self._rules.safe)

    def _lost(self, reason: str) -> None:
        self._away.failed(reason)
        self._client.close()
        self._held = None
        with self._changed:
            while self._waiting and self._age(self._waiting[0][0]) > self._rules.age_s:
                self._waiting.popleft()
                self.failed += 1
            if self._leaving:
                self.failed += len(self._waiting)
                self._waiting.clear()
            else:
                self._changed.wait_for(lambda: self._leaving, self._backoff.next())

    def _age(self, taken: datetime) -> float:
        return (datetime.now(timezone.utc) - taken).total_seconds()

    def _write(self, value: bool) -> None:
        """Set or clear the coil.

        Raises:
            GateLostError: that is not known to have happened.
        """
        from pymodbus.exceptions import ModbusException

        try:
            if not self._client.connect():
                raise GateLostError("cannot be reached")
            answer = self._client.write_coil(self._coil.address, value, device_id=self._coil.unit)
        except (ModbusException, OSError) as error:
            raise GateLostError(f"does not answer ({error})") from None
        if answer.isError():
            raise GateLostError(f"refuses the coil ({answer})")
        self._held = value


def _client(coil: Coil) -> Any:
    from pymodbus.client import ModbusTcpClient

    # It tells the terminal of every try by itself; here an alarm says so, once.
    logging.getLogger("pymodbus").addHandler(logging.NullHandler())
    return ModbusTcpClient(coil.host, port=coil.port, timeout=_TIMEOUT_S, retries=0)
