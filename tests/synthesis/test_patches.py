from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from realnet_edge.errors import ConfigError, DataError
from realnet_edge.synthesis import ForegroundRule, PatchSource
from realnet_edge.synthesis.donors import MAX_DONORS, Donors
from realnet_edge.synthesis.jitter import distort, is_grey, transplant


def test_files_and_arrays_give_the_same_anomalies(tmp_path: Path, bar_images: list[np.ndarray]) -> None:
    paths = []
    for index, image in enumerate(bar_images):
        paths.append(tmp_path / f"{index}.png")
        Image.fromarray(image).save(paths[-1])
    foreground = np.ones((128, 96), bool)
    rule = ForegroundRule.parse("otsu:dark:2:2")
    made = [
        PatchSource(images, (128, 96), rule)(bar_images[0], foreground, np.random.default_rng(4))
        for images in (paths, bar_images, np.stack(bar_images))
    ]
    assert made[0].image.tobytes() == made[1].image.tobytes() == made[2].image.tobytes()


def test_donors_are_few_evenly_spaced_and_resized() -> None:
    many = [np.full((8, 8, 3), index % 256, np.uint8) for index in range(300)]
    donors = Donors(many, (4, 6), ForegroundRule())
    assert len(donors) == len(donors.areas) == MAX_DONORS
    assert donors.images[0].shape == (4, 6, 3)
    assert donors.images[-1][0, 0, 0] == 299 % 256


def test_no_images_and_bad_sizes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no normal images"):
        PatchSource([], (32, 32))
    with pytest.raises(DataError, match="missing"):
        PatchSource([tmp_path / "missing.png"], (32, 32))
    with pytest.raises(ConfigError, match="0"):
        PatchSource([np.zeros((8, 8, 3), np.uint8)], (0, 32))


def test_a_transplanted_point_lands_where_it_should() -> None:
    donor = np.zeros((60, 80, 3), np.uint8)
    donor[38:43, 18:23] = 255
    for seed in range(20):
        moved = transplant(donor, (40, 20), (11, 47), (50, 70), np.random.default_rng(seed))
        assert moved.shape == (50, 70, 3)
        assert moved[11, 47].min() > 250


def test_bending_moves_no_further_than_its_reach() -> None:
    ramp = np.repeat(np.arange(0, 200, 2, dtype=np.uint8)[None, :, None], 60, axis=0).repeat(3, axis=2)
    bent = distort(ramp, 8.0, np.random.default_rng(0))
    # Two grey levels a pixel; the cubic field may overshoot its nodes by a quarter, mirrored borders less.
    shift = np.abs(bent - ramp)[:, 20:80] / 2.0
    assert 1.0 < shift.max() < 8.0 * 1.5


def test_grey_is_recognised(bar_images: list[np.ndarray], texture_images: list[np.ndarray]) -> None:
    assert is_grey(bar_images[0])
    assert not is_grey(texture_images[0])
