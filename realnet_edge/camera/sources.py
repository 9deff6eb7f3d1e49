"""Where frames come from: a folder of images, a glob pattern, or a video file."""

from __future__ import annotations

import glob
import os
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from realnet_edge.camera.frames import Frame, utc_now
from realnet_edge.errors import DataError
from realnet_edge.imaging import IMAGE_SUFFIXES, load_image, natural_key

VIDEO_SUFFIXES = frozenset({".mp4", ".avi", ".mkv", ".mov", ".m4v", ".webm", ".mpg", ".mpeg", ".wmv"})
_DEFAULT_FPS = 10.0


class Source(ABC):
    """Frames, read once, in order.

    Attributes:
        name: what the user gave, without its password.
        fps: frames a second of a video; for images a rate at which a video of them can be watched.
        live: frames come at their own pace, and nobody can ask for one again.
        endless: frames come for as long as somebody inspects them, whatever fails.
        triggered: each frame is one part: one that has to give way is reported as not inspected.
    """

    name: str
    fps: float = _DEFAULT_FPS
    live: bool = False
    endless: bool = False
    triggered: bool = False

    @property
    def reconnects(self) -> int:
        """How often it was lost and found again."""
        return 0

    @abstractmethod
    def __len__(self) -> int:
        """How many frames to expect; a video's header may be off by a few. 0 where nobody knows."""

    @abstractmethod
    def frames(self) -> Iterator[Frame]:
        """Decode one frame after another. A frame that cannot be decoded is yielded with its error."""

    def stop(self) -> None:  # noqa: B027  # files need nothing: they are asked for one frame after the other
        """End `frames` soon, from another thread, if it waits for something."""

    @abstractmethod
    def close(self) -> None:
        """Let go of the file; not while another thread is inside `frames`."""


def read_frame(path: Path, root: Path) -> Frame:
    """The frame of an image file, named after its place below `root`."""
    timestamp, started = utc_now(), time.perf_counter()
    image, error = None, None
    try:
        image = load_image(path)
    except DataError as problem:
        error = str(problem)
    elapsed = (time.perf_counter() - started) * 1e3
    name = Path(os.path.relpath(path, root)).as_posix()
    return Frame(name, str(path), timestamp, None, image, error, elapsed)


class FileSource(Source):
    """Image files in a given order."""

    def __init__(self, name: str, paths: Sequence[Path], root: Path) -> None:
        self.name = name
        self._paths = paths
        self._root = root

    def __len__(self) -> int:
        return len(self._paths)

    def frames(self) -> Iterator[Frame]:
        for path in self._paths:
            yield read_frame(path, self._root)

    def close(self) -> None:
        """Nothing is held open."""


class FolderSource(FileSource):
    """Every image directly inside a folder, in natural order.

    Raises:
        DataError: the folder holds no image.
    """

    def __init__(self, folder: Path) -> None:
        paths = [path for path in folder.iterdir() if is_image(path)]
        if not paths:
            inner = sorted(path.name for path in folder.iterdir() if path.is_dir())
            hint = f" For its sub-folders ({', '.join(inner)}) give '{folder}/**/*'." if inner else ""
            raise DataError(f"{folder}: holds no image ({suffixes_of(IMAGE_SUFFIXES)}).{hint}")
        super().__init__(str(folder), sorted(paths, key=natural_key), folder)


class GlobSource(FileSource):
    """Every image that a pattern matches, in natural order; `**` stands for any depth of folders.

    Raises:
        DataError: the pattern matches no image.
    """

    def __init__(self, pattern: str) -> None:
        # Path.glob takes no absolute pattern and none that climbs with "..".
        paths = [Path(name) for name in glob.glob(pattern, recursive=True)]  # noqa: PTH207
        images = sorted((path for path in paths if is_image(path)), key=natural_key)
        if not images:
            raise DataError(
                f"{pattern!r} matches no image ({suffixes_of(IMAGE_SUFFIXES)}); it matches {len(paths)} "
                "other names. Quote the pattern, so that the shell does not expand it."
            )
        super().__init__(pattern, images, Path(os.path.commonpath([path.parent for path in images])))


class VideoSource(Source):
    """The frames of a video file, decoded by OpenCV.

    A file that ends before the number of frames in its header is not taken for a complete one: a last
    frame is yielded that carries the error.

    Raises:
        DataError: the file cannot be opened as a video.
    """

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        self._path = path
        self._capture = cv2.VideoCapture(str(path))
        if not self._capture.isOpened():
            self._capture.release()
            raise DataError(
                f"{path}: cannot be opened as a video: it is damaged or of a codec that OpenCV lacks. "
                "Convert it, to H.264 in .mp4 for example."
            )
        stated = self._capture.get(cv2.CAP_PROP_FPS)
        self.fps = stated if np.isfinite(stated) and 0 < stated <= 1000 else _DEFAULT_FPS
        self._count = max(0, int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT)))

    def __len__(self) -> int:
        return self._count

    def frames(self) -> Iterator[Frame]:
        number = 0
        while True:
            timestamp, started = utc_now(), time.perf_counter()
            read, picture = self._capture.read()
            if not read:
                break
            image = np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), dtype=np.uint8)
            elapsed = (time.perf_counter() - started) * 1e3
            yield Frame(str(number), self.name, timestamp, self._position(number), image, None, elapsed)
            number += 1
        # Some containers state a duration only, and the count made from it may be one too many.
        if number < self._count - 1:
            error = (
                f"{self._path}: ends after {number} of the {self._count} frames in its header; the others "
                "cannot be decoded."
            )
            yield Frame(str(number), self.name, utc_now(), self._position(number), None, error, 0.0)

    def close(self) -> None:
        self._capture.release()

    def _position(self, number: int) -> float:
        return round(number / self.fps, 6)


def is_image(path: Path) -> bool:
    """Whether a path is a file that is read as an image, going by its name."""
    return path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".") and path.is_file()


def suffixes_of(suffixes: frozenset[str]) -> str:
    """File name suffixes as messages list them."""
    return " ".join(sorted(suffixes))
