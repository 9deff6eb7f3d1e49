"""Where results go: JSON lines, a folder of overlays, an annotated video."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from contextlib import ExitStack
from datetime import datetime, timezone
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, TypeVar

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from realnet_edge.camera.results import DEFECT, Inspection
from realnet_edge.errors import ConfigError, RealnetEdgeError
from realnet_edge.files import atomic_path

# What OpenCV's wheels write without a codec of the system.
VIDEO_CODECS = {".mp4": "mp4v", ".avi": "MJPG"}
_JPEG_QUALITY = 92
_ODD_CHARACTERS = re.compile(r"[^A-Za-z0-9._-]+")

Annotate = Callable[[Inspection], npt.NDArray[np.uint8]]
_Log = TypeVar("_Log", bound="ResultLog")
_Video = TypeVar("_Video", bound="OverlayVideo")


class ResultLog:
    """Appends one JSON line a frame to a file; use it in a `with` block.

    A line is handed to the system whole, as soon as the frame is decided, so whatever ends the process the
    file holds complete lines only, and lines of earlier runs stay.

    Raises:
        ConfigError: the file cannot be opened for writing.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file: BinaryIO = path.open("ab", buffering=0)
        except OSError as error:
            raise ConfigError(f"{path}: cannot be written ({error.strerror}).") from error
        # Lines of an earlier run, or nothing.
        self.appends = self._file.tell() > 0

    def __call__(self, inspection: Inspection) -> None:
        line = memoryview(json_line(inspection).encode())
        try:
            while line:
                line = line[self._file.write(line) :]
        except OSError as error:
            raise RealnetEdgeError(f"{self.path}: cannot be written ({error.strerror}).") from error

    def __enter__(self: _Log) -> _Log:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()


class OverlayFolder:
    """Writes a JPEG a frame into a folder, each one whole or not at all.

    Where pictures of an earlier run lie, names begin with the time at which this one began: none is replaced.

    Args:
        folder: made if absent.
        annotate: draws the picture of an inspected frame, (H, W, 3) uint8 RGB.
        everything: also write frames that are good.
    """

    def __init__(self, folder: Path, annotate: Annotate, everything: bool) -> None:
        self.folder = folder
        self.written = 0
        self._annotate = annotate
        self._everything = everything
        try:
            folder.mkdir(parents=True, exist_ok=True)
            used = any(path.suffix == ".jpg" for path in folder.iterdir())
        except OSError as error:
            raise ConfigError(f"{folder}: cannot be made ({error.strerror}).") from error
        self._run = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%S%fZ_") if used else ""

    def __call__(self, inspection: Inspection) -> None:
        if inspection.anomaly_map is None or not (self._everything or inspection.verdict == DEFECT):
            return
        name = _ODD_CHARACTERS.sub("_", str(Path(inspection.frame.id).with_suffix("")))
        path = self.folder / f"{self._run}{inspection.index:06d}_{name}.jpg"
        try:
            with atomic_path(path) as temporary:
                Image.fromarray(self._annotate(inspection)).save(temporary, quality=_JPEG_QUALITY)
        except OSError as error:
            raise RealnetEdgeError(f"{path}: cannot be written ({error}).") from error
        self.written += 1


class OverlayVideo:
    """Writes every inspected frame into a video; use it in a `with` block.

    The video grows beside its place and takes its name when the block is left without an error, a stop by
    a signal included. Frames that were not inspected have no picture. The first picture sets the size;
    pictures of other sizes are resized to it.

    Args:
        path: the file; its suffix names the codec, see `VIDEO_CODECS`.
        annotate: draws the picture of an inspected frame, (H, W, 3) uint8 RGB.
        fps: frames a second at which it plays.

    Raises:
        ConfigError: a suffix that cannot be written.
    """

    def __init__(self, path: Path, annotate: Annotate, fps: float) -> None:
        if path.suffix.lower() not in VIDEO_CODECS:
            raise ConfigError(f"{path}: videos are written as {' or '.join(VIDEO_CODECS)}.")
        self.path = path
        self.written = 0
        self._annotate = annotate
        self._fps = fps
        self._files = ExitStack()
        self._temporary = path
        self._size = (0, 0)
        self._writer: cv2.VideoWriter | None = None

    def __call__(self, inspection: Inspection) -> None:
        if inspection.anomaly_map is None:
            return
        picture = self._annotate(inspection)
        if self._writer is None:
            self._writer = self._open(picture)
        if (picture.shape[1], picture.shape[0]) != self._size:
            picture = np.asarray(
                cv2.resize(picture, self._size, interpolation=cv2.INTER_AREA), dtype=np.uint8
            )
        self._writer.write(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
        self.written += 1

    def __enter__(self: _Video) -> _Video:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._writer is None:
            return
        self._writer.release()
        if error is not None:
            # Told of the error, the unfinished file is removed rather than given its name.
            self._files.__exit__(kind, error, trace)
            return
        with self._files:
            self._check()

    def _open(self, picture: npt.NDArray[np.uint8]) -> cv2.VideoWriter:
        # Both codecs halve the colour planes, so the sides must be even.
        self._size = (picture.shape[1] + picture.shape[1] % 2, picture.shape[0] + picture.shape[0] % 2)
        try:
            self._temporary = self._files.enter_context(atomic_path(self.path))
        except OSError as error:
            raise ConfigError(f"{self.path}: cannot be written ({error.strerror}).") from error
        codec = cv2.VideoWriter.fourcc(*VIDEO_CODECS[self.path.suffix.lower()])
        writer = cv2.VideoWriter(str(self._temporary), codec, self._fps, self._size)
        if not writer.isOpened():
            self._files.close()
            raise RealnetEdgeError(f"{self.path}: OpenCV cannot write this video here; try the other suffix.")
        return writer

    def _check(self) -> None:
        """Count what was written: OpenCV drops frames silently when the disk is full."""
        capture = cv2.VideoCapture(str(self._temporary))
        found = int(capture.get(cv2.CAP_PROP_FRAME_COUNT)) if capture.isOpened() else 0
        capture.release()
        if found != self.written:
            raise RealnetEdgeError(f"{self.path}: only {found} of {self.written} frames reached the disk.")


def json_line(inspection: Inspection) -> str:
    """One line of JSON with its line feed. NaN and infinity are refused."""
    return json.dumps(inspection.to_dict(), allow_nan=False, ensure_ascii=False) + "\n"
