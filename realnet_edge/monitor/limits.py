"""How much one address may ask for."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable

# Addresses that are remembered; beyond, the one that has been quiet for longest is forgotten.
_ADDRESSES = 2048


class TokenBuckets:
    """A bucket of tokens for each address: it holds `burst`, and fills by `rate` a second.

    Bounded in memory, and used from one thread.

    Args:
        rate: tokens a second.
        burst: tokens of a full bucket.
        addresses: buckets that are kept.
        clock: seconds that never go back.
    """

    def __init__(
        self,
        rate: float,
        burst: int,
        addresses: int = _ADDRESSES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._rate, self._burst, self._addresses = rate, burst, addresses
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def wait_s(self, address: str) -> int:
        """Seconds until this address may take a token, rounded up; 0 if it may now."""
        return math.ceil(max(0.0, 1.0 - self._level(address)) / self._rate)

    def take(self, address: str) -> None:
        """Take a token; an empty bucket stays empty."""
        level = max(0.0, self._level(address) - 1.0)
        self._buckets[address] = (level, self._clock())
        self._buckets.move_to_end(address)
        if len(self._buckets) > self._addresses:
            self._buckets.popitem(last=False)

    def _level(self, address: str) -> float:
        level, at = self._buckets.get(address, (float(self._burst), self._clock()))
        return min(float(self._burst), level + (self._clock() - at) * self._rate)
