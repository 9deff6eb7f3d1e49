"""All measures together, on stand-ins: copies, noise, and sets that resemble the reference."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from realnet_edge.errors import ConfigError
from realnet_edge.quality.figure import BAND, CELL, GAP, nearest_pairs
from realnet_edge.quality.measure import Networks, load_networks, measure_quality

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def networks() -> Networks:
    return load_networks("tf_efficientnet_lite0", CPU)


def squares(count: int, seed: int, level: int = 40) -> np.ndarray:
    """Images of 64 x 64 pixels with a dark square that lies differently in each."""
    rng = np.random.default_rng(seed)
    images = np.full((count, 64, 64, 3), 200, np.uint8)
    for image in images:
        top, left = rng.integers(0, 32, 2)
        image[top : top + 30, left : left + 30] = level
    return images + rng.integers(0, 4, images.shape).astype(np.uint8)


def test_sets_are_ordered_as_they_should_be(networks: Networks) -> None:
    training, reference = squares(24, 0), squares(16, 1)
    noise = np.random.default_rng(2).integers(0, 256, (16, 64, 64, 3)).astype(np.uint8)
    alike = measure_quality(squares(16, 3), reference, training, networks)
    strange = measure_quality(noise, reference, training, networks)
    copied = measure_quality(training[:16], reference, training, networks)
    assert alike.frechet < strange.frechet / 3
    assert alike.frechet_training == pytest.approx(strange.frechet_training)
    assert alike.precision is not None
    assert strange.precision == 0.0
    assert alike.precision > 0.5
    assert copied.copies.share == 1.0
    assert copied.copies.nearest.tolist() == list(range(16))
    assert strange.copies.share == 0.0
    assert not alike.official_frechet
    assert not alike.official_lpips
    document = json.loads(json.dumps(alike.to_dict(), allow_nan=False))
    assert document["nearest_training"]["share"] == alike.copies.share
    assert (document["samples"], document["reference"], document["training"]) == (16, 16, 24)


def test_few_images_have_no_precision(networks: Networks) -> None:
    quality = measure_quality(squares(3, 0), squares(3, 1), squares(4, 2), networks)
    assert quality.precision is None
    assert quality.recall is None


def test_the_figure_shows_the_nearest_pair_first(networks: Networks) -> None:
    training, samples = squares(8, 0), squares(5, 1, level=90)
    samples[3] = training[6]
    copies = measure_quality(samples, squares(4, 2), training, networks).copies
    sheet = nearest_pairs(samples, training, copies, pairs=2)
    assert sheet.shape == (2 * (BAND + CELL), 3 * CELL + 2 * GAP, 3)
    first = sheet[BAND : BAND + CELL]
    assert np.array_equal(first[:, :CELL], first[:, CELL + GAP : 2 * CELL + GAP])
    assert (first[:, 2 * (CELL + GAP) :] == 128).all()
    second = sheet[2 * BAND + CELL :]
    assert (second[:, 2 * (CELL + GAP) :] != 128).any()


def test_lpips_needs_both_files(tmp_path_factory: pytest.TempPathFactory) -> None:
    with pytest.raises(ConfigError, match="--lpips-network"):
        load_networks("tf_efficientnet_lite0", CPU, lpips=tmp_path_factory.mktemp("w") / "alex.pth")
