"""Inspected frames as an annotated video."""

from __future__ import annotations

import shutil
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import TypeVar

import cv2
import numpy as np
import numpy.typing as npt

from realnet_edge.camera.alarms import Alarm, Trouble
from realnet_edge.camera.pictures import Annotate
from realnet_edge.camera.results import Inspection
from realnet_edge.errors import ConfigError, RealnetEdgeError
from realnet_edge.files import atomic_path

# What OpenCV's wheels write without a codec of the system.
VIDEO_CODECS = {".mp4": "mp4v", ".avi": "MJPG"}
# A video's index is written when it ends, some 20 bytes a frame: that much of the disk is left for it.
_RESERVE = 64 << 20

Picture = npt.NDArray[np.uint8]
_Video = TypeVar("_Video", bound="OverlayVideo")


class OverlayVideo:
    """Writes every inspected frame into a video; use it in a `with` block.

    The video grows beside its place and takes its name when the block is left without an error, a stop by
    a signal included. Frames that were not inspected have no picture. The first picture sets the size;
    pictures of other sizes are resized to it.

    Where someone hears of alarms, a disk that is nearly full ends the video while it can still be ended, and
    a next one, NAME-2, begins when there is room again.

    Args:
        path: the file; its suffix names the codec, see `VIDEO_CODECS`.
        annotate: draws the picture of an inspected frame, (H, W, 3) uint8 RGB.
        fps: frames a second at which it plays.
        on_alarm: hears of a disk that fails; None makes that an error.
        reserve: bytes of the disk that are left free, where there is someone to hear.

    Attributes:
        written: frames in videos.
        missed: frames that the disk did not take.

    Raises:
        ConfigError: a suffix that cannot be written.
    """

    def __init__(
        self,
        path: Path,
        annotate: Annotate,
        fps: float,
        on_alarm: Alarm | None = None,
        reserve: int = _RESERVE,
    ) -> None:
        if path.suffix.lower() not in VIDEO_CODECS:
            raise ConfigError(f"{path}: videos are written as {' or '.join(VIDEO_CODECS)}.")
        self.path = path
        self.written = self.missed = 0
        self._annotate = annotate
        self._fps = fps
        self._trouble = None if on_alarm is None else Trouble(str(path), on_alarm)
        self._reserve = reserve
        self._parts = 0
        self._part: _VideoFile | None = None

    def __call__(self, inspection: Inspection) -> None:
        if inspection.anomaly_map is None:
            return
        if self._trouble is None:
            self._write(inspection)
            return
        try:
            self._refuse_full_disk(self._trouble)
            self._write(inspection)
            self._trouble.works()
        except RealnetEdgeError as error:
            self.missed += 1
            self._trouble.failed(str(error))

    def __enter__(self: _Video) -> _Video:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._part is None:
            return
        if error is not None:
            self._part.abandon(error)
            return
        try:
            self._end_part()
        except RealnetEdgeError as failure:
            if self._trouble is None:
                raise
            self._trouble.failed(str(failure))

    def _write(self, inspection: Inspection) -> None:
        picture = self._annotate(inspection)
        if self._part is None:
            self._parts += 1
            number = f"-{self._parts}" if self._parts > 1 else ""
            path = self.path.with_stem(f"{self.path.stem}{number}")
            self._part = _VideoFile(path, picture, self._fps)
        self._part.write(picture)
        self.written += 1

    def _refuse_full_disk(self, trouble: Trouble) -> None:
        # Twice as much to begin again: a disk that is just about full would make a video a frame.
        needed = self._reserve * (2 if trouble.failing else 1)
        folder = self.path.parent
        if folder.exists() and shutil.disk_usage(folder).free < needed:
            self._end_part()
            raise RealnetEdgeError("the disk is nearly full; the video so far is ended")

    def _end_part(self) -> None:
        part, self._part = self._part, None
        if part is not None:
            self.missed += part.end(whole=self._trouble is None)


class _VideoFile:
    """One video, which takes its name at its end."""

    def __init__(self, path: Path, first: Picture, fps: float) -> None:
        self._path = path
        self._files = ExitStack()
        self._count = 0
        # Both codecs halve the colour planes, so the sides must be even.
        self._size = (first.shape[1] + first.shape[1] % 2, first.shape[0] + first.shape[0] % 2)
        try:
            self._temporary = self._files.enter_context(atomic_path(path))
        except OSError as error:
            raise ConfigError(f"{path}: cannot be written ({error.strerror}).") from error
        codec = cv2.VideoWriter.fourcc(*VIDEO_CODECS[path.suffix.lower()])
        self._writer = cv2.VideoWriter(str(self._temporary), codec, fps, self._size)
        if not self._writer.isOpened():
            self._files.close()
            raise RealnetEdgeError(f"{path}: OpenCV cannot write this video here; try the other suffix.")

    def write(self, picture: Picture) -> None:
        if (picture.shape[1], picture.shape[0]) != self._size:
            picture = np.asarray(
                cv2.resize(picture, self._size, interpolation=cv2.INTER_AREA), dtype=np.uint8
            )
        self._writer.write(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
        self._count += 1

    def end(self, whole: bool) -> int:
        """Give the video its name; returns how many frames are not in it.

        Args:
            whole: a video that lacks frames is an error, and is removed.

        Raises:
            RealnetEdgeError: it lacks frames, or has none; or it cannot take its name.
        """
        self._writer.release()
        try:
            with self._files:
                found = _frames_of(self._temporary)
                if found != self._count and (whole or not found):
                    raise RealnetEdgeError(
                        f"{self._path}: only {found} of {self._count} frames reached the disk."
                    )
        except OSError as error:
            raise RealnetEdgeError(f"{self._path}: cannot be written ({error.strerror}).") from error
        return self._count - found

    def abandon(self, error: BaseException) -> None:
        """Told of an error, the unfinished file is removed rather than given its name."""
        self._writer.release()
        self._files.__exit__(type(error), error, error.__traceback__)


def _frames_of(path: Path) -> int:
    """Frames in a video: OpenCV drops some silently when the disk is full."""
    capture = cv2.VideoCapture(str(path))
    found = int(capture.get(cv2.CAP_PROP_FRAME_COUNT)) if capture.isOpened() else 0
    capture.release()
    return found
