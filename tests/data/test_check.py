from __future__ import annotations

import shutil
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from realnet_edge.data import check_images, duplicates, inspect_images
from realnet_edge.errors import DataError

Write = Callable[..., list[Path]]


def test_good_images_pass(tmp_path: Path, write_images: Write) -> None:
    check_images(write_images(tmp_path, 5), 5, "to train nut")


def test_one_error_lists_every_bad_file_and_what_is_needed(tmp_path: Path, write_images: Write) -> None:
    paths = write_images(tmp_path, 6)
    paths[1].write_bytes(b"")
    paths[4].write_bytes(paths[4].read_bytes()[:60])
    paths.append(tmp_path / "gone.png")
    with pytest.raises(DataError) as caught:
        check_images(paths, 5, "to train nut")
    lines = str(caught.value).splitlines()
    assert lines[0] == "3 of 7 images cannot be used:"
    assert lines[1].startswith(f"  {paths[1]}: the file is empty")
    assert lines[2].startswith(f"  {paths[4]}: cannot be decoded")
    assert lines[3].startswith(f"  {paths[6]}: cannot be read")
    assert lines[4] == f"at least 5 usable images are needed to train nut; found 4 in {tmp_path}."


def test_bad_files_are_an_error_even_where_enough_are_left(tmp_path: Path, write_images: Write) -> None:
    paths = write_images(tmp_path, 4)
    paths[0].write_bytes(b"x")
    with pytest.raises(DataError, match=r"1 of 4 images cannot be used") as caught:
        check_images(paths, 2, "to train nut")
    assert "needed" not in str(caught.value)


def test_too_few(tmp_path: Path, write_images: Write) -> None:
    with pytest.raises(DataError, match=r"^at least 9 usable images are needed to calibrate; found 3 in"):
        check_images(write_images(tmp_path, 3), 9, "to calibrate")
    with pytest.raises(DataError, match="found 0 in no folder"):
        check_images([], 1, "to train")


def test_long_lists_are_cut(tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.png" for number in range(33)]
    for path in paths:
        path.touch()
    with pytest.raises(DataError) as caught:
        check_images(paths, 0, "to train nut")
    lines = str(caught.value).splitlines()
    assert len(lines) == 22
    assert lines[-1] == "  and 13 more"


def test_inspect(tmp_path: Path, write_images: Write) -> None:
    grey = write_images(tmp_path, 2, size=(12, 16))
    colour = write_images(tmp_path / "colour", 1, size=(20, 10), mode="RGB")
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"?")
    facts = inspect_images([*grey, *colour, broken])
    assert [fact.path for fact in facts] == [*grey, *colour, broken]
    assert [fact.size for fact in facts] == [(12, 16), (12, 16), (20, 10), (0, 0)]
    assert [fact.mode for fact in facts] == ["L", "L", "RGB", "unknown"]
    assert [fact.problem is None for fact in facts] == [True, True, True, False]
    assert facts[0].sha256 == sha256(grey[0].read_bytes()).hexdigest()
    assert facts[0].brightest > 200


def test_duplicates(tmp_path: Path, write_images: Write) -> None:
    train, test = write_images(tmp_path / "train", 3), write_images(tmp_path / "test", 2)
    assert duplicates(inspect_images([*train, *test])) == []
    shutil.copy(train[2], test[0])
    assert duplicates(inspect_images([*train, *test])) == [(train[2], test[0])]
    # Files that cannot be read are not taken for copies of each other.
    assert duplicates(inspect_images([tmp_path / "a.png", tmp_path / "b.png"])) == []
