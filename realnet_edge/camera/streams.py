"""Connections to what sends pictures by itself: network streams and capture devices, through FFmpeg."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from realnet_edge.errors import RealnetEdgeError

# Pictures are taken as they come: FFmpeg neither collects packets to sort them nor probes for long.
_LOW_DELAY = {"fflags": "nobuffer", "flags": "low_delay"}


class StreamLostError(RealnetEdgeError):
    """A stream could not be opened, ended, or sent nothing for too long."""


@dataclass(frozen=True)
class Picture:
    """One picture of a stream, or why it could not be decoded.

    Attributes:
        image: (H, W, 3) uint8 RGB; None when it could not be decoded.
        error: None when it was decoded.
        decode_ms: time that decoding took, waiting for it not counted.
    """

    image: npt.NDArray[np.uint8] | None
    error: str | None
    decode_ms: float


class Connect(Protocol):
    """Something that can be connected to again and again."""

    def pictures(self) -> Iterator[Picture]:
        """Connect, and yield pictures until the stream is lost; closing the iterator disconnects.

        Raises:
            StreamLostError: why it ended.
        """

    def interrupt(self) -> None:
        """Have `pictures` end soon, from another thread, as far as that is possible."""


class FFmpegStream:
    """A network stream or a capture device.

    Args:
        address: URL, or a device's path.
        timeout_s: how long to wait for the connection, and for each picture.
        demuxer: FFmpeg's name of the demuxer where the address does not tell, "v4l2" for a device.
    """

    def __init__(self, address: str, timeout_s: float, demuxer: str | None = None) -> None:
        self._av = import_av()
        self._address = address
        self._timeout = timeout_s
        self._demuxer = demuxer
        self._options = dict(_LOW_DELAY)
        if address.startswith(("rtsp://", "rtsps://")):
            # UDP loses packets where a switch is busy, and a lost packet is a damaged part.
            self._options["rtsp_transport"] = "tcp"

    def pictures(self) -> Iterator[Picture]:
        with told_as_lost(self._av), self._open() as container:
            yield from decoded(self._av, container)

    def interrupt(self) -> None:
        """FFmpeg's waits end by themselves, after the timeout."""

    def _open(self) -> Any:
        return self._av.open(
            self._address,
            format=self._demuxer,
            options=self._options,
            timeout=(self._timeout, self._timeout),
        )


def decoded(av: Any, container: Any) -> Iterator[Picture]:
    """Pictures of a container's first video stream.

    Until the first whole picture what cannot be decoded is passed over: who joins a running stream misses the
    beginning of what its packets refer to.

    Raises:
        StreamLostError: it has no video.
    """
    if not container.streams.video:
        raise StreamLostError("it carries no video")
    stream = container.streams.video[0]
    # Threads over whole pictures would each hold one back.
    stream.thread_type = "SLICE"
    joined = False
    for packet in container.demux(stream):
        for picture in _of_packet(av, packet):
            joined = joined or picture.image is not None
            if joined:
                yield picture


def _of_packet(av: Any, packet: Any) -> Iterator[Picture]:
    started = time.perf_counter()
    try:
        frames = packet.decode()
    except av.error.InvalidDataError as error:
        yield Picture(None, f"cannot be decoded ({error.strerror})", _since(started))
        return
    for frame in frames:
        if frame.is_corrupt:
            yield Picture(None, "damaged on its way here", _since(started))
        else:
            image = frame.to_ndarray(format="rgb24")
            yield Picture(image, None, _since(started))
        started = time.perf_counter()


def _since(started: float) -> float:
    return (time.perf_counter() - started) * 1e3


@contextmanager
def told_as_lost(av: Any, reason: Callable[[], str | None] = lambda: None) -> Iterator[None]:
    """Turn what FFmpeg raises into the reason why a stream is lost.

    Args:
        av: PyAV.
        reason: gives a better one than FFmpeg's, or None.

    Raises:
        StreamLostError: FFmpeg could not go on.
    """
    try:
        yield
    except (av.error.FFmpegError, OSError) as error:
        # FFmpeg's whole message repeats the address, password included.
        raise StreamLostError(reason() or getattr(error, "strerror", None) or str(error)) from None


def import_av() -> Any:
    """PyAV, which logs nothing."""
    import av
    import av.error
    import av.logging

    # What matters comes as an exception; the rest would fill a log for months.
    av.logging.set_level(av.logging.PANIC)
    return av
