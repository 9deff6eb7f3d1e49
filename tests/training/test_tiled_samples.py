"""Samples that are tiles: of the grid, with the foreground and the exposure of their whole images."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch

from realnet_edge.config import ModelConfig, SynthesisConfig
from realnet_edge.data import CategoryData
from realnet_edge.model import RealNet
from realnet_edge.model.inputs import InputNormalisation
from realnet_edge.synthesis import ForegroundRule, foreground_mask
from realnet_edge.tiles import TileGrid
from realnet_edge.training.samples import AnomalyDataset, Batch, batches, collate
from realnet_edge.training.statistics import refresh_statistics
from realnet_edge.training.validation import validate

GRID = TileGrid(2, 3, 64, 16)
WHOLE = ForegroundRule.parse("whole")
DARK = ForegroundRule.parse("otsu:dark:0:0")
SYNTHESIS = SynthesisConfig(
    source="patches:0.5,bends:0.2,cutpaste:0.2,scratches:0.2", rotate=180, flip=True, light=0.2, noise=2.0
)


def tiled(category: CategoryData, synthesis: SynthesisConfig = SYNTHESIS, jitter: int = 4) -> AnomalyDataset:
    return AnomalyDataset(category.train[:4], GRID, synthesis, WHOLE, seed=5, jitter=jitter)


def equal(a: Batch, b: Batch) -> bool:
    names = ("normal", "anomalous", "carries", "mask", "levels")
    return all(torch.equal(getattr(a, name), getattr(b, name)) for name in names)


def test_a_tile_depends_on_seed_and_number_alone(category: CategoryData) -> None:
    one, other = tiled(category), tiled(category)
    other[3], other[0]
    assert equal(collate([one[k] for k in (11, 4)]), collate([other[k] for k in (11, 4)]))
    assert one.images.shape == (4, *GRID.size, 3)
    assert one[0].normal.shape == (64, 64, 3)


def test_workers_change_neither_order_nor_content(category: CategoryData) -> None:
    dataset = tiled(category)
    alone = list(batches(dataset, 3, 15, 4, workers=0))
    helped = list(batches(dataset, 3, 15, 4, workers=1))
    assert len(alone) == len(helped) == 3
    assert all(equal(a, b) for a, b in zip(alone, helped, strict=True))


def test_every_epoch_shows_every_tile_of_every_image_once(category: CategoryData) -> None:
    dataset = tiled(category, SynthesisConfig(), jitter=0)
    assert len(dataset) == 24
    expected = {
        np.ascontiguousarray(image[row : row + 64, column : column + 64]).tobytes()
        for image in dataset.images
        for row, column in GRID.corners
    }
    assert len(expected) == 24
    for epoch in range(2):
        assert {dataset[24 * epoch + k].normal.tobytes() for k in range(24)} == expected


def test_levels_are_those_of_the_whole_images(category: CategoryData) -> None:
    dataset = tiled(category, SynthesisConfig(), jitter=0)
    means = dataset.images.mean(axis=(1, 2, 3))
    for number in range(24):
        item = dataset[number]
        assert item.levels is not None
        normal, shown = item.levels
        assert np.abs(means - normal).min() < 1e-9
        change = item.shown.astype(float).sum() - item.normal.astype(float).sum()
        assert shown - normal == pytest.approx(change / dataset.images[0].size, abs=1e-9)
        assert item.carries or shown == normal


def test_a_batch_is_normalised_by_the_levels_of_its_images(category: CategoryData) -> None:
    items = [tiled(category)[number] for number in range(6)]
    batch = collate(items)
    assert batch.levels is not None
    assert batch.image_levels is not None
    assert len(batch.levels) == 6 + len(batch.anomalous)
    expected = [item.levels[int(item.carries)] for item in items if item.levels]
    torch.testing.assert_close(batch.image_levels, torch.tensor(expected))
    inputs = InputNormalisation(match_exposure=True)
    both = torch.cat([batch.normal, batch.anomalous])
    normal, anomalous = batch.level_parts
    parts = [inputs(batch.normal, normal), inputs(batch.anomalous, anomalous)]
    assert torch.equal(inputs(both, batch.levels), torch.cat(parts))
    assert not torch.allclose(inputs(batch.normal), parts[0], atol=1e-3)


def test_whole_images_carry_no_levels(category: CategoryData) -> None:
    batch = collate([AnomalyDataset(category.train[:2], 64, SYNTHESIS, WHOLE, seed=1)[k] for k in range(2)])
    assert batch.levels is None
    assert batch.image_levels is None
    assert batch.level_parts == (None, None)


def corner_object() -> npt.NDArray[np.uint8]:
    """A dark square on a light, noisy ground, in the lower right corner alone."""
    rng = np.random.default_rng(0)
    image = rng.integers(190, 211, (*GRID.size, 3), np.uint8)
    image[80:105, 125:150] = rng.integers(30, 61, (25, 25, 3), np.uint8)
    return image


def test_anomalies_lie_on_the_foreground_of_the_whole_image(category: CategoryData) -> None:
    """Thresholded by itself, every other tile would find an object in its noise."""
    image = corner_object()
    foreground = foreground_mask(image, DARK)
    assert 0 < foreground.mean() < 0.05
    assert foreground_mask(np.ascontiguousarray(image[:64, :64]), DARK).mean() > 0.3
    plain = SynthesisConfig(source="patches", anomalous_share=0.5)
    dataset = AnomalyDataset(category.train[:1], GRID, plain, DARK, seed=3)
    dataset.images = image[None]
    seen = set()
    for number in range(12):
        item = dataset[number]
        if not item.carries:
            seen.add(item.normal.tobytes())
            continue
        row, column = GRID.corners[-1]
        assert np.array_equal(item.normal, image[row:, column:])
        assert not (item.mask & ~foreground[row:, column:]).any()
    # Normal tiles are shown wherever they lie.
    assert len(seen) > 3


def test_an_image_that_is_not_square_is_turned_by_half_turns(category: CategoryData) -> None:
    dataset = tiled(category, SynthesisConfig(rotate=180), jitter=0)
    whole = {np.rot90(image, k).tobytes() for image in dataset.images for k in (0, 2)}
    found = [dataset._augment(dataset.images[0], np.random.default_rng(k)) for k in range(40)]
    assert {image.shape for image in found} == {dataset.images[0].shape}
    assert 10 < sum(image.tobytes() in whole for image in found) < 30


def test_statistics_and_validation_run_on_tiles(category: CategoryData) -> None:
    config = ModelConfig.for_backbone(
        "tf_efficientnet_lite0",
        image_size=64,
        taps=(1, 2),
        planes=(8, 16),
        widths=(8, 8),
        rrs_max=8,
        rrs_mean=8,
        match_exposure=True,
        tiles=(2, 3),
        tile_overlap=16,
    )
    torch.manual_seed(0)
    model = RealNet(config)
    dataset = tiled(category)
    sizes: list[torch.Size] = []
    model.backbone.register_forward_pre_hook(lambda _, inputs: sizes.append(inputs[0].shape))
    refresh_statistics(model, dataset, 2, 4)
    assert sizes == [torch.Size((4, 3, 64, 64))] * 2
    plain = AnomalyDataset(category.train[:2], GRID, SynthesisConfig(), WHOLE, seed=1)
    found = validate(model, plain, 8)
    # Two rounds of two images of six tiles.
    assert sum(size[0] for size in sizes[2:]) == 24
    assert 0 <= found.image_auroc <= 100
