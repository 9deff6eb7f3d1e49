from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from waiting_peers import Watched


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
