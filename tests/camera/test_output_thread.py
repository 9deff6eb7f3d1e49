"""Outputs beside the engine: slow ones, failing ones, hanging ones."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from source_peers import Scripted
from waiting_peers import wait

from realnet_edge.bundle import Bundle
from realnet_edge.camera import Inspection, SingleEngine, run_line
from realnet_edge.errors import RealnetEdgeError
from realnet_edge.runtime import open_runner


@pytest.fixture
def engine(toy_bundle: Callable[..., Bundle], tmp_path: Path) -> Iterator[SingleEngine]:
    with open_runner(toy_bundle(tmp_path / "b"), threads=1) as runner:
        yield SingleEngine(runner, 0.5, "toy")


def test_the_engine_goes_on_while_a_result_is_written(engine: SingleEngine) -> None:
    source, seen, ahead = Scripted(None), [], []

    def sink(inspection: Inspection) -> None:
        if inspection.index == 0:
            # Not before the engine has gone on: it would wait here for ever if it waited for this sink.
            wait(lambda: source.captured >= 8)
        ahead.append(source.captured - inspection.index)
        seen.append(inspection.index)

    run_line(engine, source, [sink], limit=10)
    assert seen == list(range(10))
    assert ahead[0] >= 8


def test_frames_give_way_at_the_camera_where_a_sink_is_slow(engine: SingleEngine) -> None:
    source, seen = Scripted(300, 0.001, kind="camera"), []

    def slow(inspection: Inspection) -> None:
        time.sleep(0.02)
        seen.append(inspection.frame.id)

    summary = run_line(engine, source, [slow])
    assert summary.dropped > 0
    assert len(seen) == summary.frames
    assert summary.frames + summary.dropped == 300


def test_sinks_are_called_in_order_in_one_thread(engine: SingleEngine) -> None:
    calls: list[tuple[int, str, str]] = []

    def sink(name: str) -> Callable[[Inspection], None]:
        return lambda one: calls.append((one.index, name, threading.current_thread().name))

    run_line(engine, Scripted(5), [sink("a"), sink("b")])
    assert calls == [(index, name, "output") for index in range(5) for name in "ab"]


def test_an_error_in_a_sink_ends_a_run_in_which_nothing_more_comes(engine: SingleEngine) -> None:
    source = Scripted(None, kind="camera")
    count = 0

    def fail(inspection: Inspection) -> None:
        nonlocal count
        count += 1
        # From here on the camera is silent.
        source._pause = 600.0
        raise OSError(f"disk full at {inspection.index}")

    with pytest.raises(OSError, match="disk full at 0"):
        run_line(engine, source, [fail])
    assert count == 1
    assert source.closed


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("realnet_edge.camera.output_thread._HANGS_S", 0.2)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("waiting", [1, 100])
def test_an_output_that_hangs_does_not_keep_a_run_from_stopping(engine: SingleEngine, waiting: int) -> None:
    stop, hanging, ended = threading.Event(), threading.Event(), threading.Event()

    def hang(inspection: Inspection) -> None:
        del inspection
        hanging.set()
        ended.wait(60)

    # With many the engine itself waits for the output.
    source = Scripted(waiting, kind="camera", pause_s=0.001)
    threading.Thread(target=lambda: hanging.wait(60) and stop.set(), daemon=True).start()
    with pytest.raises(
        RealnetEdgeError, match=r"an output has not returned for 0\.2 s: \d+ results were not"
    ):
        run_line(engine, source, [hang], stop=stop)
    ended.set()
    wait(lambda: all(thread.name != "output" for thread in threading.enumerate()))


@pytest.mark.usefixtures("impatient")
def test_a_slow_output_gets_everything_however_long_that_takes_where_nobody_stops_the_run(
    engine: SingleEngine,
) -> None:
    seen: list[int] = []

    def slow(inspection: Inspection) -> None:
        time.sleep(0.3)
        seen.append(inspection.index)

    run_line(engine, Scripted(2), [slow])
    assert seen == [0, 1]
