"""What an anomaly source is, what it returns, and the blending that all of them use."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
import numpy.typing as npt

from realnet_edge.errors import DataError


@dataclass(frozen=True)
class Synthetic:
    """One synthetic anomaly.

    Attributes:
        image: (H, W, 3) uint8 RGB, the normal image with a local anomaly.
        mask: (H, W) bool, True where the pixel counts as anomalous. Never empty.
        content: (H, W, 3) uint8, the picture that was blended in, before blending; None where a source
            changes the image itself. Only previews show it.
    """

    image: npt.NDArray[np.uint8]
    mask: npt.NDArray[np.bool_]
    content: npt.NDArray[np.uint8] | None = None


class AnomalySource(Protocol):
    """Makes a synthetic anomaly out of a normal image; all randomness comes from `rng`."""

    @property
    def name(self) -> str:
        """The name by which a source specification calls it."""

    def __call__(
        self, image: npt.NDArray[np.uint8], foreground: npt.NDArray[np.bool_], rng: np.random.Generator
    ) -> Synthetic:
        """Put one anomaly on `image`, (H, W, 3) uint8, where `foreground`, (H, W) bool, allows it."""


def draw_until(good: Callable[[Synthetic], bool], attempts: int, draw: Callable[[], Synthetic]) -> Synthetic:
    """The first draw that is good; the last of `attempts` if none is."""
    result = draw()
    for _ in range(attempts - 1):
        if good(result):
            break
        result = draw()
    return result


def blend(
    normal: npt.NDArray[np.uint8],
    anomaly: npt.NDArray[np.uint8] | npt.NDArray[np.float32],
    mask: npt.NDArray[np.bool_] | npt.NDArray[np.float32],
    opacity: float,
) -> npt.NDArray[np.uint8]:
    """Blend an anomaly into a normal image: RealNet paper, equation 3.

    A = (1 - M) I + (1 - d) M I + d M P, which is I + d M (P - I).

    Args:
        normal: I, (H, W, 3) uint8.
        anomaly: P, (H, W, 3), uint8 or float32 in grey levels; values outside 0..255 are clipped
            after blending.
        mask: M, (H, W): bool as in the paper, or float32 in [0, 1] for an edge that fades.
        opacity: d in [0, 1].

    Returns:
        A, (H, W, 3) uint8, rounded to nearest. Pixels where M is 0 are bit-identical to `normal`.

    Raises:
        DataError: the shapes differ or the opacity lies outside [0, 1].
    """
    if normal.shape != anomaly.shape or normal.shape[:2] != mask.shape:
        raise DataError(
            f"blend needs images and mask of one size, got normal {normal.shape}, "
            f"anomaly {anomaly.shape}, mask {mask.shape}. Resize them to one height and width first."
        )
    if not 0.0 <= opacity <= 1.0:
        raise DataError(f"opacity {opacity} is outside [0, 1]. Choose a value within it.")
    rows, columns = bounding_box(mask)
    result: npt.NDArray[np.uint8] = normal.copy()
    if rows.start == rows.stop:
        return result
    part = normal[rows, columns].astype(np.float32)
    weight = mask[rows, columns].astype(np.float32)[:, :, None] * np.float32(opacity)
    part += weight * (anomaly[rows, columns] - part)
    np.rint(part, out=part)
    result[rows, columns] = np.clip(part, 0, 255, out=part)
    return result


def visible_difference(
    normal: npt.NDArray[np.uint8], anomalous: npt.NDArray[np.uint8], mask: npt.NDArray[np.bool_]
) -> float:
    """Mean absolute difference in grey levels over the masked pixels and channels; 0 for an empty mask."""
    if not mask.any():
        return 0.0
    difference = cv2.absdiff(normal, anomalous)
    return float(np.mean(cv2.mean(difference, mask.view(np.uint8))[:3]))


def where_changed(
    normal: npt.NDArray[np.uint8], anomalous: npt.NDArray[np.uint8], mask: npt.NDArray[np.bool_], levels: int
) -> npt.NDArray[np.bool_]:
    """The part of the mask within 2 pixels of a pixel that changed by `levels` grey levels or more.

    Some contents change little of what they cover (a flat area that is bent stays flat). The two
    pixels close the gaps where a changed texture happens to cross the one that was there.
    """
    rows, columns = bounding_box(mask)
    result: npt.NDArray[np.bool_] = np.zeros_like(mask)
    if rows.start == rows.stop:
        return result
    inside = mask[rows, columns]
    difference = cv2.absdiff(normal[rows, columns], anomalous[rows, columns])
    strongest = cv2.max(cv2.max(difference[:, :, 0], difference[:, :, 1]), difference[:, :, 2])
    changed = ((np.asarray(strongest) >= levels) & inside).astype(np.uint8)
    result[rows, columns] = (np.asarray(cv2.dilate(changed, np.ones((5, 5), np.uint8))) > 0) & inside
    return result


def bounding_box(mask: npt.NDArray[np.bool_] | npt.NDArray[np.float32]) -> tuple[slice, slice]:
    """Rows and columns that hold everything above zero in an (H, W) mask; empty slices when nothing is."""
    rows = np.flatnonzero(mask.any(axis=1))
    if not rows.size:
        return slice(0, 0), slice(0, 0)
    columns = np.flatnonzero(mask[rows[0] : rows[-1] + 1].any(axis=0))
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)
