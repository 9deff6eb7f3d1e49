from __future__ import annotations

import numpy as np

from realnet_edge.synthesis import ScratchSource


def test_scratches_are_small_of_any_strength_and_both_tones() -> None:
    image = np.full((256, 256, 3), 128, np.uint8)
    rng = np.random.default_rng(0)
    made = [ScratchSource()(image, np.ones((256, 256), bool), rng) for _ in range(200)]
    areas = [one.mask.sum() for one in made]
    assert max(areas) < 0.06 * 256 * 256
    assert min(areas) < 60
    shifts = [float((one.image[one.mask].astype(int) - 128).mean()) for one in made]
    assert min(shifts) < -50
    assert max(shifts) > 50
    assert min(abs(shift) for shift in shifts) < 15
    assert all(np.array_equal(one.image[~one.mask], image[~one.mask]) for one in made)


def test_dark_images_get_bright_scratches() -> None:
    image = np.zeros((128, 128, 3), np.uint8)
    rng = np.random.default_rng(1)
    for _ in range(20):
        made = ScratchSource()(image, np.ones((128, 128), bool), rng)
        assert made.image[made.mask].mean() > 3
