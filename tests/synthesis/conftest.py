"""Images that the synthesis tests share."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
import pytest

Image8 = npt.NDArray[np.uint8]


@pytest.fixture
def bar_images() -> list[Image8]:
    """Eight grey images, 128 x 96, of a dark textured bar that lies differently in each."""
    rng = np.random.default_rng(7)
    images = []
    for angle in range(0, 160, 20):
        plane = np.full((128, 96), 200.0) + rng.normal(0, 3, (128, 96))
        box = cv2.boxPoints(((48.0, 64.0), (70.0, 22.0), float(angle)))
        inside = np.zeros((128, 96), np.uint8)
        cv2.fillPoly(inside, [np.rint(box).astype(np.int32)], 1)
        plane = np.where(inside > 0, 60 + 25 * np.sin(np.arange(96) / 2.0)[None, :], plane)
        grey = np.clip(plane, 0, 255).astype(np.uint8)
        images.append(np.repeat(grey[:, :, None], 3, axis=2))
    return images


@pytest.fixture
def texture_images() -> list[Image8]:
    """Six coloured images, 96 x 128, of smooth noise that fills the frame."""
    rng = np.random.default_rng(8)
    coarse = rng.integers(60, 200, size=(6, 12, 16, 3), dtype=np.uint8)
    return [np.asarray(cv2.resize(one, (128, 96), interpolation=cv2.INTER_CUBIC)) for one in coarse]
