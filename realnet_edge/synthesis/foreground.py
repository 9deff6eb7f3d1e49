"""Foreground masks: where on an image a synthetic anomaly may lie.

A rule thresholds grey (or one channel) and cleans the mask by a closing, then an opening, with
squares. Written as text: `whole`, `otsu:dark:6:6` (method, polarity, closing, opening) or
`triangle:bright:8:3:channel=2`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

import cv2
import numpy as np
import numpy.typing as npt

from realnet_edge.errors import ConfigError, DataError

Method = Literal["whole", "otsu", "triangle"]
Polarity = Literal["bright", "dark"]
METHODS: tuple[Method, ...] = ("whole", "otsu", "triangle")
POLARITIES: tuple[Polarity, ...] = ("bright", "dark")
MAX_SQUARE = 101
_FORM = "whole, or METHOD:POLARITY:CLOSING:OPENING[:channel=0|1|2] such as otsu:dark:6:6"


@dataclass(frozen=True)
class ForegroundRule:
    """How the foreground of a category is found.

    Attributes:
        method: "whole" takes every pixel and ignores the rest; "otsu" and "triangle" threshold.
        channel: 0, 1 or 2 thresholds red, green or blue; None thresholds grey.
        polarity: whether the object is brighter or darker than the threshold.
        closing: side of the square that closes gaps, in pixels; 0 leaves it out.
        opening: side of the square that then removes specks, in pixels; 0 leaves it out.

    Raises:
        ConfigError: a value outside these.
    """

    method: Method = "whole"
    channel: int | None = None
    polarity: Polarity = "bright"
    closing: int = 0
    opening: int = 0

    def __post_init__(self) -> None:
        """Refuse what no rule can mean."""
        if self.method not in METHODS:
            raise ConfigError(f"foreground method '{self.method}' is not one of {', '.join(METHODS)}.")
        if self.polarity not in POLARITIES:
            raise ConfigError(f"foreground polarity '{self.polarity}' is not one of {', '.join(POLARITIES)}.")
        if self.channel not in (None, 0, 1, 2):
            raise ConfigError(f"foreground channel {self.channel} is not 0, 1 or 2 (none thresholds grey).")
        for name, side in (("closing", self.closing), ("opening", self.opening)):
            if not 0 <= side <= MAX_SQUARE:
                raise ConfigError(f"foreground {name} {side} is outside 0..{MAX_SQUARE} pixels.")

    def __str__(self) -> str:
        """The text that `parse` reads back."""
        if self.method == "whole":
            return "whole"
        channel = "" if self.channel is None else f":channel={self.channel}"
        return f"{self.method}:{self.polarity}:{self.closing}:{self.opening}{channel}"

    @classmethod
    def parse(cls, text: str) -> ForegroundRule:
        """The rule that `text` states.

        Raises:
            ConfigError: the text is no rule.
        """
        parts = text.strip().lower().split(":")
        if parts == ["whole"]:
            return cls()
        channel: int | None = None
        try:
            if len(parts) == 5 and parts[4].startswith("channel="):
                channel = int(parts.pop()[len("channel=") :])
            method, polarity, closing, opening = parts
            sides = int(closing), int(opening)
        except ValueError as error:
            raise ConfigError(f"foreground rule '{text}' cannot be read. Write {_FORM}.") from error
        if method == "whole":
            raise ConfigError(f"foreground rule '{text}': whole takes no further settings. Write {_FORM}.")
        return cls(cast(Method, method), channel, cast(Polarity, polarity), *sides)

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "method": self.method,
            "channel": self.channel,
            "polarity": self.polarity,
            "closing": self.closing,
            "opening": self.opening,
        }

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> ForegroundRule:
        """The rule that `to_dict` wrote.

        Raises:
            ConfigError: a key is missing, unknown or holds another type.
        """
        known = set(cls().to_dict())
        if set(document) != known:
            raise ConfigError(
                f"a foreground rule has the keys {', '.join(sorted(known))}, "
                f"got {', '.join(sorted(document))}."
            )
        channel = document["channel"]
        numbers = [document["closing"], document["opening"], *([] if channel is None else [channel])]
        if any(type(number) is not int for number in numbers):
            raise ConfigError(
                f"closing, opening and channel of a foreground rule are integers, got {document}."
            )
        return cls(
            document["method"], channel, document["polarity"], document["closing"], document["opening"]
        )


def foreground_mask(image: npt.NDArray[np.uint8], rule: ForegroundRule) -> npt.NDArray[np.bool_]:
    """The foreground of one image.

    Args:
        image: (H, W, 3) uint8 RGB.
        rule: how to find it.

    Returns:
        (H, W) bool. It can be empty where a rule does not fit the image.

    Raises:
        DataError: the image has another shape or dtype.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise DataError(f"expected an (H, W, 3) uint8 RGB image, got {image.shape} {image.dtype}.")
    if rule.method == "whole":
        return np.ones(image.shape[:2], np.bool_)
    plane = (
        cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        if rule.channel is None
        else np.ascontiguousarray(image[:, :, rule.channel])
    )
    kind = cv2.THRESH_BINARY if rule.polarity == "bright" else cv2.THRESH_BINARY_INV
    method = cv2.THRESH_OTSU if rule.method == "otsu" else cv2.THRESH_TRIANGLE
    _, binary = cv2.threshold(plane, 0, 1, kind | method)
    closed = _square_filter(np.asarray(binary, np.uint8), rule.closing, closing=True)
    opened = _square_filter(closed, rule.opening, closing=False)
    return opened > 0


def _square_filter(mask: npt.NDArray[np.uint8], side: int, closing: bool) -> npt.NDArray[np.uint8]:
    """Close (dilate, erode) or open (erode, dilate) by a square of `side` pixels."""
    if side < 2:
        return mask
    square = np.ones((side, side), np.uint8)
    first, second = (cv2.dilate, cv2.erode) if closing else (cv2.erode, cv2.dilate)
    # An even square has no centre: the second pass takes the mirrored anchor, or the mask would
    # wander by a pixel.
    anchor = side // 2
    mirrored = side - 1 - anchor
    once = first(mask, square, anchor=(anchor, anchor))
    return np.asarray(second(once, square, anchor=(mirrored, mirrored)), np.uint8)
