"""What each output does when its disk is full, on file systems that are."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from plant_peers import inspection, small_disk
from waiting_peers import wait

from realnet_edge.camera import (
    AroundDefects,
    Inspection,
    OverlayFolder,
    OverlayVideo,
    PictureFolder,
    ResultLog,
    ResultTable,
)
from realnet_edge.errors import RealnetEdgeError
from realnet_edge.imaging import load_image

_RNG = np.random.default_rng(0)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """4 MiB."""
    try:
        with small_disk(tmp_path / "disk", "4m") as folder:
            yield folder
    except OSError as error:
        pytest.skip(f"no small file system can be mounted here: {error}")


def fill(disk: Path, leave: int = 0) -> Path:
    """Take all room but so many bytes; the file that does it."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as stream:
        try:
            while True:
                stream.write(bytes(1024))
        except OSError:
            pass
        stream.truncate(max(0, stream.tell() - leave))
    return ballast


def noisy(_: object) -> npt.NDArray[np.uint8]:
    """A picture that no codec makes small."""
    return _RNG.integers(0, 255, (96, 128, 3), np.uint8)


def put(sink: Callable[[Inspection], None], count: int) -> None:
    for index in range(count):
        sink(inspection(index))


def test_lines_wait_for_room_and_none_is_half_written(disk: Path) -> None:
    path, alarms = disk / "results.jsonl", list[str]()
    with ResultLog(path, alarms.append) as log:
        ballast = fill(disk, leave=4096)
        for index in range(40):
            log(inspection(index))
            assert path.read_bytes().endswith(b"\n")
        held = log.waiting
        assert 0 < held < 40
        assert len(path.read_text().splitlines()) == 40 - held
        ballast.unlink()
        log(inspection(40))
        assert log.waiting == 0
    assert [json.loads(line)["index"] for line in path.read_text().splitlines()] == list(range(41))
    assert alarms == [
        f"{path}: cannot be written (No space left on device); results wait in memory",
        f"{path}: works again",
    ]


def test_lines_that_find_no_room_until_the_end_are_counted(disk: Path) -> None:
    path, alarms = disk / "results.jsonl", list[str]()
    with ResultLog(path, alarms.append) as log:
        log(inspection(0))
        log._most = 3
        fill(disk)
        for index in range(1, 60):
            log(inspection(index))
    kept = [json.loads(line)["index"] for line in path.read_text().splitlines()]
    assert kept == list(range(len(kept)))
    assert log.lost == 60 - len(kept) > 3
    assert alarms[-1] == f"{path}: {log.lost} results were lost, for the disk did not take them"


def test_lines_of_files_end_with_an_error_as_before(disk: Path) -> None:
    with ResultLog(disk / "results.jsonl") as log:
        fill(disk)
        with pytest.raises(RealnetEdgeError, match="No space left on device"):
            put(log, 40)


def test_rows_wait_for_room(disk: Path) -> None:
    path, alarms = disk / "results.db", list[str]()
    with ResultTable(path, on_alarm=alarms.append) as table:
        table(inspection(0))
        ballast = fill(disk)
        for index in range(1, 60):
            table(inspection(index))
        assert table.waiting > 0
        ballast.unlink()
        table(inspection(60))
        assert table.waiting == 0
    with sqlite3.connect(path) as database:
        rows = database.execute("SELECT frame_index FROM results ORDER BY number").fetchall()
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert rows == [(index,) for index in range(61)]
    assert [text.partition(": ")[2].partition(" (")[0] for text in alarms] == [
        "cannot be written",
        "works again",
    ]


def test_pictures_that_find_no_room_are_counted_and_every_other_is_whole(disk: Path) -> None:
    alarms: list[str] = []
    pictures = PictureFolder(disk, on_alarm=alarms.append)
    sinks = OverlayFolder(pictures, noisy, False), AroundDefects(pictures, 1, "png")
    ballast = fill(disk, leave=20_000)
    for index in range(30):
        for sink in sinks:
            sink(inspection(index, "defect" if index % 3 == 0 else "good"))
    wait(lambda: pictures.written + pictures.missed == 10 + 29)
    assert pictures.missed > 0
    ballast.unlink()
    sinks[0](inspection(30, "defect"))
    pictures.close()
    files = [path for path in disk.rglob("*") if path.is_file()]
    assert len(files) == pictures.written
    assert pictures.written + pictures.missed == 11 + 29
    for path in files:
        assert load_image(path).shape in ((48, 64, 3), (96, 128, 3))
    assert len(alarms) == 2
    assert "pictures cannot be written (No space left on device)" in alarms[0]
    assert alarms[1].endswith("works again")


@pytest.mark.parametrize("suffix", [".mp4", ".avi"])
def test_a_video_ends_before_the_disk_is_full_and_goes_on_when_there_is_room(disk: Path, suffix: str) -> None:
    path, alarms = disk / f"line{suffix}", list[str]()
    with OverlayVideo(path, noisy, 25.0, alarms.append, reserve=600_000) as video:
        ballast = fill(disk, leave=900_000)
        for index in range(1000):
            video(inspection(index))
        assert 0 < video.missed < 1000
        assert path.exists()
        ballast.unlink()
        for index in range(10):
            video(inspection(index))
    first, second = path, disk / f"line-2{suffix}"
    assert sorted(disk.iterdir()) == sorted([first, second])
    assert _frames(first) + _frames(second) == video.written
    assert video.written + video.missed == 1010
    assert alarms == [
        f"{path}: the disk is nearly full; the video so far is ended",
        f"{path}: works again",
    ]


def _frames(path: Path) -> int:
    capture, count = cv2.VideoCapture(str(path)), 0
    while capture.read()[0]:
        count += 1
    capture.release()
    return count
