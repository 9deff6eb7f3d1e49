from __future__ import annotations

from types import ModuleType

import numpy as np
import numpy.typing as npt
import pytest

from realnet_edge.errors import ConfigError, DataError
from realnet_edge.metrics import au_pro


def maps_for(masks: npt.NDArray[np.bool_], levels: int, seed: int) -> npt.NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    return rng.integers(0, levels, masks.shape).astype(np.float32) + masks * rng.uniform(0, levels / 2)


@pytest.mark.parametrize("levels", [4, 40, 100_000])
def test_equals_the_plain_loop_over_every_distinct_threshold(
    plain: ModuleType, masks: npt.NDArray[np.bool_], levels: int
) -> None:
    maps = np.rint(maps_for(masks, levels, levels)).astype(np.float32)
    thresholds = np.unique(maps)[::-1] - np.float32(0.5)
    assert au_pro(masks, maps) == pytest.approx(plain.plain_au_pro(masks, maps, thresholds), abs=1e-12)


def test_equals_the_plain_loop_on_real_masks(plain: ModuleType, mvtec_root: object) -> None:
    masks = plain.load_masks(mvtec_root, "screw", 5)
    maps = np.rint(plain.make_maps(masks) * 50).astype(np.float32)
    thresholds = np.unique(maps)[::-1] - np.float32(0.5)
    assert 0.2 < au_pro(masks, maps) < 0.99
    assert au_pro(masks, maps) == pytest.approx(plain.plain_au_pro(masks, maps, thresholds), abs=1e-12)


def test_perfect_and_inverted_maps(masks: npt.NDArray[np.bool_]) -> None:
    assert au_pro(masks, masks.astype(np.float32)) == pytest.approx(1.0)
    assert au_pro(masks, 1 - masks.astype(np.float32)) == 0.0


def test_constant_maps_give_the_diagonal(masks: npt.NDArray[np.bool_]) -> None:
    # The curve runs straight from (0, 0) to (1, 1): its mean up to the limit is half the limit.
    assert au_pro(masks, np.zeros(masks.shape, np.float32), 0.3) == pytest.approx(0.15)


def test_every_region_counts_the_same_whatever_its_size() -> None:
    masks = np.zeros((1, 40, 40), bool)
    masks[0, :20, :20] = True
    masks[0, 30, 30] = True
    maps = np.zeros(masks.shape, np.float32)
    maps[0, :20, :20] = 1  # the large region is found, the single pixel is last of all
    maps[0, 30, 30] = -1
    assert au_pro(masks, maps) == pytest.approx(0.5)


def test_the_limit_is_interpolated() -> None:
    masks = np.zeros((1, 10, 11), bool)
    masks[0, :, 10] = True
    maps = np.zeros(masks.shape, np.float32)  # one level: the curve is y = x
    for limit in (0.05, 0.123, 1.0):
        assert au_pro(masks, maps, limit) == pytest.approx(limit / 2)


@pytest.mark.parametrize("limit", [0.0, -0.1, 1.5, float("nan")])
def test_a_limit_outside_its_range_is_refused(masks: npt.NDArray[np.bool_], limit: float) -> None:
    with pytest.raises(ConfigError, match="outside"):
        au_pro(masks, masks.astype(np.float32), limit)


def test_maps_with_nan_are_refused(masks: npt.NDArray[np.bool_]) -> None:
    with pytest.raises(DataError, match="NaN"):
        au_pro(masks, np.full(masks.shape, np.nan, np.float32))
