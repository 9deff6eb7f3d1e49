from __future__ import annotations

from pathlib import Path
from types import ModuleType

import numpy as np
import numpy.typing as npt
import pytest

from realnet_edge.errors import DataError
from realnet_edge.metrics import (
    au_pro,
    image_auroc,
    pixel_auroc,
    pixel_scores,
    pro_reference,
)


def test_all_official_metrics_equal_the_golden_case(golden: Path) -> None:
    with np.load(golden / "metrics.npz") as case:
        maps, masks = case["anomaly_score"], case["mask"]
        labels = masks.reshape(len(masks), -1).any(axis=1).astype(int)
        assert pro_reference(masks, maps) == pytest.approx(float(case["pro_reference"]), abs=1e-12)
        assert pixel_auroc(masks, maps) == pytest.approx(float(case["pixel_auroc"]), abs=1e-12)
        expected = float(case["image_auroc_avgpool16"])
        windows = np.lib.stride_tricks.sliding_window_view(maps, (16, 16), axis=(1, 2))
        scores = windows.mean(axis=(3, 4), dtype=np.float64).max(axis=(1, 2))
        assert image_auroc(labels, scores) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("seed", range(4))
def test_equals_the_plain_loop_on_rings_and_touching_regions(
    plain: ModuleType, masks: npt.NDArray[np.bool_], seed: int
) -> None:
    rng = np.random.default_rng(seed)
    maps = (rng.random(masks.shape) + 0.5 * masks).astype(np.float32)
    assert pro_reference(masks, maps) == pytest.approx(plain.plain_pro(masks, maps), abs=1e-12)


def test_holes_are_filled_but_not_counted_in_the_area() -> None:
    masks = np.zeros((1, 20, 20), bool)
    masks[0, 5:10, 5:10] = True
    masks[0, 6:9, 6:9] = False
    maps = np.zeros(masks.shape, np.float32)
    maps[0, 5:10, 5:10] = 1
    maps += np.linspace(0, 0.5, 20, dtype=np.float32)
    # All 25 pixels of the filled square over an area of 16, from the first false alarms on.
    assert pro_reference(masks, maps) > 1.4


def test_flat_maps_are_refused_and_left_out_of_the_joint_scores(masks: npt.NDArray[np.bool_]) -> None:
    flat = np.full(masks.shape, 0.25, np.float32)
    with pytest.raises(DataError, match="flat"):
        pro_reference(masks, flat)
    scores = pixel_scores(masks, flat)
    assert scores.pro_reference is None
    assert scores.pixel_auroc == 0.5


def test_the_joint_scores_equal_the_single_ones(masks: npt.NDArray[np.bool_]) -> None:
    rng = np.random.default_rng(9)
    maps = (rng.random(masks.shape) + 0.5 * masks).astype(np.float16)
    scores = pixel_scores(masks, maps)
    assert scores.pixel_auroc == pixel_auroc(masks, maps)
    assert scores.au_pro == au_pro(masks, maps)
    assert scores.pro_reference == pro_reference(masks, maps)
