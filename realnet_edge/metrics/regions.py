"""Connected ground-truth regions, found once for a whole test set."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from realnet_edge.metrics.checks import Bools


@dataclass(frozen=True)
class Regions:
    """All regions of a set of masks, pixel by pixel.

    Attributes:
        pixels: (P,) int64, position of each pixel in the flattened (N, H, W) array. With filled
            regions a pixel may occur more than once: a region can lie in the hole of another.
        owner: (P,) int64, index of the region the pixel belongs to.
        areas: (R,) int64, pixels of each region, its holes not counted even where they are filled.
    """

    pixels: npt.NDArray[np.int64]
    owner: npt.NDArray[np.int64]
    areas: npt.NDArray[np.int64]

    @property
    def weights(self) -> npt.NDArray[np.float64]:
        """(P,) what each pixel adds to the mean per-region overlap once it is found."""
        return (1.0 / (self.areas * self.areas.size))[self.owner]


def label_regions(masks: Bools, filled: bool = False) -> Regions:
    """8-connected regions of (N, H, W) masks.

    Args:
        masks: True marks an anomalous pixel.
        filled: add the pixels of each region's holes to the region. A hole is background that
            cannot leave the region even diagonally.
    """
    size = masks.shape[1] * masks.shape[2]
    pixels: list[npt.NDArray[np.int64]] = []
    areas: list[int] = []
    for index, mask in enumerate(masks):
        if not mask.any():
            continue
        _, labels, stats, _ = cv2.connectedComponentsWithStats(
            mask.astype(np.uint8), connectivity=8, ltype=cv2.CV_32S
        )
        for label in range(1, len(stats)):
            left, top, width, height, area = (int(value) for value in stats[label])
            shape = labels[top : top + height, left : left + width] == label
            rows, columns = np.nonzero(_fill_holes(shape) if filled else shape)
            pixels.append(index * size + (rows + top) * masks.shape[2] + columns + left)
            areas.append(area)
    owner = np.repeat(np.arange(len(areas)), [len(region) for region in pixels])
    return Regions(np.concatenate(pixels), owner, np.asarray(areas, np.int64))


def _fill_holes(shape: Bools) -> Bools:
    """`shape` and every background pixel that no 8-connected path leads out of."""
    background = np.pad(~shape, 1, constant_values=True).astype(np.uint8)
    _, labels = cv2.connectedComponents(background, connectivity=8, ltype=cv2.CV_32S)
    # The padding makes everything outside one component, the one that holds the corner.
    inside: Bools = (labels != labels[0, 0])[1:-1, 1:-1]
    return inside
