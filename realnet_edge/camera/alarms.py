"""Something that fails is said once, and once that it works again."""

from __future__ import annotations

from collections.abc import Callable

Alarm = Callable[[str], None]


class Trouble:
    """What fails again and again is one alarm, however often it is tried.

    Args:
        name: what fails, as the user named it. No passwords.
        on_alarm: hears of it.
        again: what is said when it works again.

    Attributes:
        failing: whether it failed when it was tried last.
    """

    def __init__(self, name: str, on_alarm: Alarm, again: str = "works again") -> None:
        self.failing = False
        self._name = name
        self._on_alarm = on_alarm
        self._again = again

    def failed(self, reason: str) -> None:
        """It did not work."""
        if not self.failing:
            self.failing = True
            self._on_alarm(f"{self._name}: {reason}")

    def works(self) -> None:
        """It did."""
        if self.failing:
            self.failing = False
            self._on_alarm(f"{self._name}: {self._again}")


def reason_of(error: Exception) -> str:
    """What a failing disk or database says, without the file's name."""
    return str(getattr(error, "strerror", None) or error)
