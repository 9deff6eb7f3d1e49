"""Frames that the engine gets together."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from source_peers import Scripted

from realnet_edge.bundle import Bundle
from realnet_edge.camera import (
    Camera,
    Choice,
    Engine,
    EngineChain,
    Inspection,
    SingleEngine,
    Source,
    Summary,
    open_source,
    run_line,
)
from realnet_edge.errors import BackendError, ConfigError
from realnet_edge.runtime import Prediction, Runner, open_runner


class Noting:
    """A real engine that notes how many images it gets at a time, and fails from some call on."""

    threshold, bundle = 0.5, "toy"

    def __init__(self, runner: Runner, fails_from: int | None = None, each_s: float = 0.0) -> None:
        self.sizes: list[int] = []
        self.input_size = runner.input_size
        self._runner = runner
        self._fails_from = fails_from
        self._each_s = each_s

    def infer(self, images: npt.NDArray[np.uint8]) -> Prediction:
        self.sizes.append(len(images))
        if self._fails_from is not None and len(self.sizes) > self._fails_from:
            raise BackendError("execution failed")
        time.sleep(self._each_s)
        return self._runner.infer(images)


def run(
    engine: Engine,
    source: Source | list[Camera],
    batch: int = 4,
    wait_s: float = 0.0,
    limit: int | None = None,
) -> tuple[list[Inspection], Summary]:
    seen: list[Inspection] = []
    summary = run_line(engine, source, [seen.append], limit, batch=batch, batch_wait_s=wait_s)
    return seen, summary


def test_batches_decide_what_single_frames_do(runner: Runner, parts: Path) -> None:
    alone, _ = run(SingleEngine(runner, 0.5, "toy"), open_source(str(parts)), batch=1)
    engine = Noting(runner)
    together, summary = run(engine, open_source(str(parts)), wait_s=30.0)

    # The eleventh cannot be decoded, so the engine does not get it.
    assert engine.sizes == [4, 4, 2]
    assert [one.verdict for one in together] == [one.verdict for one in alone]
    assert [one.frame.id for one in together] == [one.frame.id for one in alone]
    for one, other in zip(together[:10], alone[:10], strict=True):
        assert one.score == pytest.approx(other.score, abs=1e-6)
        assert one.anomaly_map is not None
        np.testing.assert_allclose(one.anomaly_map, other.anomaly_map, atol=1e-6)
        # Whoever keeps a defect's map keeps no others with it.
        assert one.anomaly_map.base is None or one.anomaly_map.base.size == one.anomaly_map.size
    assert (summary.frames, summary.not_inspected) == (11, 1)


def test_frames_of_a_batch_took_the_batchs_time_and_waited_for_each_other(runner: Runner) -> None:
    seen, _ = run(Noting(runner, each_s=0.02), Scripted(8, 0.03), wait_s=30.0)
    for first in (0, 4):
        latencies = [one.latency for one in seen[first : first + 4] if one.latency]
        assert len({one.engine for one in latencies}) == 1
        assert latencies[0].engine >= 20.0
        # Three more came after the first one, 30 ms apart.
        assert latencies[0].queue >= 89.0 > 0.0
        assert latencies[0].queue > latencies[1].queue > latencies[2].queue > latencies[3].queue


def test_without_a_wait_the_engine_takes_what_is_ready(runner: Runner) -> None:
    engine = Noting(runner, each_s=0.02)
    run(engine, Scripted(None, 0.001, kind="camera"), limit=30)
    # While it is busy frames get ready.
    assert max(engine.sizes) == 4
    # The first one does not wait for others.
    idle = Noting(runner)
    run(idle, Scripted(6, 0.05))
    assert set(idle.sizes) == {1}


def test_batches_hold_frames_of_all_cameras(runner: Runner) -> None:
    engine = Noting(runner, each_s=0.02)
    cameras = [Camera(name, Scripted(None, 0.002, kind="camera")) for name in "ab"]
    seen, _ = run(engine, cameras, wait_s=1.0, limit=40)
    assert engine.sizes[-1] == 4
    # In turn, however unevenly a busy machine lets them come.
    assert [one.frame.camera for one in seen].count("a") == pytest.approx(20, abs=10)


def test_a_limit_is_met_exactly(runner: Runner) -> None:
    engine = Noting(runner)
    seen, summary = run(engine, Scripted(100), wait_s=30.0, limit=6)
    assert engine.sizes == [4, 2]
    assert (len(seen), summary.frames, summary.ended) == (6, 6, "limit")


def test_a_batch_that_fails_has_no_frame_inspected(runner: Runner) -> None:
    engine = Noting(runner, fails_from=1)
    camera = Scripted(8)
    camera.endless = True
    seen, summary = run(engine, camera, wait_s=30.0)
    assert [one.verdict for one in seen] == ["good"] * 4 + ["not_inspected"] * 4
    assert {one.error for one in seen[4:]} == {"execution failed"}
    assert summary.not_inspected == 4


def test_a_batch_of_files_that_fails_ends_the_run(runner: Runner) -> None:
    seen: list[Inspection] = []
    with pytest.raises(BackendError, match="execution failed"):
        run_line(Noting(runner, fails_from=1), Scripted(8), [seen.append], batch=4, batch_wait_s=30.0)
    # What was decided before is handed on.
    assert [one.index for one in seen] == [0, 1, 2, 3]


def test_throughput_leaves_out_the_batch_that_it_begins_with(runner: Runner) -> None:
    seen, summary = run(Noting(runner, each_s=0.1), Scripted(8), wait_s=30.0)
    assert len(seen) == 8
    # Four frames in one interval of 0.1 s and a little more; not seven.
    assert summary.fps is not None
    assert summary.fps <= 40.0


def test_an_engine_is_tried_with_one_image_and_with_a_batch_when_it_is_built(bundle: Bundle) -> None:
    runners: list[Runner] = []
    sizes: list[int] = []

    def opened() -> Runner:
        runner = open_runner(bundle, threads=1)
        infer = runner.infer
        runner.infer = lambda images, *more: sizes.append(len(images)) or infer(images, *more)  # type: ignore[method-assign,func-returns-value,assignment]
        runners.append(runner)
        return runner

    with EngineChain([Choice(opened, 0.5, "toy")], batch=3) as engines:
        assert sorted(sizes) == [1, 3]
        run_line(engines, Scripted(1), [])
    # The run itself tries nothing again.
    assert sorted(sizes) == [1, 1, 3]


def test_a_batch_of_nothing_is_refused(runner: Runner) -> None:
    with pytest.raises(ConfigError, match="batch 0: give the engine at least 1 frame"):
        run(SingleEngine(runner, 0.5, "toy"), Scripted(1), batch=0)


@pytest.mark.parametrize("batch", [0, 5])
def test_a_batch_that_an_engine_does_not_take_is_refused(bundle: Bundle, batch: int) -> None:
    with pytest.raises(ConfigError, match=f"batch {batch}: engine toy takes 1 to 4 images at a time"):
        EngineChain([Choice(lambda: open_runner(bundle, threads=1), 0.5, "toy")], batch=batch)
