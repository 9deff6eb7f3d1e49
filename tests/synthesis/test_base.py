from __future__ import annotations

import numpy as np
import pytest

from realnet_edge.errors import DataError
from realnet_edge.synthesis.base import blend, visible_difference, where_changed


@pytest.mark.parametrize("opacity", [0.0, 0.35, 1.0])
@pytest.mark.parametrize("soft", [False, True])
def test_blend_is_equation_3(opacity: float, soft: bool) -> None:
    rng = np.random.default_rng(0)
    normal, anomaly = rng.integers(0, 256, size=(2, 40, 50, 3), dtype=np.uint8)
    weight = np.zeros((40, 50))
    weight[5:20, 10:45] = rng.random((15, 35)) if soft else rng.random((15, 35)) > 0.5
    m = weight.astype(np.float32).astype(np.float64)[:, :, None]
    expected = (1 - m) * normal + (1 - opacity) * (m * normal) + opacity * (m * anomaly)
    mask = weight.astype(np.float32) if soft else weight > 0
    result = blend(normal, anomaly, mask, opacity)
    assert result.dtype == np.uint8
    assert np.abs(result - expected).max() <= 0.5 + 1e-3
    assert np.array_equal(result[weight == 0], normal[weight == 0])


def test_blend_with_an_empty_mask_gives_a_copy() -> None:
    normal = np.full((8, 8, 3), 9, np.uint8)
    result = blend(normal, normal + 100, np.zeros((8, 8), bool), 1.0)
    assert np.array_equal(result, normal)
    assert not np.shares_memory(result, normal)


def test_blend_clips_after_blending_not_before() -> None:
    normal = np.full((4, 4, 3), 200, np.uint8)
    result = blend(normal, np.full((4, 4, 3), 300.0, np.float32), np.ones((4, 4), bool), 0.5)
    assert (result == 250).all()


def test_blend_refuses_other_sizes_and_opacities() -> None:
    normal = np.zeros((8, 8, 3), np.uint8)
    with pytest.raises(DataError, match=r"\(8, 7\)"):
        blend(normal, normal, np.ones((8, 7), bool), 0.5)
    with pytest.raises(DataError, match=r"1\.5"):
        blend(normal, normal, np.ones((8, 8), bool), 1.5)


def test_visible_difference_is_the_mean_over_masked_pixels_and_channels() -> None:
    rng = np.random.default_rng(1)
    first, second = rng.integers(0, 256, size=(2, 30, 20, 3), dtype=np.uint8)
    mask = rng.random((30, 20)) > 0.7
    expected = np.abs(first[mask].astype(float) - second[mask]).mean()
    assert visible_difference(first, second, mask) == pytest.approx(expected)
    assert visible_difference(first, second, np.zeros((30, 20), bool)) == 0.0


def test_where_changed_keeps_the_surroundings_of_changes_inside_the_mask() -> None:
    normal = np.full((20, 20, 3), 100, np.uint8)
    changed = normal.copy()
    changed[10, 10, 2] = 105
    changed[3, 3] = 104
    changed[15, 5] = 200
    mask = np.zeros((20, 20), bool)
    mask[2:18, 2:11] = True
    mask[15, 5] = False
    expected = np.zeros((20, 20), bool)
    expected[8:13, 8:11] = True
    assert np.array_equal(where_changed(normal, changed, mask, levels=5), expected)
    assert not where_changed(normal, changed, np.zeros_like(mask), levels=5).any()
