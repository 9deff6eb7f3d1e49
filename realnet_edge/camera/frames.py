"""One frame as a source hands it on."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import numpy.typing as npt

_DIGITS = re.compile(r"(\d+)")


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
    """

    id: str
    source: str
    timestamp: str
    position_s: float | None
    image: npt.NDArray[np.uint8] | None
    error: str | None
    decode_ms: float


def utc_now() -> str:
    """The time now in UTC, ISO 8601 with milliseconds."""
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")


def natural_key(path: Path) -> tuple[tuple[int, int | str], ...]:
    """Sorting key in which part2.png comes before part10.png, folder by folder."""
    pieces = _DIGITS.split(path.as_posix().lower())
    return tuple((0, int(piece)) if piece.isdigit() else (1, piece) for piece in pieces)
