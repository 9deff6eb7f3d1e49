from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from realnet_edge.bundle import Bundle
from realnet_edge.camera import Frame, Inspection, SingleEngine, Source, open_source, run_line
from realnet_edge.camera.frames import utc_now
from realnet_edge.errors import BackendError
from realnet_edge.imaging import load_image, preprocess
from realnet_edge.runtime import Runner, open_runner


class Endless(Source):
    """Frames without end, counting how many were decoded; `then` is called in place of frame 6."""

    name = "endless"

    def __init__(self, then: Callable[[], object] | None = None) -> None:
        self.decoded = 0
        self.closed = False
        self._then = then

    def __len__(self) -> int:
        return 0

    def frames(self) -> Iterator[Frame]:
        while True:
            if self.decoded == 6 and self._then:
                self._then()
            image: npt.NDArray[np.uint8] = np.full((40, 40, 3), 10, np.uint8)
            yield Frame(str(self.decoded), self.name, utc_now(), None, image, None, 0.0)
            self.decoded += 1

    def close(self) -> None:
        self.closed = True


def inspect(runner: Runner, threshold: float, parts: Path) -> list[Inspection]:
    found: list[Inspection] = []
    run_line(SingleEngine(runner, threshold, "toy/engine"), open_source(str(parts)), [found.append])
    return found


def _threads() -> set[str]:
    """Those of the line that are still there."""
    return {thread.name for thread in threading.enumerate()} & {"capture", "prepare", "output"}


def test_every_frame_is_decided_in_order_and_the_corrupt_one_is_not_good(runner: Runner, parts: Path) -> None:
    results = inspect(runner, 0.5, parts)

    assert [result.index for result in results] == list(range(11))
    assert [result.verdict for result in results] == [
        *("good", "good", "defect", "good", "good", "good", "defect", "good", "good", "good"),
        "not_inspected",
    ]
    assert results[-1].score is None
    assert "part10.png: " in str(results[-1].error)
    assert {result.bundle for result in results} == {"toy/engine"}
    assert not _threads()


def test_the_loop_scores_what_the_shared_preprocess_gives(runner: Runner, parts: Path) -> None:
    image = preprocess(load_image(parts / "part6.png"), runner.input_size)
    expected = runner.infer(image[None])

    results = inspect(runner, 0.5, parts)

    assert results[6].score == float(expected.score[0])
    np.testing.assert_array_equal(results[6].anomaly_map, expected.anomaly_map[0])


def test_a_score_equal_to_the_threshold_is_good(runner: Runner, parts: Path) -> None:
    """The conformal rule keeps its promise for scores greater than the threshold."""
    score = inspect(runner, 0.5, parts / "part2.png")[0].score
    assert score is not None

    verdicts = [
        inspect(runner, limit, parts / "part2.png")[0].verdict
        for limit in (score, float(np.nextafter(score, 0.0)))
    ]
    assert verdicts == ["good", "defect"]


def test_setting_stop_ends_the_run_and_what_is_decided_is_still_handed_on(runner: Runner) -> None:
    source, stop, seen = Endless(), threading.Event(), []

    def sink(inspection: Inspection) -> None:
        seen.append(inspection.index)
        if inspection.index == 4:
            stop.set()

    summary = run_line(SingleEngine(runner, 0.5, "toy"), source, [sink], stop=stop)

    assert summary.ended == "stopped"
    # Some were decided while the sink was at work.
    assert 5 <= summary.frames < 20
    assert seen == list(range(summary.frames))
    assert source.closed
    assert not _threads()


def test_a_limit_ends_the_run_and_closes_the_source(runner: Runner) -> None:
    source, seen = Endless(), []

    def slow(inspection: Inspection) -> None:
        time.sleep(0.05)
        seen.append(inspection.index)

    summary = run_line(SingleEngine(runner, 0.5, "toy"), source, [slow], limit=3)

    assert (summary.frames, summary.ended) == (3, "limit")
    assert seen == [0, 1, 2]
    assert source.closed


def test_decoding_never_runs_far_ahead(runner: Runner) -> None:
    source, ahead = Endless(), []

    def sink(inspection: Inspection) -> None:
        # Give the worker time to run ahead as far as it ever would.
        threading.Event().wait(0.02)
        ahead.append(source.decoded - inspection.index)

    run_line(SingleEngine(runner, 0.5, "toy"), source, [sink], limit=30)

    # Eight results wait for the sink, and a few frames for the engine.
    assert 2 <= max(ahead) <= 18


def test_an_error_in_a_sink_ends_the_run_and_its_thread(runner: Runner) -> None:
    source = Endless()

    def sink(inspection: Inspection) -> None:
        if inspection.index == 2:
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        run_line(SingleEngine(runner, 0.5, "toy"), source, [sink])

    assert source.closed
    assert not _threads()


def test_an_error_while_decoding_is_raised_after_the_frames_before_it(runner: Runner) -> None:
    def fail() -> None:
        raise MemoryError("no room")

    source, seen = Endless(fail), []

    with pytest.raises(MemoryError, match="no room"):
        run_line(SingleEngine(runner, 0.5, "toy"), source, [lambda inspection: seen.append(inspection.index)])

    assert seen == [0, 1, 2, 3, 4, 5]
    assert source.closed


def test_a_failing_engine_ends_the_run_instead_of_passing_frames(bundle: Bundle) -> None:
    source, seen = Endless(), []

    with open_runner(bundle, threads=1) as runner:

        def sink(inspection: Inspection) -> None:
            seen.append(inspection.index)
            if inspection.index == 0:
                runner.__exit__(None, None, None)

        with pytest.raises(BackendError, match="not open"):
            run_line(SingleEngine(runner, 0.5, "toy"), source, [sink])

    # What had been decided before is handed on.
    assert seen == list(range(len(seen))) != []
    assert source.closed
