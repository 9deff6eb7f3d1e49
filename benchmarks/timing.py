"""How long something takes on the device that computes it."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch

# What a GPU's timer resolves is a microsecond: short work is repeated until it takes this long.
_SECONDS = 2e-3
_MOST = 200
# Numbers: far more than any cache holds.
_COPIED = 64 * 2**20


def seconds_of(work: Callable[[], object], device: torch.device) -> float:
    """Seconds of one call; on a GPU by its own events, over as many calls as make them countable."""
    if device.type != "cuda":
        start = time.perf_counter()
        work()
        return time.perf_counter() - start
    calls = max(1, min(_MOST, int(_SECONDS / max(1e-7, _between(work, 1)))))
    return _between(work, calls) / calls


def copy_rate(device: torch.device) -> float:
    """Bytes a second, read and written, of copying a tensor far larger than any cache."""
    source = torch.empty(_COPIED, dtype=torch.float32, device=device).normal_()
    target = torch.empty_like(source)
    best = min(seconds_of(lambda: target.copy_(source), device) for _ in range(5))
    return 2 * source.numel() * source.element_size() / best


def _between(work: Callable[[], object], calls: int) -> float:
    first, last = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    first.record()
    for _ in range(calls):
        work()
    last.record()
    last.synchronize()
    return 1e-3 * first.elapsed_time(last)
