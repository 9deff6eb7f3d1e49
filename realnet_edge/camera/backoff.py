"""How long to wait before a lost camera is tried again."""

from __future__ import annotations

import random


class Backoff:
    """Waits that double up to a limit, each shortened by chance so that many cameras do not return at once.

    Args:
        first_s: longest first wait, in seconds.
        most_s: no wait is longer.
    """

    def __init__(self, first_s: float = 1.0, most_s: float = 30.0) -> None:
        self._first, self._most = first_s, most_s
        self._longest = first_s

    def next(self) -> float:
        """Seconds to wait now: between half of the present limit and all of it."""
        wait = self._longest * random.uniform(0.5, 1.0)  # noqa: S311  # no secret
        self._longest = min(self._most, 2.0 * self._longest)
        return wait

    def reset(self) -> None:
        """Begin anew with the first wait."""
        self._longest = self._first
