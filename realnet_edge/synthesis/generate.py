"""Many synthetic anomalies of one source, to look at or to measure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from realnet_edge.synthesis.base import AnomalySource
from realnet_edge.synthesis.foreground import ForegroundRule, foreground_mask
from realnet_edge.synthesis.sources import synthesise


def anomalous_images(
    images: Sequence[npt.NDArray[np.uint8]] | npt.NDArray[np.uint8],
    rule: ForegroundRule,
    source: AnomalySource,
    count: int,
    seed: int,
) -> npt.NDArray[np.uint8]:
    """Normal images with an anomaly each; every image is used before one is used again.

    Args:
        images: normal images, (H, W, 3) uint8 RGB, all of one size.
        rule: their foreground.
        source: what makes the anomalies.
        count: how many.
        seed: with its number all that an image depends on.

    Returns:
        (count, H, W, 3) uint8.
    """
    order = np.random.default_rng([seed, 0x5EED]).permutation(len(images))
    made = []
    for number in range(count):
        image = images[int(order[number % len(images)])]
        rng = np.random.default_rng([seed, number])
        made.append(synthesise(image, foreground_mask(image, rule), source, rng).image)
    return np.stack(made)
