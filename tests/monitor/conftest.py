from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from browser import TOKEN

from realnet_edge.camera import Frame, Inspection, Latency
from realnet_edge.monitor import LineState, MonitorServer


@pytest.fixture
def inspected() -> Callable[..., Inspection]:
    """An inspection with a picture: `inspected(index, score, threshold=0.5)`."""

    def make(index: int, score: float | None, threshold: float = 0.5) -> Inspection:
        image = np.full((60, 80, 3), 40 + index % 100, np.uint8)
        frame = Frame(f"part{index}", "camera", "2026-01-31T12:00:00.000Z", None, image, None, 1.0)
        if score is None:
            return Inspection(index, frame, "not_inspected", threshold, "toy/engine", error="damaged")
        found = np.zeros((32, 32), np.float32)
        found[8:16, 8:16] = score
        verdict = "defect" if score > threshold else "good"
        latency = Latency(1.0, 2.0, 3.0, 17.0)
        return Inspection(index, frame, verdict, threshold, "toy/engine", score, found, latency)

    return make


@pytest.fixture
def state(inspected: Callable[..., Inspection]) -> LineState:
    """Forty parts: every tenth a defect, one not inspected."""
    made = LineState("bracket")
    for index in range(40):
        made(inspected(index, None if index == 7 else 0.9 if index % 10 == 3 else 0.1 + 0.003 * index))
    return made


@pytest.fixture
def server(state: LineState) -> Iterator[MonitorServer]:
    with MonitorServer("127.0.0.1:0", state) as opened:
        yield opened


@pytest.fixture
def guarded(state: LineState) -> Iterator[MonitorServer]:
    with MonitorServer("127.0.0.1:0", state, TOKEN) as opened:
        yield opened
