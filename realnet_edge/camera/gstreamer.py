"""GStreamer pipelines as a source of pictures.

A pipeline runs in a process of its own, `gst-launch-1.0`: that needs no bindings, takes any element that is
installed, and can always be ended. Its pictures come through a pipe, in a form that FFmpeg reads.
"""

from __future__ import annotations

import os
import select
import shlex
import shutil
import subprocess
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import closing
from typing import IO

from realnet_edge.camera.streams import Picture, StreamLostError, decoded, import_av, told_as_lost
from realnet_edge.errors import ConfigError, DependencyError

# Raw pictures with whole colours behind a header with their size, in the colorimetry that FFmpeg assumes.
_RAW = "video/x-raw,format=Y444,colorimetry=bt601"
_AS_PICTURES = "! videoconvert ! {raw} ! y4menc ! fdsink sync=false fd={fd}"
_NO_PIPELINE = "erroneous pipeline: "
# Lines of the process's messages that are kept: the reason it ended is among the last.
_KEPT_LINES = 50
_END_S = 1.0


class GStreamerPipeline:
    """A GStreamer pipeline, as `gst-launch-1.0` takes it, that ends in raw video.

    Args:
        pipeline: its description, without a sink.
        timeout_s: how long to wait for each picture, the first one included.

    Raises:
        ConfigError: a description that cannot be split into words.
        DependencyError: gst-launch-1.0 is missing.
    """

    def __init__(self, pipeline: str, timeout_s: float) -> None:
        self._av = import_av()
        program = shutil.which("gst-launch-1.0")
        if program is None:
            raise DependencyError(
                "gst-launch-1.0 is missing, which runs GStreamer pipelines: apt install gstreamer1.0-tools."
            )
        try:
            self._command = [program, "--quiet", *shlex.split(pipeline)]
        except ValueError as error:
            raise ConfigError(f"{pipeline!r} is no GStreamer pipeline: {error}.") from error
        self._timeout = timeout_s
        self._running: _Running | None = None

    def pictures(self) -> Iterator[Picture]:
        """See `Connect`.

        Raises:
            ConfigError: GStreamer cannot make a pipeline of the description, now or ever.
        """
        running = self._running = _Running(self._command)
        with closing(running), told_as_lost(self._av, lambda: self._reason(running)):
            file = _PipeReader(running.pictures, self._timeout)
            with self._av.open(file, format="yuv4mpegpipe") as container:
                yield from decoded(self._av, container)
            raise StreamLostError(running.last_words() or "the pipeline ended")

    def _reason(self, running: _Running) -> str | None:
        words = running.last_words()
        if words and words.startswith(_NO_PIPELINE):
            raise ConfigError(f"not a GStreamer pipeline: {words.removeprefix(_NO_PIPELINE)}.")
        return words

    def interrupt(self) -> None:
        if self._running is not None:
            self._running.kill()


def has_element(name: str) -> bool:
    """Whether GStreamer has an element here; True where that cannot be asked."""
    program = shutil.which("gst-inspect-1.0")
    # Without `--exists`, which wants a plugin's version to be that of GStreamer at least.
    return program is None or subprocess.run([program, name], capture_output=True).returncode == 0


class _Running:
    """The process of a pipeline, its pictures' end of the pipe, and its last messages."""

    def __init__(self, command: list[str]) -> None:
        read, write = os.pipe()
        self.pictures: IO[bytes] = os.fdopen(read, "rb", buffering=0)
        try:
            self._process = subprocess.Popen(
                [*command, *shlex.split(_AS_PICTURES.format(raw=_RAW, fd=write))],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                pass_fds=(write,),
                # Ctrl-C is for the inspection, which ends the pipeline in its own time.
                start_new_session=True,
            )
        finally:
            os.close(write)
        self._lines: deque[str] = deque(maxlen=_KEPT_LINES)
        # Read as they come: a process whose messages nobody reads stands still one day.
        self._reader = threading.Thread(target=self._read, name="gstreamer", daemon=True)
        self._reader.start()

    def kill(self) -> None:
        self._process.kill()

    def last_words(self) -> str | None:
        """Why the process ended, in its words; None where it runs or does not say."""
        try:
            self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            return None
        self._reader.join(_END_S)
        said = [line.split(": ", 1)[-1] for line in self._lines if line.startswith(("ERROR", "WARNING"))]
        return said[0] if said else None

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        self._reader.join(_END_S)
        self.pictures.close()

    def _read(self) -> None:
        if self._process.stderr:
            with self._process.stderr as lines:
                self._lines.extend(line.decode(errors="replace").strip() for line in lines)


class _PipeReader:
    """What FFmpeg reads the pictures through, with an end to its patience."""

    def __init__(self, pipe: IO[bytes], timeout_s: float) -> None:
        self._pipe = pipe
        self._timeout = timeout_s

    def read(self, size: int) -> bytes:
        if not select.select([self._pipe], [], [], self._timeout)[0]:
            raise TimeoutError(f"no picture for {self._timeout:g} s")
        return os.read(self._pipe.fileno(), size)
