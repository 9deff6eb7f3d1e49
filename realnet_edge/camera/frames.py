"""One frame as a source hands it on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Frame:
    """A decoded frame, or the reason why there is none.

    Attributes:
        id: name of the frame within its source: a file's name, or the number within a video.
        source: the file it came from.
        timestamp: UTC time at which it was taken in hand, ISO 8601.
        position_s: seconds from the start of a video; None for an image file.
        image: (H, W, 3) uint8 RGB at its own size; None when it could not be decoded.
        error: why it could not be decoded; None when it was.
        decode_ms: time that reading and decoding took.
        camera: name of the camera, where cameras have names.
    """

    id: str
    source: str
    timestamp: str
    position_s: float | None
    image: npt.NDArray[np.uint8] | None
    error: str | None
    decode_ms: float
    camera: str | None = None


def utc_now() -> str:
    """The time now in UTC, ISO 8601 with milliseconds."""
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")
