from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from realnet_edge.camera import Camera, CameraState, Inspection, open_source
from realnet_edge.monitor import LineState
from realnet_edge.monitor.state import ALARMS, DEFECTS, TREND


def test_it_counts_and_keeps_what_was_last(state: LineState) -> None:
    found = state.snapshot()
    assert found["counts"] == {"good": 35, "defect": 4, "not_inspected": 1}
    last = found["cameras"][0]["last"]
    assert (last["index"], last["verdict"], last["threshold"]) == (39, "good", 0.5)
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
    assert state.defect(3) is None
    newest = found["defects"][0]["index"]
    kept = state.defect(newest)
    assert kept is not None
    assert kept.frame.id == f"part{newest}"


def test_parts_that_were_not_inspected_leave_the_last_picture_and_are_told(
    state: LineState, inspected: Callable[..., Inspection]
) -> None:
    state(inspected(40, None))
    state(inspected(41, None))
    assert state.snapshot()["cameras"][0]["last"]["index"] == 39
    assert state.snapshot()["cameras"][0]["missed"] == (2, "damaged")
    state(inspected(42, 0.1))
    assert state.snapshot()["cameras"][0]["missed"] is None


def test_each_camera_has_its_own_picture_and_counts(inspected: Callable[..., Inspection]) -> None:
    state = LineState("bracket", ["left", "right"])
    for index, (camera, score) in enumerate([("left", 0.9), ("right", 0.1), ("right", 0.2)]):
        state(inspected(index, score, camera=camera))
    left, right = state.snapshot()["cameras"]
    assert (left["last"]["index"], left["last"]["verdict"]) == (0, "defect")
    assert (right["last"]["index"], right["last"]["verdict"]) == (2, "good")
    assert right["counts"] == {"good": 2, "defect": 0, "not_inspected": 0}
    shown = state.shown(1, 2)
    assert shown is not None
    assert shown.frame.camera == "right"
    assert state.shown(0, 2) is None
    assert state.shown(2, 0) is None


def test_a_part_that_a_page_was_told_of_can_still_be_shown(
    state: LineState, inspected: Callable[..., Inspection]
) -> None:
    assert state.shown(0, 39) is None
    assert state.snapshot()["cameras"][0]["last"]["index"] == 39
    for index in range(40, 60):
        state(inspected(index, 0.1))
    shown = state.shown(0, 39)
    assert shown is not None
    assert shown.index == 39


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
    assert [one["text"] for one in found["alarms"]] == ["engine a: execution failed"]
    assert found["alarms"][0]["at"].endswith("+00:00")
    assert found["waiting"] == {"broker": 3}


def test_alarms_are_counted_and_the_last_ones_kept(state: LineState) -> None:
    for number in range(ALARMS + 5):
        state.on_alarm(f"alarm {number}")
    found = state.snapshot()
    assert found["alarm_count"] == ALARMS + 5
    assert [one["text"] for one in found["alarms"]][:2] == ["alarm 24", "alarm 23"]
    assert len(found["alarms"]) == ALARMS


def test_who_cannot_be_reached_is_told_until_it_is(state: LineState) -> None:
    state.on_delivery("broker", "Connection refused")
    assert state.snapshot()["problems"]["broker"]["reason"] == "Connection refused"
    state.on_delivery("broker", None)
    assert state.snapshot()["problems"] == {}


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
    keys = ("name", "phase", "reason", "dropped", "reconnects")
    assert [tuple(camera[key] for key in keys) for camera in state.snapshot()["cameras"]] == [
        ("left", "live", None, 0, 0),
        ("right", "waiting", "Connection refused", 3, 0),
    ]
    assert state.not_ready() == "camera right waiting: Connection refused"
