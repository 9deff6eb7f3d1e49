"""Parts of a trigger: each one comes out, inspected or reported as not inspected; none is dropped."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from source_peers import Scripted

from realnet_edge.bundle import Bundle
from realnet_edge.camera import Camera, Inspection, SingleEngine, run_line
from realnet_edge.runtime import open_runner

BUSY = "the engine was busy with the parts before it"
ENDED = "the run ended before its turn"


@pytest.fixture
def engine(toy_bundle: Callable[..., Bundle], tmp_path: Path) -> Iterator[SingleEngine]:
    with open_runner(toy_bundle(tmp_path / "b"), threads=1) as runner:
        yield SingleEngine(runner, 0.5, "toy")


def slow(seen: list[Inspection]) -> Callable[[Inspection], None]:
    def sink(inspection: Inspection) -> None:
        seen.append(inspection)
        time.sleep(0.01)

    return sink


def test_parts_that_give_way_are_reported(engine: SingleEngine) -> None:
    seen: list[Inspection] = []
    summary = run_line(engine, Scripted(200, kind="parts"), [slow(seen)])

    assert sorted(int(one.frame.id) for one in seen) == list(range(200))
    assert [one.index for one in seen] == list(range(200))
    missed = [one for one in seen if one.verdict == "not_inspected"]
    assert {one.error for one in missed} == {BUSY}
    assert summary.not_inspected == len(missed) > 100
    assert (summary.dropped, summary.frames) == (0, 200)
    # Many may wait to be reported: their pictures must not.
    assert all(one.frame.image is None for one in missed)
    assert seen[-1].verdict == "good"


def test_parts_that_still_wait_when_the_run_is_stopped_are_reported(engine: SingleEngine) -> None:
    seen: list[Inspection] = []
    source, stop = Scripted(None, 0.001, kind="parts"), threading.Event()

    def sink(inspection: Inspection) -> None:
        seen.append(inspection)
        time.sleep(0.01)
        if len(seen) == 20:
            stop.set()

    summary = run_line(engine, source, [sink], stop=stop)

    assert sorted(int(one.frame.id) for one in seen) == list(range(source.captured))
    assert (summary.ended, summary.dropped, summary.frames) == ("stopped", 0, source.captured)
    assert ENDED in {one.error for one in seen}


def test_parts_that_wait_at_the_limit_are_reported_beyond_it(engine: SingleEngine) -> None:
    seen: list[Inspection] = []
    source = Scripted(None, 0.001, kind="parts")
    summary = run_line(engine, source, [slow(seen)], limit=5)

    assert summary.ended == "limit"
    assert len(seen) == summary.frames == source.captured >= 5
    assert {one.error for one in seen[5:]} <= {ENDED, BUSY}


def test_parts_and_pictures_are_accounted_for_each_in_its_way(engine: SingleEngine) -> None:
    parts, camera = Scripted(100, 0.001, kind="parts"), Scripted(100, 0.001, kind="camera")
    seen: list[Inspection] = []
    summary = run_line(engine, [Camera("parts", parts), Camera("camera", camera)], [slow(seen)])

    assert summary.cameras["parts"].frames == 100
    assert summary.cameras["parts"].dropped == 0
    assert summary.cameras["camera"].dropped > 0
    assert summary.cameras["camera"].frames + summary.cameras["camera"].dropped == 100
    assert summary.cameras["camera"].not_inspected == 0
