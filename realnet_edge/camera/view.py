"""The part of a camera's picture that is inspected, and which way up it is."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from realnet_edge.camera.frames import Frame
from realnet_edge.camera.sources import Source
from realnet_edge.errors import ConfigError

ROTATIONS = (0, 90, 180, 270)


@dataclass(frozen=True)
class View:
    """What is cut out of every picture, and how it is turned then.

    Args:
        region: x, y, width and height in pixels of the picture as it comes; None for all of it.
        rotate: degrees clockwise, one of `ROTATIONS`.

    Raises:
        ConfigError: a region without area or outside every picture, or another angle.
    """

    region: tuple[int, int, int, int] | None = None
    rotate: int = 0

    def __post_init__(self) -> None:
        if self.rotate not in ROTATIONS:
            raise ConfigError(f"rotation {self.rotate}: valid are {', '.join(map(str, ROTATIONS))} degrees.")
        if self.region and (min(self.region[:2]) < 0 or min(self.region[2:]) < 1):
            raise ConfigError(
                f"region {_listed(self.region)}: x and y must be at least 0, width and height at least 1."
            )

    @property
    def is_whole(self) -> bool:
        return self.region is None and self.rotate == 0

    def __call__(self, image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """The view of an (H, W, 3) image, contiguous.

        Raises:
            ConfigError: the region does not lie in the image.
        """
        if self.region:
            x, y, width, height = self.region
            if x + width > image.shape[1] or y + height > image.shape[0]:
                raise ConfigError(
                    f"region {_listed(self.region)} does not lie in a picture of "
                    f"{image.shape[1]}x{image.shape[0]}"
                )
            image = image[y : y + height, x : x + width]
        return np.ascontiguousarray(np.rot90(image, -self.rotate // 90))


class ViewedSource(Source):
    """A source whose frames are seen through a view.

    A frame that the region does not lie in is yielded with the error: a camera that changes its resolution
    must not have other parts of the picture inspected.

    Args:
        source: gives the frames.
        view: what is seen of each.
        on_trouble: hears the error as well, once until a frame fits again.
    """

    def __init__(
        self, source: Source, view: View, on_trouble: Callable[[str], None] = lambda reason: None
    ) -> None:
        self.name, self.fps = source.name, source.fps
        self.live, self.endless, self.triggered = source.live, source.endless, source.triggered
        self._source = source
        self._view = view
        self._on_trouble = on_trouble
        self._trouble: str | None = None

    @property
    def reconnects(self) -> int:
        return self._source.reconnects

    def __len__(self) -> int:
        return len(self._source)

    def frames(self) -> Iterator[Frame]:
        for frame in self._source.frames():
            yield self._seen(frame)

    def stop(self) -> None:
        self._source.stop()

    def close(self) -> None:
        self._source.close()

    def _seen(self, frame: Frame) -> Frame:
        if frame.image is None:
            return frame
        try:
            image = self._view(frame.image)
        except ConfigError as error:
            return dataclasses.replace(frame, image=None, error=self._told(str(error)))
        self._trouble = None
        return dataclasses.replace(frame, image=image)

    def _told(self, reason: str) -> str:
        if reason != self._trouble:
            self._trouble = reason
            self._on_trouble(reason)
        return reason


def _listed(region: tuple[int, int, int, int]) -> str:
    return ",".join(map(str, region))
