from __future__ import annotations

import numpy as np

from realnet_edge.synthesis import BendSource


def _bar(side: int = 256) -> tuple[np.ndarray, np.ndarray]:
    """A dark horizontal bar with bright stripes across it, and where it is."""
    image = np.full((side, side, 3), 220, np.uint8)
    rows = slice(side // 2 - 20, side // 2 + 20)
    image[rows] = 60
    image[rows, ::12] = 140
    foreground = np.zeros((side, side), bool)
    foreground[rows] = True
    return image, foreground


def test_bends_change_what_they_mark_and_nothing_far_from_it() -> None:
    image, foreground = _bar()
    rng = np.random.default_rng(0)
    made = [BendSource()(image, foreground, rng) for _ in range(100)]
    areas = [int(one.mask.sum()) for one in made]
    assert min(areas) >= 4
    assert min(areas) < 150
    assert 400 < max(areas) < np.pi * 28**2
    for one in made:
        difference = np.abs(one.image.astype(int) - image).max(axis=2)
        # Each changed pixel marks at most the 5 x 5 about it.
        assert (difference[one.mask] >= 6).mean() >= 1 / 25
        # What lies outside the mask is at most a faint rest of the smooth rim.
        assert difference[~one.mask].max() < 6


def test_bends_move_the_outline_and_keep_the_tones() -> None:
    image, foreground = _bar()
    rng = np.random.default_rng(1)
    beyond = 0
    for _ in range(60):
        made = BendSource()(image, foreground, rng)
        beyond += bool((made.mask & ~foreground).any())
        # The grey levels come from the image itself, but for the overshoot of cubic interpolation.
        assert made.image.min() >= 60 - 30
        assert made.image.max() <= 220 + 30
    assert beyond > 10


def test_bends_scale_with_the_image_and_stand_its_border() -> None:
    small = _bar(64)
    rng = np.random.default_rng(2)
    made = [BendSource()(*small, rng) for _ in range(50)]
    assert max(int(one.mask.sum()) for one in made) < np.pi * 9**2
    corner = np.zeros((64, 64), bool)
    corner[:2, :2] = True
    image = np.random.default_rng(3).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    for _ in range(50):
        made_here = BendSource()(image, corner, rng)
        assert made_here.mask[:14, :14].sum() == made_here.mask.sum()


def test_flat_material_leaves_an_empty_mask() -> None:
    image = np.full((64, 64, 3), 90, np.uint8)
    made = BendSource()(image, np.ones((64, 64), bool), np.random.default_rng(4))
    assert not made.mask.any()
    assert np.array_equal(made.image, image)
