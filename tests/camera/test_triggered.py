"""One part is one inspection, whatever camera and trigger do."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from trigger_peers import Hand, Reading, Shutter, triggered
from waiting_peers import PATIENCE_S, wait

from realnet_edge.camera import Inspection, open_source, run_line
from realnet_edge.camera.triggered import TriggeredSource
from realnet_edge.camera.triggers import Part, announced_id
from realnet_edge.errors import ConfigError, DataError
from realnet_edge.runtime import Prediction


def grey(reading: Reading, number: int) -> int | None:
    image = reading[number].image
    return None if image is None else int(image[0, 0, 0])


def test_the_first_picture_after_the_trigger_is_the_parts() -> None:
    hand = Hand()
    camera, reading = triggered(hand)
    camera.shoot(1)
    assert hand.pull("A17") == ("A17", "accepted")
    camera.shoot(2)
    camera.shoot(3)
    hand.pull("A18")
    camera.shoot(4)
    assert [(frame.id, grey(reading, n)) for n, frame in enumerate((reading[0], reading[1]))] == [
        ("A17", 2),
        ("A18", 4),
    ]
    reading.stop()
    assert len(reading.frames) == 2


def test_triggers_faster_than_pictures_leave_the_picture_to_the_last_part() -> None:
    hand = Hand()
    camera, reading = triggered(hand)
    for name in ("1", "2", "3"):
        hand.pull(name)
    camera.shoot(9)
    assert [(reading[n].id, grey(reading, n)) for n in range(3)] == [("1", None), ("2", None), ("3", 9)]
    assert reading[0].error == "part 3 came before a picture was taken"
    reading.stop()


def test_without_a_camera_a_part_is_not_inspected_and_the_next_one_is() -> None:
    hand = Hand()
    camera, reading = triggered(hand, wait_s=0.05)
    hand.pull("lost")
    assert (reading[0].id, reading[0].image) == ("lost", None)
    assert reading[0].error == "no picture came within 0.05 s"
    # One that comes too late is nobody's.
    camera.shoot(1)
    reading.stop()
    assert len(reading.frames) == 1


def test_a_damaged_picture_is_passed_over_while_the_part_is_there() -> None:
    hand = Hand()
    camera, reading = triggered(hand)
    hand.pull("a")
    camera.shoot(None, "damaged on its way here")
    camera.shoot(5)
    assert grey(reading, 0) == 5
    reading.stop()
    camera, reading = triggered(hand, wait_s=0.3)
    hand.pull("b")
    camera.shoot(None, "damaged on its way here")
    assert reading[0].error == "no picture came within 0.3 s; the last one damaged on its way here"
    reading.stop()


def test_a_delayed_part_waits_for_its_own_time() -> None:
    hand = Hand()
    camera, reading = triggered(hand, delay_s=60.0)
    for name, ago in (("a", 70.0), ("b", 1.0)):
        # Both on their way to the camera at the same time: they do not push each other out.
        reading.source._on_part(Part(name, "", time.monotonic() - ago))  # type: ignore[attr-defined]
    camera.shoot(1)
    assert (reading[0].id, grey(reading, 0)) == ("a", 1)
    camera.shoot(2)
    reading.stop()
    assert [(frame.id, frame.image is None) for frame in reading.frames] == [("a", False), ("b", True)]


def test_parts_that_wait_when_the_line_stops_are_not_inspected() -> None:
    hand = Hand()
    _, reading = triggered(hand)
    hand.pull("a")
    hand.pull("b")
    reading.stop()
    assert [(frame.id, frame.image) for frame in reading.frames] == [("a", None), ("b", None)]
    assert reading.frames[0].error == "the line stopped before a picture was taken"
    assert hand.pull("c") == ("c", "refused")


def test_an_id_that_is_said_again_announces_nothing_until_some_time_has_gone() -> None:
    hand = Hand(repeat_s=0.2)
    camera, reading = triggered(hand)
    assert [hand.pull("a")[1], hand.pull("a")[1]] == ["accepted", "repeated"]
    camera.shoot(1)
    assert reading[0].id == "a"
    wait(lambda: hand.pull("a")[1] == "accepted")
    camera.shoot(2)
    assert grey(reading, 1) == 2
    reading.stop()
    assert len(reading.frames) == 2


def test_parts_without_an_id_get_one_each() -> None:
    hand = Hand()
    _, reading = triggered(hand)
    names = [hand.pull(None)[0] for _ in range(50)]
    reading.stop()
    assert len(set(names)) == 50
    assert [frame.id for frame in reading.frames] == names


def test_a_message_that_cannot_be_used_is_a_part_all_the_same() -> None:
    hand = Hand()
    camera, reading = triggered(hand)
    hand.pull(None, "no id")
    camera.shoot(1)
    assert (reading[0].image, reading[0].error) == (None, "no id")
    reading.stop()


def test_one_trigger_serves_several_cameras() -> None:
    hand = Hand()
    left, one = triggered(hand)
    right, other = triggered(hand)
    hand.pull("a")
    left.shoot(1)
    right.shoot(2)
    assert (one[0].id, grey(one, 0)) == ("a", 1)
    assert (other[0].id, grey(other, 0)) == ("a", 2)
    one.stop()
    assert hand.runs.is_set()
    other.stop()
    assert not hand.runs.is_set()


def test_a_camera_that_cannot_be_used_ends_the_line_behind_its_parts() -> None:
    hand = Hand()
    camera, reading = triggered(hand)
    hand.pull("a")
    camera.fail(ConfigError("no such pipeline"))
    reading.join()
    assert [frame.id for frame in reading.frames] == ["a"]
    assert str(reading.error) == "no such pipeline"


def test_every_part_gives_one_frame_however_fast_triggers_and_pictures_come() -> None:
    hand = Hand()
    camera, reading = triggered(hand, wait_s=0.02)
    accepted: list[str] = []
    ended = threading.Event()

    def pull() -> None:
        for number in range(300):
            accepted.append(hand.pull(f"p{number}")[0])
            time.sleep(0.001)
        ended.set()

    threading.Thread(target=pull, daemon=True).start()
    while not ended.is_set():
        camera.shoot(1)
        time.sleep(0.002)
    reading.stop()
    assert [frame.id for frame in reading.frames] == accepted
    assert {frame.image is None for frame in reading.frames} == {True, False}


def test_files_need_no_trigger_and_times_have_to_be_meant(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(tmp_path / "a.png")
    with pytest.raises(ConfigError, match="of files each one is a part already"):
        TriggeredSource(open_source(str(tmp_path)), Hand())
    for times in ((0.0, 0.0), (1.0, -1.0), (float("nan"), 0.0), (float("inf"), 0.0)):
        with pytest.raises(ConfigError, match="valid are more than 0"):
            TriggeredSource(Shutter(), Hand(), *times)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (b'{"id": "A17"}', "A17"),
        (b'{"id": 17, "line": 3}', "17"),
        (b" A17\n", "A17"),
        (b"", None),
        (b"{}", None),
        ("Größe 7".encode(), "Größe 7"),
    ],
)
def test_ids_are_read_from_json_and_from_text(message: bytes, expected: str | None) -> None:
    assert announced_id(message) == expected


@pytest.mark.parametrize(
    ("message", "said"),
    [
        (b'{"id": ', "no JSON object"),
        (b"[" * 5000, "no JSON object"),
        (b'["A17"]', "no JSON object"),
        (b'{"id": 1.5}', "neither a text nor a whole number"),
        (b'{"nr": 5}', "has no id"),
        (b'{"id": null}', "has no id"),
        (b'{"id": true}', "neither a text nor a whole number"),
        (b'{"id": ""}', "1 to 128 characters"),
        (b"../../etc/passwd", "without slashes"),
        (b"..", "1 to 128 characters"),
        (b"a\x00b", "control"),
        (b"x" * 129, "1 to 128 characters"),
        (b"\xff\xfe", "no text"),
    ],
)
def test_messages_without_a_usable_id_are_refused(message: bytes, said: str) -> None:
    with pytest.raises(DataError, match=said):
        announced_id(message)


class _Blank:
    """An engine that scores nothing above its threshold."""

    input_size, threshold, bundle = (8, 8), 0.5, "blank"

    def infer(self, images: npt.NDArray[np.uint8]) -> Prediction:
        count = len(images)
        return Prediction(np.zeros((count, 8, 8), np.float32), np.zeros(count, np.float32))


def test_a_run_that_stops_reports_every_part_that_was_announced() -> None:
    hand, camera, stop = Hand(), Shutter(), threading.Event()
    results: list[Inspection] = []
    source = TriggeredSource(camera, hand, wait_s=60.0)
    run = threading.Thread(
        target=run_line, args=(_Blank(), source, [results.append], None, stop), daemon=True
    )
    run.start()
    wait(lambda: hand.listening == 1)
    hand.pull("seen")
    camera.shoot(1)
    wait(lambda: len(results) == 1)
    for number in range(20):
        hand.pull(f"waits{number}")
    stop.set()
    run.join(PATIENCE_S)
    assert not run.is_alive()
    assert [one.frame.id for one in results] == ["seen", *(f"waits{number}" for number in range(20))]
    assert [one.verdict for one in results] == ["good", *["not_inspected"] * 20]
    assert results[-1].error == "the line stopped before a picture was taken"
    assert [one.index for one in results] == list(range(21))
