"""Figures of answers on labelled images, and their intervals."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from realnet_edge.bench.accuracy import Accuracy, Evidence, measure_accuracy
from realnet_edge.bench.predictions import Predictions
from realnet_edge.metrics import (
    PixelCounts,
    au_pro,
    image_auroc,
    image_auroc_interval,
    image_average_precision,
    image_f1_max,
    image_precision_intervals,
    pixel_auroc,
    pixel_average_precision,
    pixel_f1_max,
    pixel_intervals,
    pro_reference,
)
from realnet_edge.model import image_score
from realnet_edge.report.rows import COLUMNS, ResultRow

LABELS = np.repeat([0, 1], [20, 20])


def predictions(seed: int = 0, count: int = 40) -> Predictions:
    maps = np.random.default_rng(seed).random((count, 24, 20)).astype(np.float32)
    return Predictions(maps, maps.mean(axis=(1, 2)), None)


@pytest.fixture(scope="module")
def masks() -> np.ndarray:
    masks = np.zeros((40, 24, 20), bool)
    masks[20:, 2:6, 2:6] = True
    return masks


def test_every_figure_is_in_percent_and_equals_the_metric(masks: np.ndarray) -> None:
    answers = predictions()
    scores = torch.from_numpy(answers.maps)
    found = measure_accuracy(LABELS, masks, answers)
    assert found == Accuracy(
        image_auroc=100 * image_auroc(LABELS, answers.scores),
        pixel_auroc=100 * pixel_auroc(masks, answers.maps),
        au_pro=100 * au_pro(masks, answers.maps),
        pro_reference=100 * pro_reference(masks, answers.maps),
        image_auroc_max=100 * image_auroc(LABELS, image_score(scores, "max")),
        image_auroc_avgpool16=100 * image_auroc(LABELS, image_score(scores, "avgpool16")),
        image_ap=100 * image_average_precision(LABELS, answers.scores),
        image_f1_max=100 * image_f1_max(LABELS, answers.scores)[0],
        pixel_ap=100 * pixel_average_precision(masks, answers.maps),
        pixel_f1_max=100 * pixel_f1_max(masks, answers.maps)[0],
    )
    assert set(found.to_dict()) <= set(COLUMNS)


def test_what_cannot_be_computed_is_none(masks: np.ndarray) -> None:
    answers = predictions()
    without = measure_accuracy(LABELS, None, answers)
    assert without.image_ap is not None
    assert [without.pixel_auroc, without.au_pro, without.pixel_ap, without.pixel_f1_max] == [None] * 4
    assert measure_accuracy(LABELS * 0, None, answers) == Accuracy(None)
    tiny = Predictions(answers.maps[:, :15], answers.scores, None)
    assert measure_accuracy(LABELS, None, tiny).image_auroc_avgpool16 is None
    assert Evidence.of(LABELS * 0, masks, answers) is None
    assert Evidence.of(LABELS, masks, answers, ["a"] * 20 + ["b"] * 20) is None


def percent(*ends: float) -> list[float]:
    return [100 * end for end in ends]


def test_intervals_are_in_percent_by_the_names_of_a_row(masks: np.ndarray) -> None:
    answers = predictions()
    evidence = Evidence.of(LABELS, masks, answers)
    assert evidence is not None
    found = evidence.intervals()
    precision, f1 = image_precision_intervals(LABELS, answers.scores)
    pixel = pixel_intervals(PixelCounts(masks, answers.maps, LABELS))
    assert pixel.pro_reference is not None
    for name, ends in {
        "image_auroc": image_auroc_interval(LABELS, answers.scores),
        "image_ap": precision,
        "image_f1_max": f1,
        "pixel_auroc": pixel.pixel_auroc,
        "au_pro": pixel.au_pro,
        "pro_reference": pixel.pro_reference,
        "pixel_ap": pixel.average_precision,
        "pixel_f1_max": pixel.f1_max,
    }.items():
        assert [found.pop(f"{name}_low"), found.pop(f"{name}_high")] == percent(*ends)
    assert not found
    without = Evidence.of(LABELS, None, answers)
    assert without is not None
    assert {name.rsplit("_", 1)[0] for name in without.intervals()} == {
        "image_auroc",
        "image_ap",
        "image_f1_max",
    }


def test_intervals_of_a_perfect_engine_fit_a_row(masks: np.ndarray) -> None:
    row = ResultRow("part", "openvino", "int8", "int8", "a processor", "", 1, 40, 1.0, 1.0, 1.0, 1000.0)
    for seed in range(8):
        rng = np.random.default_rng(seed)
        maps = (0.1 * rng.random(masks.shape) + 0.8 * masks).astype(np.float32)
        evidence = Evidence.of(LABELS, masks, Predictions(maps, maps.max(axis=(1, 2)), None))
        assert evidence is not None
        found = evidence.intervals()
        assert (found["au_pro_high"], found["image_auroc_low"]) == (100, 100)
        assert replace(row, **found).au_pro_high == 100


def test_intervals_of_drift_are_paired(masks: np.ndarray) -> None:
    ours, theirs = predictions(1), predictions(2)
    evidence, reference = Evidence.of(LABELS, masks, ours), Evidence.of(LABELS, masks, theirs)
    assert evidence is not None
    assert reference is not None
    found = evidence.drift_intervals(reference)
    image = image_auroc_interval(LABELS, ours.scores, theirs.scores)
    pixel = pixel_intervals(PixelCounts(masks, ours.maps, LABELS), PixelCounts(masks, theirs.maps, LABELS))
    assert list(found.values()) == percent(*image, *pixel.pixel_auroc, *pixel.au_pro)
    assert set(found) <= set(COLUMNS)
    assert all(end == 0 for end in evidence.drift_intervals(evidence).values())


def test_figures_of_several_categories_are_the_mean_of_theirs() -> None:
    """Scores of the second category all lie above the first's: over both together they would tell little."""
    labels = np.array([0, 1, 0, 1, 0, 1])
    scores = np.array([0.1, 0.2, 0.7, 0.6, 0.8, 0.9], np.float32)
    answers = Predictions(np.repeat(scores, 16).reshape(6, 4, 4), scores, None)
    categories = ["a", "a", "b", "b", "b", "b"]
    masks = np.zeros((6, 4, 4), bool)
    masks[labels == 1, 0] = True
    whole = measure_accuracy(labels, masks, answers, categories)
    parts = [
        measure_accuracy(
            labels[part], masks[part], Predictions(answers.maps[part], answers.scores[part], None)
        )
        for part in (slice(0, 2), slice(2, 6))
    ]
    assert whole.image_auroc == pytest.approx((100 + 50) / 2)
    assert whole.pixel_auroc == pytest.approx(sum(part.pixel_auroc or 0 for part in parts) / 2)
    assert whole.au_pro == pytest.approx(sum(part.au_pro or 0 for part in parts) / 2)
    assert measure_accuracy(labels, masks, answers).image_auroc != pytest.approx(whole.image_auroc)
    assert Evidence.of(labels, masks, answers, categories) is None
    alone = labels.copy()
    alone[:2] = 0
    assert measure_accuracy(alone, None, answers, categories).image_auroc is None
