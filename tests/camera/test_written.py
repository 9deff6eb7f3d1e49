from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from plant_peers import inspection

from realnet_edge.camera import Inspection, OverlayFolder, OverlayVideo, PictureFolder, ResultLog
from realnet_edge.errors import ConfigError, RealnetEdgeError
from realnet_edge.imaging import load_image

Picture = npt.NDArray[np.uint8]


def _draw(drawn: Inspection) -> Picture:
    assert drawn.frame.image is not None
    return drawn.frame.image


def _frames(path: Path) -> list[Picture]:
    capture = cv2.VideoCapture(str(path))
    found: list[Picture] = []
    while True:
        read, picture = capture.read()
        if not read:
            capture.release()
            return found
        found.append(np.asarray(picture, dtype=np.uint8))


def test_a_line_is_in_the_file_before_the_next_frame(tmp_path: Path) -> None:
    path = tmp_path / "new" / "results.jsonl"
    with ResultLog(path) as log:
        for index in range(3):
            log(inspection(index))
            lines = path.read_bytes().splitlines(keepends=True)
            assert [json.loads(line)["index"] for line in lines] == list(range(index + 1))
            assert all(line.endswith(b"\n") for line in lines)


def test_lines_of_an_earlier_run_stay(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    with ResultLog(path) as log:
        log(inspection(0))
        assert not log.appends
    with ResultLog(path) as log:
        log(inspection(1))
        assert log.appends

    assert [json.loads(line)["index"] for line in path.read_text().splitlines()] == [0, 1]


def test_a_log_that_cannot_be_written_is_an_error_before_the_first_frame(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(ConfigError, match=r"results\.jsonl: cannot be written"):
        ResultLog(tmp_path / "file" / "results.jsonl")


def test_a_full_disk_is_an_error_that_names_the_file() -> None:
    with ResultLog(Path("/dev/full")) as log, pytest.raises(RealnetEdgeError, match="/dev/full"):
        log(inspection(0))


def test_a_folder_takes_defects_only_unless_asked_for_everything(tmp_path: Path) -> None:
    verdicts = ["good", "defect", "not_inspected", "good", "defect"]
    for everything, expected in ((False, [1, 4]), (True, [0, 1, 3, 4])):
        pictures = PictureFolder(tmp_path / str(everything))
        sink = OverlayFolder(pictures, _draw, everything)
        for index, verdict in enumerate(verdicts):
            sink(inspection(index, verdict))

        names = sorted(path.name for path in pictures.folder.iterdir())
        assert names == [f"{index:06d}_part{index}.jpg" for index in expected]
        assert pictures.written == len(expected)


def test_a_second_run_replaces_no_picture_of_the_first(tmp_path: Path) -> None:
    for _ in range(3):
        OverlayFolder(PictureFolder(tmp_path), _draw, False)(inspection(7, "defect"))
    names = sorted(path.name for path in tmp_path.iterdir())
    assert len(names) == 3
    assert all(name.endswith("000007_part7.jpg") for name in names), names


def test_an_overlay_is_the_picture_that_was_drawn(tmp_path: Path) -> None:
    OverlayFolder(PictureFolder(tmp_path), _draw, False)(inspection(7, "defect"))

    picture = load_image(tmp_path / "000007_part7.jpg")
    assert picture.shape == (48, 64, 3)
    np.testing.assert_allclose(picture, 47, atol=2)


def test_names_from_a_source_never_leave_the_folder(tmp_path: Path) -> None:
    pictures = PictureFolder(tmp_path / "out")
    sink = OverlayFolder(pictures, _draw, False)
    sink(inspection(0, "defect", name="scratch head/000.png"))
    sink(inspection(1, "defect", name="../../evil.png"))

    assert sorted(path.name for path in pictures.folder.iterdir()) == [
        "000000_scratch_head_000.jpg",
        "000001_.._.._evil.jpg",
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("suffix", [".mp4", ".avi"])
def test_a_video_holds_every_inspected_frame(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"line{suffix}"
    with OverlayVideo(path, _draw, 25.0) as video:
        for index, verdict in enumerate(["good", "defect", "not_inspected", "good", "defect", "good"]):
            video(inspection(index * 30, verdict))
        assert not path.exists()

    frames = _frames(path)
    assert (len(frames), video.written) == (5, 5)
    np.testing.assert_allclose([frame.mean() for frame in frames], [40, 70, 130, 160, 190], atol=4)
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_frames_of_other_and_odd_sizes_fit_into_one_video(tmp_path: Path) -> None:
    with OverlayVideo(tmp_path / "line.avi", _draw, 10.0) as video:
        for index, size in enumerate([(47, 63), (47, 63), (100, 30), (20, 200)]):
            video(inspection(index, size=size))

    assert [frame.shape for frame in _frames(tmp_path / "line.avi")] == [(48, 64, 3)] * 4


def test_an_error_leaves_no_video_and_the_old_one_untouched(tmp_path: Path) -> None:
    path = tmp_path / "line.avi"
    path.write_bytes(b"yesterday")

    def run() -> None:
        with OverlayVideo(path, _draw, 25.0) as video:
            video(inspection(0))
            raise RuntimeError("engine")

    with pytest.raises(RuntimeError, match="engine"):
        run()

    assert path.read_bytes() == b"yesterday"
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_a_video_without_a_frame_is_not_written(tmp_path: Path) -> None:
    with OverlayVideo(tmp_path / "line.mp4", _draw, 25.0) as video:
        video(inspection(0, "not_inspected"))

    assert list(tmp_path.iterdir()) == []


def test_frames_that_did_not_reach_the_disk_are_noticed(tmp_path: Path) -> None:
    path = tmp_path / "line.avi"

    def run() -> None:
        with OverlayVideo(path, _draw, 25.0) as video:
            video(inspection(0))
            video(inspection(1))
            # As if OpenCV had taken a third one and dropped it.
            assert video._part is not None
            video._part._count += 1

    with pytest.raises(RealnetEdgeError, match="only 2 of 3 frames"):
        run()

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["line.mkv", "line"])
def test_a_suffix_without_codec_lists_those_with_one(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=r"\.mp4 or \.avi"):
        OverlayVideo(tmp_path / name, _draw, 25.0)


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path: Path, write_video: Callable[..., Path]) -> None:
    file = write_video(tmp_path / "a.avi", 1)

    with pytest.raises(ConfigError, match="cannot be a folder of pictures"):
        PictureFolder(file)
