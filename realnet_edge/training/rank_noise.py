"""Noise on the order that RRS ranks residual planes in, so that a trained network does not hang on it.

RRS decides hard: of two planes that rank alike one is handed on whole, the other not at all. On screw, nearly
all that FP16 did to image scores came of such exchanges: without one a score moved by 1%, with one by 13%.
The factors here exchange planes on purpose while the network trains.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

from realnet_edge.model.rrs import ResidualSelection

# Keeps these draws apart from others of the same seed.
_STREAM = 0x2A4E


def rank_factors(seed: int, step: int, planes: int, spread: float) -> Tensor:
    """The factors of one step: (planes,) float32, log-normal around 1, the same for the same seed and step.

    Args:
        seed: of the training.
        step: counts from 0.
        planes: residual planes of all blocks.
        spread: standard deviation of the factors' logarithm.
    """
    draws = np.random.default_rng([seed, _STREAM, step]).standard_normal(planes)
    return torch.from_numpy(np.exp(spread * draws).astype(np.float32))


@contextmanager
def noisy_ranks(rrs: ResidualSelection, seed: int, step: int, spread: float) -> Iterator[None]:
    """Rank planes with the factors of a step while it is computed; a spread of 0 leaves all as it is."""
    if spread > 0:
        device = rrs.norm.get_buffer("running_mean").device
        rrs.rank_factors = rank_factors(seed, step, rrs.norm.num_features, spread).to(device)
    try:
        yield
    finally:
        rrs.rank_factors = None
