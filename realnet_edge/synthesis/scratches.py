"""Thin and small anomalies: scratches, cracks, pits.

One to four strokes of 1 to 4 pixels (of a 256-pixel image), straight or wandering, or one to three
blobs of 1.5 to 6 pixels radius, shifted up or down by 15 to 110 grey levels (log-uniform, so that
faint cracks are learned as well), inside the foreground.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from realnet_edge.synthesis.base import Synthetic, blend
from realnet_edge.synthesis.jitter import is_grey
from realnet_edge.synthesis.shapes import blob_alpha, stroke_alpha, unit_length

STROKE_SHARE = 0.7
SHIFT = (15.0, 110.0)
BLOB_RADIUS = (1.5, 6.0)
# Below this weight an antialiased edge pixel has hardly changed and counts as normal.
MIN_ALPHA = 0.25


class ScratchSource:
    """Draws scratches, cracks and pits onto the image."""

    name = "scratches"

    def __call__(
        self, image: npt.NDArray[np.uint8], foreground: npt.NDArray[np.bool_], rng: np.random.Generator
    ) -> Synthetic:
        """One anomaly; see `AnomalySource`."""
        alpha = _marks(foreground, rng)
        if rng.random() < 0.5:
            soft = np.asarray(cv2.GaussianBlur(alpha, (0, 0), 0.7 * max(1.0, unit_length(image.shape))))
            alpha = soft * foreground / np.float32(max(float(soft.max()), 1e-6))
        alpha = np.where(alpha >= MIN_ALPHA, alpha, 0.0).astype(np.float32)
        mask = alpha > 0.0
        level = float(image[mask].mean()) if mask.any() else 128.0
        direction = 1.0 if rng.random() > level / 255.0 else -1.0
        cast = np.zeros(3) if is_grey(image) else rng.uniform(-20.0, 20.0, size=3)
        strength = float(np.exp(rng.uniform(np.log(SHIFT[0]), np.log(SHIFT[1]))))
        shift = direction * strength + cast
        return Synthetic(blend(image, image + shift.astype(np.float32), alpha, 1.0), mask)


def _marks(foreground: npt.NDArray[np.bool_], rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """The strokes or blobs of one sample, (H, W) float32 in [0, 1]."""
    strokes = rng.random() < STROKE_SHARE
    count = 1 + int(rng.integers(4 if strokes else 3))
    alpha = np.zeros(foreground.shape, np.float32)
    for _ in range(count):
        one = stroke_alpha(foreground, rng) if strokes else blob_alpha(foreground, rng, BLOB_RADIUS)
        np.maximum(alpha, one, out=alpha)
    return alpha
