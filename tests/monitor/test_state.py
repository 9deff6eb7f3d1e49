from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from realnet_edge.camera import Camera, CameraState, Inspection, open_source
from realnet_edge.monitor import LineState
from realnet_edge.monitor.state import DEFECTS, TREND


def test_it_counts_and_keeps_what_was_last(state: LineState) -> None:
    found = state.snapshot()
    assert found["counts"] == {"good": 35, "defect": 4, "not_inspected": 1}
    assert (found["index"], found["verdict"], found["threshold"]) == (39, "good", 0.5)
    assert found["latency_ms"]["engine"] == 17.0
    assert [one["index"] for one in found["defects"]] == [33, 23, 13, 3]
    assert found["trend"][7] == (7, None, "not_inspected")
    assert found["fps"] > 0


def test_it_keeps_so_much_and_no_more(state: LineState, inspected: Callable[..., Inspection]) -> None:
    for index in range(40, 40 + 2 * TREND):
        state(inspected(index, 0.9))
    found = state.snapshot()
    assert len(found["trend"]) == TREND
    assert len(found["defects"]) == DEFECTS
    assert state.picture(3) is None
    newest = found["defects"][0]["index"]
    kept = state.picture(newest)
    assert kept is not None
    assert kept.frame.id == f"part{newest}"


def test_a_part_that_was_not_inspected_leaves_the_last_picture(
    state: LineState, inspected: Callable[..., Inspection]
) -> None:
    state(inspected(40, None))
    last = state.picture()
    assert last is not None
    assert last.index == 39


def test_ready_is_a_line_with_a_camera_and_decisions(state: LineState) -> None:
    assert state.not_ready() is None
    state.on_camera(None, CameraState("waiting", "Connection refused", 2.0))
    assert state.not_ready() == "camera waiting: Connection refused"
    state.on_camera(None, CameraState("live"))
    assert state.not_ready() is None
    hasty = LineState("bracket", quiet_s=-1.0)
    assert hasty.not_ready() == "no decision for 0 s"


def test_a_line_that_waits_for_parts_is_ready_however_long_none_comes(tmp_path: Path, parts: Path) -> None:
    watched = Camera("watched", open_source(f"watch:{tmp_path}"))
    files = Camera("files", open_source(str(parts)))
    stream = Camera("stream", open_source("rtsp://cam/x"))
    state = LineState("bracket", quiet_s=-1.0)

    class Running:
        dropped = 0
        cameras: tuple[Camera, ...] = (watched,)

    running = Running()
    state.started(running)  # type: ignore[arg-type]
    assert state.not_ready() is None
    for camera in (files, stream):
        running.cameras = (watched, camera)
        assert state.not_ready() == "no decision for 0 s"


def test_a_line_whose_trigger_is_away_is_not_ready(state: LineState) -> None:
    state.on_trigger(CameraState("waiting", "Connection refused", 2.0))
    assert state.not_ready() == "trigger waiting: Connection refused"
    state.on_trigger(CameraState("live"))
    assert state.not_ready() is None


def test_alarms_and_waiting_results_are_shown(state: LineState) -> None:
    state.on_alarm("engine a: execution failed")
    state.waiting = lambda: {"broker": 3}
    found = state.snapshot()
    assert found["alarm"] == "engine a: execution failed"
    assert found["waiting"] == {"broker": 3}


def test_dropped_frames_are_those_of_the_line(state: LineState) -> None:
    class Dropping:
        dropped = 5
        cameras = ()

    state.started(Dropping())  # type: ignore[arg-type]
    assert state.snapshot()["dropped"] == pytest.approx(5)


def test_cameras_are_shown_in_order_each_with_its_own_state(parts: Path) -> None:
    left, right = (Camera(name, open_source(str(parts))) for name in ("left", "right"))
    right.dropped = 3

    class Running:
        dropped = 3
        cameras = (right, left)

    state = LineState("bracket", ["left", "right"])
    state.on_camera("right", CameraState("waiting", "Connection refused", 2.0))
    state.started(Running())  # type: ignore[arg-type]
    calm = {"phase": "live", "reason": None, "dropped": 0, "reconnects": 0}
    assert state.snapshot()["cameras"] == [
        {"name": "left", **calm},
        {"name": "right", "phase": "waiting", "reason": "Connection refused", "dropped": 3, "reconnects": 0},
    ]
    assert state.not_ready() == "camera right waiting: Connection refused"
