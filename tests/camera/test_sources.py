from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from realnet_edge.camera import FolderSource, GlobSource, VideoSource, open_source
from realnet_edge.errors import DataError

VideoWriter = Callable[..., Path]


def test_a_folder_is_read_in_natural_order(parts: Path) -> None:
    source = open_source(str(parts))
    frames = list(source.frames())

    assert isinstance(source, FolderSource)
    assert len(source) == 11
    assert [frame.id for frame in frames] == [f"part{number}.png" for number in range(11)]
    assert frames[0].source == str(parts / "part0.png")
    assert frames[0].image is not None
    assert frames[0].image.shape == (40, 50, 3)
    assert frames[0].position_s is None
    assert datetime.fromisoformat(frames[0].timestamp).utcoffset() is not None


def test_a_name_with_a_superscript_is_only_a_name(tmp_path: Path) -> None:
    for name in ("1²3.png", "2.png"):
        Image.new("RGB", (8, 8)).save(tmp_path / name)

    assert [frame.id for frame in open_source(str(tmp_path)).frames()] == ["1²3.png", "2.png"]


def test_a_corrupt_image_comes_out_as_an_error_and_the_rest_follows(parts: Path) -> None:
    (parts / "part3.png").write_bytes(b"")
    frames = {frame.id: frame for frame in open_source(str(parts)).frames()}

    assert frames["part3.png"].image is None
    assert "part3.png: the file is empty" in str(frames["part3.png"].error)
    assert frames["part10.png"].image is None
    assert frames["part4.png"].error is None


def test_a_glob_reaches_sub_folders_and_keeps_names_apart(tmp_path: Path) -> None:
    for name in ("a/0.png", "a/10.png", "a/9.png", "b/0.png"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        Image.new("RGB", (8, 8)).save(path)
    (tmp_path / "a" / "readme.md").write_text("")

    source = open_source(f"{tmp_path}/**/*")

    assert isinstance(source, GlobSource)
    assert [frame.id for frame in source.frames()] == ["a/0.png", "a/9.png", "a/10.png", "b/0.png"]


def test_one_image_is_a_source(parts: Path) -> None:
    frames = list(open_source(str(parts / "part2.png")).frames())

    assert [frame.id for frame in frames] == ["part2.png"]


def test_a_folder_whose_name_looks_like_a_pattern_is_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "line[1]"
    folder.mkdir()
    Image.new("RGB", (8, 8)).save(folder / "0.png")

    assert isinstance(open_source(str(folder)), FolderSource)


@pytest.mark.parametrize("suffix", [".avi", ".mp4"])
def test_a_video_gives_every_frame_in_rgb_with_its_position(
    write_video: VideoWriter, tmp_path: Path, suffix: str
) -> None:
    source = open_source(str(write_video(tmp_path / f"line{suffix}", 7)))
    frames = list(source.frames())
    source.close()

    assert isinstance(source, VideoSource)
    assert (len(source), source.fps) == (7, 25.0)
    assert [frame.id for frame in frames] == [str(number) for number in range(7)]
    assert [frame.position_s for frame in frames] == [number / 25 for number in range(7)]
    levels = [float(np.mean(frame.image)) for frame in frames if frame.image is not None]
    np.testing.assert_allclose(levels, [10, 20, 255, 10, 20, 255, 10], atol=6)


def test_a_video_is_not_read_as_bgr(tmp_path: Path) -> None:
    import cv2

    writer = cv2.VideoWriter(str(tmp_path / "red.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 25.0, (64, 48))
    writer.write(np.full((48, 64, 3), (0, 0, 255), np.uint8))
    writer.release()

    source = open_source(str(tmp_path / "red.avi"))
    image = next(source.frames()).image
    source.close()

    assert image is not None
    red, _, blue = image.reshape(-1, 3).mean(axis=0)
    assert red > 200 > 50 > blue


def test_a_video_that_ends_early_says_how_many_frames_are_lost(
    write_video: VideoWriter, tmp_path: Path
) -> None:
    path = write_video(tmp_path / "line.avi", 60, (240, 320))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    source = open_source(str(path))
    frames = list(source.frames())
    source.close()

    assert 1 < len(frames) < 60
    assert all(frame.error is None for frame in frames[:-1])
    assert frames[-1].image is None
    assert f"ends after {len(frames) - 1} of the 60 frames" in str(frames[-1].error)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("gone", None, "no such file or folder"),
        ("gone/*.png", None, "matches no image"),
        ("broken.mp4", b"nothing that a video holds", "cannot be opened as a video"),
        ("empty.avi", b"", "cannot be opened as a video"),
        ("notes.txt", b"hello", "neither an image .* nor a video"),
    ],
)
def test_what_cannot_be_a_source_says_why(
    tmp_path: Path, name: str, content: bytes | None, says: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)

    with pytest.raises(DataError, match=says):
        open_source(str(tmp_path / name))


def test_a_folder_of_folders_says_which_pattern_to_give(tmp_path: Path) -> None:
    (tmp_path / "good").mkdir()
    (tmp_path / "scratch").mkdir()

    with pytest.raises(DataError, match=r"good, scratch.*/\*\*/\*"):
        open_source(str(tmp_path))
