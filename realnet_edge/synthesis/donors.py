"""Normal images that sources take patches from, each with the foreground it shows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from realnet_edge.errors import ConfigError, DataError
from realnet_edge.imaging import evenly_spread, load_image, preprocess
from realnet_edge.synthesis.foreground import ForegroundRule, foreground_mask
from realnet_edge.synthesis.foreground_choice import choose_foreground

MAX_DONORS = 128

Images = Sequence[Path] | Sequence[npt.NDArray[np.uint8]] | npt.NDArray[np.uint8]


class Donors:
    """At most 128 images, evenly spaced over those given, and where each shows the object.

    Args:
        images: normal images, files or (H, W, 3) uint8 RGB arrays.
        size: (height, width) that they are brought to.
        rule: the category's foreground, or one for each image. None chooses one by `choose_foreground`.

    Attributes:
        images: (H, W, 3) uint8 each.
        areas: (H, W) bool each, the foreground; it can be empty.

    Raises:
        DataError: there are no images, or one cannot be decoded.
        ConfigError: the size is not positive.
    """

    def __init__(
        self,
        images: Images,
        size: tuple[int, int],
        rule: ForegroundRule | Sequence[ForegroundRule] | None = None,
    ) -> None:
        """Load the images and find their foregrounds."""
        self.images = _loaded(images, size)
        if rule is None:
            rule = choose_foreground(self.images)[0]
        rules = [rule] * len(images) if isinstance(rule, ForegroundRule) else rule
        places = evenly_spread(len(images), MAX_DONORS)
        self.areas = [
            foreground_mask(image, rules[place]) for image, place in zip(self.images, places, strict=True)
        ]

    def __len__(self) -> int:
        return len(self.images)


def _loaded(images: Images, size: tuple[int, int]) -> list[npt.NDArray[np.uint8]]:
    if min(size) < 1:
        raise ConfigError(f"size {size} is not (height, width) in pixels, both at least 1.")
    if not len(images):
        raise DataError("no normal images to take patches from. Give at least one.")
    chosen = [images[index] for index in evenly_spread(len(images), MAX_DONORS)]
    return [preprocess(load_image(item) if isinstance(item, Path) else item, size) for item in chosen]
