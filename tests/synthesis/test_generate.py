from __future__ import annotations

import numpy as np

from realnet_edge.synthesis import ForegroundRule, ScratchSource
from realnet_edge.synthesis.generate import anomalous_images

RULE = ForegroundRule.parse("otsu:dark:2:2")


def test_every_image_is_used_before_one_is_used_again(bar_images: list[np.ndarray]) -> None:
    made = anomalous_images(bar_images, RULE, ScratchSource(), 17, seed=3)
    assert made.shape == (17, 128, 96, 3)
    # Scratches change little of an image: its origin is the image that most pixels agree with.
    origins = [int(np.argmax([(one == image).mean() for image in bar_images])) for one in made]
    assert sorted(origins[:8]) == sorted(origins[8:16]) == list(range(8))
    assert all((one != bar_images[origin]).any() for one, origin in zip(made, origins, strict=True))


def test_an_image_depends_on_seed_and_number_alone(bar_images: list[np.ndarray]) -> None:
    many = anomalous_images(bar_images, RULE, ScratchSource(), 5, seed=1)
    assert np.array_equal(many[:2], anomalous_images(bar_images, RULE, ScratchSource(), 2, seed=1))
    assert not np.array_equal(many, anomalous_images(bar_images, RULE, ScratchSource(), 5, seed=2))
