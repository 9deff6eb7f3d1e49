from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from browser import OPERATOR_TOKEN, TOKEN

from realnet_edge.bundle import Bundle
from realnet_edge.camera import Choice, EngineChain, Frame, Inspection, Latency
from realnet_edge.camera.thresholds import ThresholdFile
from realnet_edge.monitor import LineState, MonitorServer
from realnet_edge.monitor.access import Access
from realnet_edge.monitor.threshold import ThresholdControl
from realnet_edge.runtime import open_runner


@pytest.fixture
def inspected() -> Callable[..., Inspection]:
    """An inspection with a picture: `inspected(index, score, threshold=0.5, camera=None)`."""

    def make(
        index: int, score: float | None, threshold: float = 0.5, camera: str | None = None
    ) -> Inspection:
        image = np.full((60, 80, 3), 40 + index % 100, np.uint8)
        taken = "2026-01-31T12:00:00.000Z"
        frame = Frame(f"part{index}", "camera", taken, None, image, None, 1.0, camera=camera)
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
    with MonitorServer("127.0.0.1:0", state, Access(TOKEN, OPERATOR_TOKEN)) as opened:
        yield opened


@pytest.fixture
def engines(toy_bundle: Callable[..., Bundle], tmp_path: Path) -> EngineChain:
    """Two real engines; those of `inspected` are scored by the first."""
    bundle = toy_bundle(tmp_path / "b")
    return EngineChain(
        [
            Choice(lambda: open_runner(bundle, threads=1), 0.5, "toy/engine", 0.5),
            Choice(lambda: open_runner(bundle, threads=1), 0.25, "toy/second", 0.25),
        ]
    )


@pytest.fixture
def kept_file(tmp_path: Path) -> ThresholdFile:
    return ThresholdFile(tmp_path / "kept" / "bracket-threshold.json")


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def control(engines: EngineChain, kept_file: ThresholdFile, said: list[str]) -> ThresholdControl:
    return ThresholdControl(engines, kept_file, say=said.append)


@pytest.fixture
def controlled(
    state: LineState, control: ThresholdControl, inspected: Callable[..., Inspection]
) -> Iterator[MonitorServer]:
    """A guarded server whose operators change the threshold; the control has seen what the state has."""
    for index, score, _ in state.snapshot()["trend"]:
        control(inspected(index, score))
    with MonitorServer("127.0.0.1:0", state, Access(TOKEN, OPERATOR_TOKEN), control) as opened:
        yield opened
