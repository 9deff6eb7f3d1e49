"""The samples that are nearest to training images, beside them: copies are seen at once."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from realnet_edge.imaging import preprocess
from realnet_edge.quality.features import Images
from realnet_edge.quality.neighbours import Copies

CELL = 192
GAP = 6
BAND = 24
# Differences are shown this much stronger.
GAIN = 4
_PAPER = 255


def nearest_pairs(samples: Images, training: Images, copies: Copies, pairs: int = 8) -> npt.NDArray[np.uint8]:
    """Draw a sheet of the nearest pairs, the nearest first.

    A row is a sample, the training image it is nearest to, and four times their difference on grey; above it
    stands their distance and whether that is less than training images are apart.

    Args:
        samples, training: (N, H, W, 3) and (T, H, W, 3) uint8 RGB.
        copies: what `find_copies` found of them.
        pairs: most rows.

    Returns:
        (rows * (BAND + CELL), 3 * CELL + 2 * GAP, 3) uint8 RGB.
    """
    rows = []
    for sample in np.argsort(copies.distances, kind="stable")[:pairs]:
        normal = training[copies.nearest[sample]]
        change = samples[sample].astype(np.int16) - normal
        shown = np.clip(128 + GAIN * change, 0, 255).astype(np.uint8)
        distance = float(copies.distances[sample])
        verdict = "nearer than training images are" if distance < copies.limit else "apart"
        rows += [
            _band(
                f"sample {int(sample)}, training image {int(copies.nearest[sample])}, difference x{GAIN}: "
                f"{distance:.4f}, {verdict}"
            ),
            _line([samples[sample], normal, shown]),
        ]
    return np.concatenate(rows)


def _band(text: str) -> npt.NDArray[np.uint8]:
    band = np.full((BAND, 3 * CELL + 2 * GAP, 3), _PAPER, np.uint8)
    cv2.putText(band, text, (2, BAND - 8), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (0, 0, 0), 1, cv2.LINE_AA)
    return band


def _line(pictures: list[npt.NDArray[np.uint8]]) -> npt.NDArray[np.uint8]:
    line = np.full((CELL, 3 * CELL + 2 * GAP, 3), _PAPER, np.uint8)
    for column, picture in enumerate(pictures):
        left = column * (CELL + GAP)
        line[:, left : left + CELL] = preprocess(picture, (CELL, CELL))
    return line
