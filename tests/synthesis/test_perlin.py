from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from realnet_edge.errors import ConfigError
from realnet_edge.synthesis.perlin import perlin_mask, perlin_mask_within, perlin_noise


def plain_perlin(
    shape: tuple[int, int], scales: tuple[int, int], rng: np.random.Generator
) -> npt.NDArray[np.float64]:
    """Perlin noise pixel by pixel from its definition."""
    angles = rng.uniform(0.0, 2.0 * np.pi, size=(scales[0] + 1, scales[1] + 1))
    noise: npt.NDArray[np.float64] = np.zeros(shape)
    for row in range(shape[0]):
        for column in range(shape[1]):
            y, x = row * scales[0] / shape[0], column * scales[1] / shape[1]
            for i in (int(y), int(y) + 1):
                for j in (int(x), int(x) + 1):
                    dy, dx = y - i, x - j
                    weight = 1.0
                    for distance in (abs(dy), abs(dx)):
                        weight *= 1 - (6 * distance**5 - 15 * distance**4 + 10 * distance**3)
                    noise[row, column] += weight * (np.cos(angles[i, j]) * dx + np.sin(angles[i, j]) * dy)
    noise *= np.sqrt(2.0)
    return noise


@pytest.mark.parametrize(("shape", "scales"), [((32, 32), (4, 2)), ((19, 31), (1, 8)), ((10, 7), (16, 32))])
def test_noise_equals_the_definition(shape: tuple[int, int], scales: tuple[int, int]) -> None:
    noise = perlin_noise(shape, scales, np.random.default_rng(3))
    assert noise.dtype == np.float32
    assert np.abs(noise - plain_perlin(shape, scales, np.random.default_rng(3))).max() < 1e-5


@pytest.mark.parametrize(("shape", "scales"), [((0, 4), (1, 1)), ((4, 4), (0, 1))])
def test_noise_refuses_sizes_below_one(shape: tuple[int, int], scales: tuple[int, int]) -> None:
    with pytest.raises(ConfigError, match="at least 1"):
        perlin_noise(shape, scales, np.random.default_rng(0))


@pytest.mark.parametrize("shape", [(256, 256), (100, 333), (64, 48)])
def test_masks_have_any_shape_and_vary(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    masks = [perlin_mask(shape, rng) for _ in range(40)]
    assert all(mask.shape == shape and mask.dtype == np.bool_ for mask in masks)
    assert len({mask.tobytes() for mask in masks if mask.any()}) > 30


def test_mask_sizes_are_as_documented() -> None:
    rng = np.random.default_rng(1)
    shares = np.array([perlin_mask((256, 256), rng).mean() for _ in range(400)])
    assert 0.03 < np.median(shares) < 0.06
    assert shares.max() < 0.6
    assert (shares == 0).mean() < 0.10


def test_the_same_generator_state_gives_the_same_mask() -> None:
    first, second, other = (perlin_mask((80, 90), np.random.default_rng(seed)) for seed in (5, 5, 6))
    assert np.array_equal(first, second)
    assert not np.array_equal(first, other)


def test_masks_stay_in_the_foreground_and_are_never_tiny() -> None:
    foreground = np.zeros((128, 128), bool)
    foreground[40:70, 50:100] = True
    rng = np.random.default_rng(2)
    found = [perlin_mask_within(foreground, rng) for _ in range(50)]
    masks = [mask for mask in found if mask is not None]
    assert len(masks) > 40
    assert all(mask.sum() >= 4 and not (mask & ~foreground).any() for mask in masks)


def test_a_foreground_too_small_for_any_mask_gives_none() -> None:
    foreground = np.zeros((64, 64), bool)
    foreground[30, 30:33] = True
    assert perlin_mask_within(foreground, np.random.default_rng(0)) is None
