"""Frames around defects, and pictures within a limit."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from plant_peers import inspection
from waiting_peers import PATIENCE_S

from realnet_edge.camera import AroundDefects, OverlayFolder, PictureFolder
from realnet_edge.camera.ledger import LEDGER
from realnet_edge.camera.pictures import encode
from realnet_edge.errors import ConfigError, RealnetEdgeError
from realnet_edge.imaging import load_image


def events(folder: Path) -> list[list[int]]:
    """Indices of the frames in each defect's folder, by the folders' names."""
    return [
        sorted(int(path.name[:6]) for path in event.iterdir())
        for event in sorted(folder.iterdir())
        if event.is_dir()
    ]


def see(sink: AroundDefects, defects: set[int], count: int, camera: str | None = None) -> None:
    for index in range(count):
        sink(inspection(index, "defect" if index in defects else "good", camera=camera))


@pytest.mark.parametrize(
    ("defects", "expected"),
    [
        ({10}, [[7, 8, 9, 10, 11, 12, 13]]),
        # At the start and at the end there is less to see.
        ({1}, [[0, 1, 2, 3, 4]]),
        ({29}, [[26, 27, 28, 29]]),
        # Windows that overlap are one folder, those that touch are two, and no frame is written twice.
        ({10, 12}, [[*range(7, 16)]]),
        ({10, 16}, [[*range(7, 20)]]),
        ({10, 17}, [[*range(7, 14)], [*range(14, 21)]]),
        ({10, 25}, [[*range(7, 14)], [*range(22, 29)]]),
        (set(), []),
    ],
)
def test_a_defects_folder_holds_what_came_before_and_after(
    tmp_path: Path, defects: set[int], expected: list[list[int]]
) -> None:
    pictures = PictureFolder(tmp_path)
    see(AroundDefects(pictures, 3, "png"), defects, 30)
    assert events(tmp_path) == expected
    assert pictures.written == sum(map(len, expected))


def test_frames_are_written_as_they_came_in_a_folder_named_by_time_and_index(tmp_path: Path) -> None:
    see(AroundDefects(PictureFolder(tmp_path), 1, "png"), {5}, 10)
    (event,) = tmp_path.iterdir()
    assert event.name[8] == "T"
    assert event.name.endswith("Z_000005")
    assert sorted(path.name for path in event.iterdir()) == [f"{i:06d}_part{i}.png" for i in (4, 5, 6)]
    np.testing.assert_array_equal(load_image(event / "000006_part6.png"), np.full((48, 64, 3), 46, np.uint8))


def test_each_camera_has_its_own_frames(tmp_path: Path) -> None:
    sink = AroundDefects(PictureFolder(tmp_path), 2, "jpeg")
    for index in range(12):
        camera = ("left", "right")[index % 2]
        sink(inspection(index, "defect" if index == 5 else "good", camera=camera))
    (event,) = tmp_path.iterdir()
    assert event.name.endswith("_right")
    assert events(tmp_path) == [[1, 3, 5, 7, 9]]


def test_no_more_frames_are_held_than_asked_for(tmp_path: Path) -> None:
    sink = AroundDefects(PictureFolder(tmp_path), 4, "jpeg")
    see(sink, set(), 100)
    assert [one.index for one in sink._cameras[None]._before] == [96, 97, 98, 99]
    assert list(tmp_path.iterdir()) == []


def test_where_every_part_is_a_defect_folders_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("realnet_edge.camera.around._MOST", 5)
    see(AroundDefects(PictureFolder(tmp_path), 2, "jpeg"), set(range(12)), 12)
    assert events(tmp_path) == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9], [10, 11]]


def overlays(pictures: PictureFolder, count: int) -> None:
    sink = OverlayFolder(pictures, lambda one: np.asarray(one.frame.image), False)
    for index in range(count):
        sink(inspection(index, "defect"))


def test_the_oldest_pictures_make_room_and_nothing_else_does(tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    mine = folder / "000000_part0.jpg"
    mine.write_bytes(b"somebody's, named as ours are" * 100)
    size = len(encode(np.full((48, 64, 3), 40, np.uint8), "jpeg"))
    pictures = PictureFolder(folder, limit=5 * size + size // 2)
    overlays(pictures, 12)
    pictures.close()
    kept = sorted(path.name.split("_")[1] for path in folder.glob("*Z_*.jpg"))
    assert kept == [f"{index:06d}" for index in range(7, 12)]
    assert mine.exists()
    # The next run knows of the pictures of this one.
    again = PictureFolder(folder, limit=2 * size + size // 2)
    overlays(again, 1)
    again.close()
    assert len(list(folder.glob("*Z_*.jpg"))) == 2
    assert mine.exists()


def test_a_defects_folder_leaves_with_its_last_picture(tmp_path: Path) -> None:
    size = len(encode(np.full((48, 64, 3), 40, np.uint8), "jpeg"))
    pictures = PictureFolder(tmp_path, limit=6 * size)
    see(AroundDefects(pictures, 1, "jpeg"), {5, 15, 25}, 30)
    assert events(tmp_path) == [[14, 15, 16], [24, 25, 26]]
    pictures.close()


def test_a_ledger_that_somebody_changed_deletes_nothing_outside(tmp_path: Path) -> None:
    outside, folder = tmp_path / "precious.jpg", tmp_path / "pictures"
    outside.write_bytes(b"precious")
    pictures = PictureFolder(folder, limit=10_000)
    pictures.close()
    with closing(sqlite3.connect(folder / LEDGER)) as database, database:
        for name in ("../precious.jpg", str(outside)):
            database.execute("INSERT INTO picture (name, bytes) VALUES (?, 9000)", (name,))
    overlays(PictureFolder(folder, limit=10_000), 3)
    assert outside.exists()


def test_a_picture_larger_than_the_limit_is_said(tmp_path: Path) -> None:
    with pytest.raises(RealnetEdgeError, match="a picture is larger than the limit"):
        overlays(PictureFolder(tmp_path, limit=10), 1)


def test_a_limit_belongs_to_one_run(tmp_path: Path) -> None:
    first = PictureFolder(tmp_path, limit=10_000)
    with pytest.raises(ConfigError, match="another run uses it"):
        PictureFolder(tmp_path, limit=10_000)
    first.close()


def test_a_disk_that_hangs_holds_up_no_result_and_pictures_in_vain_are_counted(tmp_path: Path) -> None:
    alarms: list[str] = []
    pictures = PictureFolder(tmp_path, on_alarm=alarms.append)
    assert pictures._background
    pictures._background._most = 10_000
    hanging, going_on = threading.Event(), threading.Event()
    write = pictures._write

    def slow(name: str, encoded: bytes) -> None:
        hanging.set()
        assert going_on.wait(PATIENCE_S)
        write(name, encoded)

    pictures._write = slow  # type: ignore[method-assign]  # a disk cannot be made to hang
    pictures.save("first.jpg", bytes(10_000))
    assert hanging.wait(PATIENCE_S)
    for number in range(5):
        pictures.save(f"{number}.jpg", bytes(4_000))
    assert pictures.missed == 2
    going_on.set()
    pictures.close()
    assert pictures.written == 4
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0.jpg", "1.jpg", "2.jpg", "first.jpg"]
    assert alarms == [
        f"{tmp_path}: pictures come faster than they can be written",
        f"{tmp_path}: works again",
    ]
