"""How it stands with each camera, and what is announced of it."""

from __future__ import annotations

import json

from plant_peers import inspection

from realnet_edge.camera.board import Board, CameraFacts
from realnet_edge.camera.discovery import announcements, state_of, state_topic


def test_each_camera_has_its_newest_result_and_its_counts() -> None:
    facts = {"left": CameraFacts("camera waiting: unplugged", 3), "right": CameraFacts()}
    board = Board(["left", "right"], lambda: facts)
    for index, verdict in enumerate(["good", "defect", "not_inspected", "defect"]):
        board(inspection(index, verdict, camera="left"))
    left, right = board.standing("left"), board.standing("right")
    assert left.newest
    assert (left.newest.index, left.frames, left.good, left.defects, left.not_inspected) == (3, 4, 1, 2, 1)
    assert (left.idle, left.dropped) == ("camera waiting: unplugged", 3)
    assert (right.newest, right.frames, right.idle, right.dropped) == (None, 0, None, 0)


def test_a_camera_without_results_for_long_is_idle() -> None:
    board = Board(quiet_s=0.0)
    assert board.standing().idle == "no result for 0 s"
    # Of one whose parts come when they come nothing is expected.
    assert Board(facts=lambda: {None: CameraFacts(steady=False)}, quiet_s=0.0).standing().idle is None


def test_a_state_has_the_same_keys_before_the_first_result() -> None:
    board = Board()
    before = state_of(board.standing())
    board(inspection(0, "defect"))
    after = state_of(board.standing())
    assert list(before) == list(after)
    assert (before["verdict"], before["frames"], before["state"]) == (None, 0, "inspecting")
    assert (after["verdict"], after["defects"], after["id"]) == ("defect", 1, "part0.png")


def test_cameras_are_told_apart_in_topics_and_ids() -> None:
    ids = set()
    for camera in ("left", "right #2"):
        topic = state_topic("plant/screw", camera)
        assert not set("#+ ") & set(topic)
        for where, text in announcements("homeassistant", "plant/screw", "screw", camera):
            document = json.loads(text)
            assert not set("#+ ") & set(where)
            assert document["state_topic"] == topic
            assert document["availability_topic"] == "plant/screw/status"
            assert document["device"]["name"] == f"screw {camera}"
            ids.add(document["unique_id"])
    assert len(ids) == 2 * 10
