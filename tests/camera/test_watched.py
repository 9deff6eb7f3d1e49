from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from waiting_peers import Watched

from realnet_edge.camera import Inspection
from realnet_edge.camera.inspected import Inspected
from realnet_edge.camera.watched import WatchedFolder
from realnet_edge.errors import ConfigError


@pytest.fixture
def reading(tmp_path: Path) -> Iterator[Watched]:
    folder = tmp_path / "parts"
    folder.mkdir()
    for number in (10, 9):
        write(folder / f"part{number}.png", number)
    (folder / "notes.txt").write_text("no part")
    opened = Watched(f"watch:{folder}")
    yield opened
    opened.stop()


def write(path: Path, value: int) -> None:
    Image.fromarray(np.full((8, 8, 3), value, np.uint8)).save(path)


def test_files_that_are_there_and_files_that_come_are_taken_once_each(
    reading: Watched, tmp_path: Path
) -> None:
    folder = tmp_path / "parts"
    reading.wait(lambda: len(reading.frames) == 2)
    assert reading.ids() == ["part9.png", "part10.png"]
    write(folder / "part11.png", 11)
    reading.wait(lambda: len(reading.frames) == 3)
    # Written over: another part under the same name.
    write(folder / "part9.png", 99)
    reading.wait(lambda: len(reading.frames) == 4)
    assert reading.ids()[2:] == ["part11.png", "part9.png"]
    image = reading.frames[-1].image
    assert image is not None
    assert int(image[0, 0, 0]) == 99


def test_a_file_is_not_taken_while_it_grows(reading: Watched, tmp_path: Path) -> None:
    reading.wait(lambda: len(reading.frames) == 2)
    whole = tmp_path / "whole.png"
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    Image.fromarray(noise).save(whole)
    data = whole.read_bytes()
    with (tmp_path / "parts" / "slow.png").open("wb") as file:
        for start in range(0, len(data), len(data) // 12):
            file.write(data[start : start + len(data) // 12])
            file.flush()
            time.sleep(0.05)
    reading.wait(lambda: len(reading.frames) == 3)
    image = reading.frames[2].image
    assert image is not None
    np.testing.assert_array_equal(image, noise)


def test_a_damaged_file_is_reported_and_others_follow(reading: Watched, tmp_path: Path) -> None:
    reading.wait(lambda: len(reading.frames) == 2)
    (tmp_path / "parts" / "a.png").write_bytes(b"no picture")
    reading.wait(lambda: len(reading.frames) == 3)
    assert reading.frames[2].image is None
    assert reading.frames[2].error
    write(tmp_path / "parts" / "b.png", 1)
    reading.wait(lambda: len(reading.frames) == 4)


def test_a_folder_that_goes_away_is_waited_for(reading: Watched, tmp_path: Path) -> None:
    reading.wait(lambda: len(reading.frames) == 2)
    (tmp_path / "parts").rename(tmp_path / "elsewhere")
    reading.wait(lambda: len(reading.states) == 1)
    assert "No such file" in str(reading.states[0].reason)
    write(tmp_path / "elsewhere" / "part11.png", 11)
    (tmp_path / "elsewhere").rename(tmp_path / "parts")
    reading.wait(lambda: len(reading.frames) == 3)
    # What was inspected before is not inspected again.
    assert reading.frames[2].id == "part11.png"
    assert reading.states[1].phase == "live"
    assert reading.source.reconnects == 1


def results_of(folder: Path, memory: Path, count: int) -> list[str]:
    """Ids of a run that ends when `count` files have their results; it has read further by then."""
    with Inspected(memory) as remembered:
        source = WatchedFolder(folder, memory=remembered)
        frames = source.frames()
        found = [next(frames) for _ in range(count)]
        for frame in found:
            source(Inspection(0, frame, "good", 0.5, "bundle"))
        frames.close()
    return [frame.id for frame in found]


def nothing_new(folder: Path, memory: Path) -> bool:
    with Inspected(memory) as remembered:
        source = WatchedFolder(folder, memory=remembered)
        threading.Timer(0.7, source.stop).start()
        return not list(source.frames())


def test_over_restarts_each_file_is_inspected_once(tmp_path: Path) -> None:
    folder, memory = tmp_path / "parts", tmp_path / "inspected.db"
    folder.mkdir()
    for number in (1, 2, 3):
        write(folder / f"part{number}.png", number)
    # The last one is in hand when the run ends, and has no result.
    assert results_of(folder, memory, 2) == ["part1.png", "part2.png"]
    write(folder / "part4.png", 4)
    write(folder / "part1.png", 11)
    assert results_of(folder, memory, 3) == ["part1.png", "part3.png", "part4.png"]
    assert nothing_new(folder, memory)


def test_what_leaves_the_folder_is_forgotten_but_not_while_the_share_is_away(tmp_path: Path) -> None:
    folder, memory = tmp_path / "parts", tmp_path / "inspected.db"
    folder.mkdir()
    for number in (1, 2):
        write(folder / f"part{number}.png", number)
    assert results_of(folder, memory, 2) == ["part1.png", "part2.png"]
    folder.rename(tmp_path / "mounted")
    folder.mkdir()
    assert nothing_new(folder, memory)
    folder.rmdir()
    (tmp_path / "mounted").rename(folder)
    assert nothing_new(folder, memory)
    (folder / "part1.png").rename(tmp_path / "part1.png")
    assert nothing_new(folder, memory)
    (tmp_path / "part1.png").rename(folder / "part1.png")
    assert results_of(folder, memory, 1) == ["part1.png"]


def test_a_memory_belongs_to_one_run_and_has_to_be_one(tmp_path: Path) -> None:
    memory = tmp_path / "inspected.db"
    with Inspected(memory) as first:
        first.add(tmp_path / "a.png", (1, 2))
        with pytest.raises(ConfigError, match="another run uses it"):
            Inspected(memory)
    (tmp_path / "text").write_text("no database, but long enough to be taken for one" * 20)
    with pytest.raises(ConfigError, match="cannot be used to remember"):
        Inspected(tmp_path / "text")


def test_a_full_disk_stops_nothing_and_forgets_nothing(tmp_path: Path) -> None:
    with Inspected(tmp_path / "inspected.db") as memory:
        (pages,) = memory._database.execute("PRAGMA page_count").fetchone()
        memory._database.execute(f"PRAGMA max_page_count = {pages}")
        for number in range(500):
            memory.add(tmp_path / f"part{number}.png", (number, 1))
        assert memory._held
        memory._database.execute("PRAGMA max_page_count = 100000")
        memory.add(tmp_path / "last.png", (1, 1))
    with Inspected(tmp_path / "inspected.db") as memory:
        assert len(memory.of(tmp_path)) == 501
