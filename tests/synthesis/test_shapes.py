from __future__ import annotations

import cv2
import numpy as np
import pytest

from realnet_edge.synthesis.shapes import blob_alpha, feather, mixed_mask, random_point, stroke_alpha


@pytest.fixture
def foreground() -> np.ndarray:
    area = np.zeros((120, 160), bool)
    area[20:90, 30:70] = True
    return area


@pytest.mark.parametrize("draw", [blob_alpha, stroke_alpha])
def test_shapes_lie_in_the_foreground_and_are_never_empty(draw: object, foreground: np.ndarray) -> None:
    assert callable(draw)
    rng = np.random.default_rng(0)
    for _ in range(200):
        alpha = draw(foreground, rng)
        assert alpha.dtype == np.float32
        assert alpha.max() == 1.0
        assert alpha.min() >= 0.0
        assert not alpha[~foreground].any()


def test_strokes_are_thin_and_blobs_compact() -> None:
    everywhere = np.ones((256, 256), bool)
    rng = np.random.default_rng(1)
    strokes = [stroke_alpha(everywhere, rng) for _ in range(50)]
    # A line of at most 4 pixels does not survive an erosion by 7, a blob of 8 pixels radius does.
    square = np.ones((7, 7), np.uint8)
    survivors = [cv2.erode((alpha > 0.5).astype(np.uint8), square).sum() for alpha in strokes]
    assert np.mean([count == 0 for count in survivors]) > 0.9
    blob = blob_alpha(everywhere, rng, radius=(9.0, 9.0))
    assert cv2.erode((blob > 0.5).astype(np.uint8), square).any()


def test_random_point_is_a_true_pixel_or_any_if_there_is_none(foreground: np.ndarray) -> None:
    rng = np.random.default_rng(2)
    assert all(foreground[random_point(foreground, rng)] for _ in range(50))
    row, column = random_point(np.zeros((5, 9), bool), rng)
    assert 0 <= row < 5
    assert 0 <= column < 9


def test_a_perlin_mask_that_finds_nothing_becomes_a_blob() -> None:
    speck = np.zeros((64, 64), bool)
    speck[10, 10:12] = True
    mask = mixed_mask(speck, np.random.default_rng(0), (1.0, 0.0, 0.0))
    assert mask.any()
    assert not (mask & ~speck).any()


def test_feather_fades_inwards_and_reaches_one() -> None:
    mask = np.zeros((40, 40), bool)
    mask[10:30, 10:30] = True
    weight = feather(mask, 5.0)
    assert not weight[~mask].any()
    assert (weight[mask] > 0).all()
    assert weight[20, 20] == 1.0
    assert 0.1 < weight[20, 10] < 0.4
    assert np.array_equal(feather(mask, 0.0), mask.astype(np.float32))


@pytest.mark.parametrize("pixels", [0.0, 5.0])
def test_feather_of_a_thin_or_empty_mask(pixels: float) -> None:
    thin = np.zeros((20, 20), bool)
    thin[5] = True
    assert feather(thin, pixels).max() == 1.0
    assert not feather(np.zeros((20, 20), bool), pixels).any()
