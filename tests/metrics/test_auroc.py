from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from realnet_edge.errors import DataError
from realnet_edge.metrics import image_auroc, pixel_auroc


@pytest.mark.parametrize("levels", [3, 50, 10**6])
def test_image_auroc_equals_scikit_learn_with_and_without_ties(levels: int) -> None:
    rng = np.random.default_rng(levels)
    labels = rng.integers(0, 2, 300)
    scores = (rng.integers(0, levels, 300) + labels * levels // 4).astype(np.float32)
    assert image_auroc(labels, scores) == pytest.approx(roc_auc_score(labels, scores), abs=1e-14)


def test_a_detector_that_is_wrong_stays_below_one_half() -> None:
    assert image_auroc([0, 0, 1, 1], [0.9, 0.8, 0.2, 0.1]) == 0.0
    assert image_auroc([0, 0, 1, 1], [0.9, 0.1, 0.2, 0.1]) == 0.375


def test_equal_scores_are_one_half() -> None:
    assert image_auroc([0, 1, 0, 1], [0.5] * 4) == 0.5


@pytest.mark.parametrize(("labels", "missing"), [([0, 0, 0], "defect"), ([1, 1, 1], "good")])
def test_one_class_only_names_the_missing_class(labels: list[int], missing: str) -> None:
    with pytest.raises(DataError, match=f"none of them {missing}"):
        image_auroc(labels, [0.1, 0.2, 0.3])


def test_nan_scores_are_refused_with_their_number() -> None:
    with pytest.raises(DataError, match="2 of 4 values are NaN"):
        image_auroc([0, 1, 0, 1], [0.1, np.nan, np.inf, 0.2])


@pytest.mark.parametrize(
    ("labels", "scores"), [([0, 1], [0.1, 0.2, 0.3]), ([0, 2], [0.1, 0.2]), ([[0, 1]], [[0.1, 0.2]])]
)
def test_labels_and_scores_that_do_not_fit_are_refused(labels: list[int], scores: list[float]) -> None:
    with pytest.raises(DataError, match="labels"):
        image_auroc(labels, scores)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_pixel_auroc_equals_scikit_learn(dtype: type[np.floating]) -> None:
    rng = np.random.default_rng(5)
    masks = rng.random((6, 40, 30)) > 0.9
    maps = (rng.random(masks.shape) + 0.3 * masks).astype(dtype)
    expected = roc_auc_score(masks.ravel(), maps.ravel().astype(np.float64))
    assert pixel_auroc(masks, maps) == pytest.approx(expected, abs=1e-13)


def test_pixel_auroc_takes_masks_of_any_positive_value() -> None:
    masks = np.zeros((1, 4, 4), np.uint8)
    masks[0, 0, 0] = 255
    maps = np.zeros((1, 4, 4), np.float32)
    maps[0, 0, 0] = 1
    assert pixel_auroc(masks, maps) == 1.0


@pytest.mark.parametrize("fill", [False, True])
def test_masks_of_one_class_are_refused(fill: bool) -> None:
    with pytest.raises(DataError, match="normal and anomalous pixels"):
        pixel_auroc(np.full((2, 8, 8), fill), np.zeros((2, 8, 8), np.float32))


def test_nan_maps_are_refused() -> None:
    maps = np.zeros((1, 8, 8), np.float32)
    maps[0, 3, 3] = np.nan
    with pytest.raises(DataError, match="1 of 64 values are NaN"):
        pixel_auroc(np.eye(8, dtype=bool)[None], maps)


def test_shapes_that_differ_are_refused() -> None:
    with pytest.raises(DataError, match=r"masks \(1, 8, 8\) and maps \(1, 8, 9\)"):
        pixel_auroc(np.eye(8, dtype=bool)[None], np.zeros((1, 8, 9), np.float32))
