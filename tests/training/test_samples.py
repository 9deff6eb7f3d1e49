"""Training samples: what a number stands for, and what workers must not change."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from realnet_edge.config import SynthesisConfig
from realnet_edge.data import CategoryData
from realnet_edge.synthesis import ForegroundRule
from realnet_edge.training.samples import AnomalyDataset, Batch, batches, collate

WHOLE = ForegroundRule.parse("whole")
SYNTHESIS = SynthesisConfig(source="patches:0.5,cutpaste:0.25,scratches:0.25", rotate=90, flip=True)


@pytest.fixture(scope="module")
def dataset(category: CategoryData) -> AnomalyDataset:
    return AnomalyDataset(category.train[:7], 64, SYNTHESIS, WHOLE, seed=5)


def equal(a: Batch, b: Batch) -> bool:
    return all(torch.equal(getattr(a, k), getattr(b, k)) for k in ("normal", "anomalous", "carries", "mask"))


def test_a_sample_depends_on_seed_and_number_alone(category: CategoryData, dataset: AnomalyDataset) -> None:
    again = AnomalyDataset(category.train[:7], 64, SYNTHESIS, WHOLE, seed=5)
    again[3], again[0]
    assert equal(collate([dataset[k] for k in (11, 4)]), collate([again[k] for k in (11, 4)]))
    other = AnomalyDataset(category.train[:7], 64, SYNTHESIS, WHOLE, seed=6)
    assert not equal(collate([dataset[k] for k in range(4)]), collate([other[k] for k in range(4)]))


def test_a_mixture_by_weight_is_the_same_for_the_same_seed(category: CategoryData, tmp_path: Path) -> None:
    for number in range(3):
        Image.fromarray(np.full((20, 20, 3), (250, 10 * number, 0), np.uint8)).save(
            tmp_path / f"{number}.png"
        )
    mixture = SynthesisConfig(source=f"nsa:1,cutpaste=scar:1,sia={tmp_path}:2", flip=True)
    first, second = (
        AnomalyDataset(category.train[:7], 64, mixture, WHOLE, seed=5, share=1.0) for _ in range(2)
    )
    numbers = range(60)
    assert equal(collate([first[k] for k in numbers]), collate([second[k] for k in reversed(numbers)][::-1]))
    # Only the folder's images are red, and half of the weight is theirs.
    red = [bool((first[k].shown[..., 0] > first[k].shown[..., 2].astype(int) + 60).any()) for k in numbers]
    assert 20 < sum(red) < 40


def test_every_epoch_shows_every_image_once(category: CategoryData) -> None:
    plain = AnomalyDataset(category.train[:7], 64, SynthesisConfig(), WHOLE, seed=5)
    orders = []
    for epoch in range(3):
        seen = [plain[number][0].tobytes() for number in range(7 * epoch, 7 * epoch + 7)]
        assert len(set(seen)) == 7
        orders.append(tuple(seen))
    assert len(set(orders)) == 3


@pytest.mark.parametrize("share", [0.5, 0.25, 1.0])
def test_anomalies_are_spread_evenly_and_stay_in_their_mask(category: CategoryData, share: float) -> None:
    source = AnomalyDataset(category.train[:4], 64, SYNTHESIS, WHOLE, seed=1, share=share)
    carries = []
    for number in range(8):
        normal, changed, mask, has, *_ = source[number]
        carries.append(has)
        assert mask.any() == has
        assert np.array_equal(normal, changed) != has
        outside = ~mask & (np.abs(normal.astype(int) - changed).max(2) > 40)
        # Sources mark what changed visibly; a thin rim below that threshold may lie outside.
        assert outside.mean() < 0.01
    assert sum(carries) == 8 * share
    assert all(sum(carries[k : k + 4]) == 4 * share for k in (0, 4))


def test_collate_keeps_only_images_that_changed(dataset: AnomalyDataset) -> None:
    items = [dataset[number] for number in range(4)]
    batch = collate(items)
    assert batch.normal.shape == (4, 64, 64, 3)
    assert batch.anomalous.shape[0] == int(batch.carries.sum()) == 2
    changed = [item.shown for item in items if item.carries]
    assert np.array_equal(batch.anomalous.numpy(), np.stack(changed))
    assert batch.mask.dtype == torch.int64


def test_workers_change_neither_order_nor_content(dataset: AnomalyDataset) -> None:
    alone = list(batches(dataset, 3, 15, 4, workers=0))
    helped = list(batches(dataset, 3, 15, 4, workers=2))
    assert len(alone) == len(helped) == 3
    assert all(equal(a, b) for a, b in zip(alone, helped, strict=True))


def test_light_changes_brightness_and_contrast_of_the_whole_image(category: CategoryData) -> None:
    lit = AnomalyDataset(category.train[:1], 64, SynthesisConfig(light=0.25), WHOLE, seed=2)
    lit.images = (80 + lit.images // 4).astype(np.uint8)  # far from black and white: nothing is clipped
    before = lit.images[0].astype(float)
    factors = []
    for number in range(60):
        normal = lit[number][0].astype(float)
        brightness = normal.mean() / before.mean()
        slope, offset = np.polyfit(before.ravel(), normal.ravel(), 1)
        np.testing.assert_allclose(normal, slope * before + offset, atol=1)
        factors.append((brightness, slope / brightness))
    for values in zip(*factors, strict=True):
        assert 0.79 < min(values) < 0.87
        assert 1.15 < max(values) < 1.26


def test_noise_lies_on_normal_and_anomalous_image_alike(category: CategoryData) -> None:
    def sample(noise: float) -> AnomalyDataset:
        made = AnomalyDataset(category.train[:1], 64, SynthesisConfig(noise=noise), WHOLE, seed=2)
        made.images = (80 + made.images // 4).astype(np.uint8)  # far from black and white: nothing is clipped
        return made

    noisy, clean = sample(4.0), sample(0.0)
    levels = []
    for number in range(60):
        normal, changed, mask, carries, *_ = noisy[number]
        difference = normal.astype(float) - clean.images[0]
        levels.append(difference.std())
        assert abs(difference.mean()) < 0.2
        assert carries or np.array_equal(normal, changed)
        if carries:
            _, without, same_mask, *_ = clean[number]
            assert np.array_equal(mask, same_mask)
            unclipped = (without > 20) & (without < 235)
            np.testing.assert_allclose((changed.astype(float) - without)[unclipped], difference[unclipped])
    assert min(levels) < 0.6
    assert 3.4 < max(levels) < 4.1


@pytest.mark.parametrize(("most", "quarters"), [(180.0, {0, 1, 2, 3}), (100.0, {0, 1, 3}), (45.0, {0})])
def test_every_second_image_is_turned_by_quarters_alone(
    category: CategoryData, most: float, quarters: set[int]
) -> None:
    turned = AnomalyDataset(category.train[:1], 64, SynthesisConfig(rotate=most), WHOLE, seed=2)
    exact = [
        [k for k in range(4) if np.array_equal(turned[number][0], np.rot90(turned.images[0], k))]
        for number in range(60)
    ]
    assert {k for found in exact for k in found} == quarters
    assert 12 < sum(bool(found) for found in exact) < 48
