from __future__ import annotations

import cv2
import numpy as np
import pytest

from realnet_edge.synthesis import BendSource, ChipSource, chips
from realnet_edge.synthesis.chips import ends

TIP = (128, 215)


def _wedge(side: int = 256) -> tuple[np.ndarray, np.ndarray]:
    """A dark, grained wedge, its point on the right, on a bright ground that grows darker downwards."""
    rng = np.random.default_rng(7)
    unit = side / 256
    ground = np.linspace(225, 195, side)[:, None] + rng.normal(0, 1.5, (side, side))
    outline = np.rint(np.array([(30, 95), (30, 161), (TIP[1], TIP[0])]) * unit).astype(np.int32)
    part = np.zeros((side, side), np.uint8)
    cv2.fillPoly(part, [outline], 1)
    grey = np.where(part > 0, 80 + rng.normal(0, 12, (side, side)), ground)
    return np.repeat(np.clip(grey, 0, 255).astype(np.uint8)[:, :, None], 3, axis=2), part > 0


def _near_tip(mask: np.ndarray) -> bool:
    return bool(mask[TIP[0] - 12 : TIP[0] + 12, TIP[1] - 12 : TIP[1] + 12].any())


def test_ends_are_where_little_of_the_part_is_around() -> None:
    _, foreground = _wedge()
    likelihood = ends(foreground)
    assert likelihood.shape == foreground.shape
    assert not likelihood[~foreground].any()
    assert 0.0 <= likelihood.min() < likelihood.max() <= 1.0
    row, column = np.unravel_index(int(likelihood.argmax()), likelihood.shape)
    assert abs(row - TIP[0]) <= 3
    assert abs(column - TIP[1]) <= 3
    # The middle of the thick end is surrounded by the part.
    assert likelihood[128, 60] < 1e-3 * likelihood.max()
    # A part that the image cuts off does not end there.
    cut_off = np.zeros((64, 64), bool)
    cut_off[24:40] = True
    across = ends(cut_off)[32]
    assert np.allclose(across, across[32], atol=1e-4)


def test_chips_find_the_end_of_a_part_far_more_often_than_bends() -> None:
    image, foreground = _wedge()
    share = {}
    for source in (ChipSource(), BendSource()):
        rng = np.random.default_rng(0)
        share[source.name] = np.mean([_near_tip(source(image, foreground, rng).mask) for _ in range(150)])
    assert share["chips"] > 0.35
    assert share["chips"] > 4 * share["bends"]


def test_what_is_missing_shows_the_surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chips, "MISSING_SHARE", 1.0)
    image, foreground = _wedge()
    rng = np.random.default_rng(1)
    without_tip = 0
    for _ in range(60):
        made = ChipSource()(image, foreground, rng)
        gone = (made.image[:, :, 0] > 180) & foreground
        without_tip += bool(gone[TIP[0], TIP[1] - 3])
        rows, columns = np.nonzero(gone)
        # Its level is that of the ground in the same rows, whose grain it has as well.
        beyond = made.image[rows, columns, 0] - image[rows, 235, 0].astype(float)
        assert np.abs(np.median(beyond)) < 8
        assert gone.sum() < 20 or np.std(beyond) > 1
        assert made.mask[gone].mean() > 0.9
    assert without_tip >= 15


def test_chips_change_what_they_mark_and_nothing_beyond() -> None:
    image, foreground = _wedge()
    before = image.copy()
    rng = np.random.default_rng(2)
    for _ in range(60):
        made = ChipSource()(image, foreground, rng)
        difference = np.abs(made.image.astype(int) - image).max(axis=2)
        assert made.mask.sum() >= 4
        assert difference[~made.mask].max() < 6
        assert difference[made.mask].mean() >= 8
    assert np.array_equal(image, before)


def test_chips_scale_with_the_image() -> None:
    areas = {}
    for side in (64, 256):
        image, foreground = _wedge(side)
        rng = np.random.default_rng(3)
        made = [ChipSource()(image, foreground, rng) for _ in range(60)]
        areas[side] = np.median([one.mask.sum() for one in made]) / side**2
    assert 0.4 < areas[64] / areas[256] < 2.5


def test_a_part_that_fills_the_image_is_bent() -> None:
    image = np.random.default_rng(4).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    rng = np.random.default_rng(5)
    everywhere = np.ones((64, 64), bool)
    for _ in range(20):
        assert ChipSource()(image, everywhere, rng).mask.any()
