"""The process and its losses against the official implementation's numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from fill import _generator, fill_image
from torch import Tensor

from realnet_edge.diffusion.losses import loss_terms
from realnet_edge.diffusion.process import DiffusionProcess
from realnet_edge.diffusion.schedule import Schedule
from realnet_edge.errors import ConfigError

SEED, SHAPE = 31, (4, 3, 16, 16)
Arrays = dict[str, npt.NDArray[np.float64]]


@pytest.fixture(scope="module")
def case(golden: Path) -> Arrays:
    with np.load(golden / "sdas.npz") as stored:
        return dict(stored)


@pytest.fixture(scope="module")
def noise() -> Tensor:
    return torch.from_numpy(_generator("noise", SEED).standard_normal(SHAPE).astype(np.float32))


def toy_model(x: Tensor, timesteps: Tensor) -> Tensor:
    """The case's model: noise tanh(x)(1 + t / 1000), v = sin(3x)."""
    return torch.cat([torch.tanh(x) * (1 + timesteps[:, None, None, None] / 1000), torch.sin(3 * x)], dim=1)


def test_schedule_and_spacing_match(case: Arrays) -> None:
    whole = Schedule.linear()
    np.testing.assert_allclose(whole.betas, case["train.betas"], rtol=1e-12)
    np.testing.assert_allclose(whole.alphas_cumprod, case["train.alphas_cumprod"], rtol=1e-12)
    spaced = whole.spaced(20)
    np.testing.assert_array_equal(spaced.timesteps, case["spaced20.timesteps"])
    np.testing.assert_allclose(spaced.betas, case["spaced20.betas"], rtol=1e-9)
    np.testing.assert_allclose(spaced.posterior_variance, case["spaced20.posterior_variance"], rtol=1e-9)
    np.testing.assert_allclose(
        spaced.posterior_log_variance, case["spaced20.posterior_log_variance_clipped"], rtol=1e-9
    )


@pytest.mark.parametrize("strength", [0.0, 0.1, 0.2])
def test_reverse_step_matches_for_each_strength(case: Arrays, noise: Tensor, strength: float) -> None:
    process = DiffusionProcess(Schedule.linear().spaced(20))
    current = torch.from_numpy(fill_image("x_t", SHAPE, SEED))
    index = torch.from_numpy(case["t_step"])
    output = toy_model(current, process.timesteps(index))
    step = process.reverse(output, current, index)
    for name, found in (
        ("mean", step.mean),
        ("log_variance", step.log_variance),
        ("pred_xstart", step.start),
    ):
        np.testing.assert_allclose(found, case[f"spaced20.step.{name}"], atol=2e-6)
    drawn = process.iddpm_step(output, current, index, noise, torch.full((4,), strength))
    np.testing.assert_allclose(drawn, case[f"spaced20.step.sample.s{strength}"], atol=2e-6)


def test_both_training_terms_match(case: Arrays, noise: Tensor) -> None:
    process = DiffusionProcess(Schedule.linear())
    start = torch.from_numpy(np.clip(fill_image("x_0", SHAPE, SEED) / 3, -1, 1))
    index = torch.from_numpy(case["t_train"])
    current = process.diffuse(start, index, noise)
    terms = loss_terms(process, toy_model(current, process.timesteps(index)), start, current, index, noise)
    np.testing.assert_allclose(terms.simple, case["train.mse"], rtol=2e-6)
    np.testing.assert_allclose(terms.bound, case["train.vb_bits_per_dim"], rtol=1e-4, atol=1e-7)
    # 0.001 of the sum over 1000 steps is the drawn step's term itself.
    np.testing.assert_allclose(terms.hybrid(0.001), terms.simple + terms.bound, rtol=1e-6)


def test_the_bound_does_not_reach_the_mean(noise: Tensor) -> None:
    process = DiffusionProcess(Schedule.linear())
    start = torch.from_numpy(np.clip(fill_image("x_0", SHAPE, SEED) / 3, -1, 1))
    index = torch.tensor([0, 10, 500, 999])
    current = process.diffuse(start, index, noise)
    output = toy_model(current, index).requires_grad_()
    loss_terms(process, output, start, current, index, noise).bound.sum().backward()
    assert output.grad is not None
    assert output.grad[:, :3].abs().max() == 0
    assert output.grad[:, 3:].abs().max() > 0


@pytest.mark.parametrize("variance", ["beta", "posterior", "learned"])
def test_ddim_adds_each_of_its_variances(noise: Tensor, variance: str) -> None:
    # With a small x_t at a late step x_0 is clipped: algorithm S1's mean is then known from x_0 alone.
    schedule = Schedule.linear().spaced(20)
    process = DiffusionProcess(schedule)
    current = torch.full(SHAPE, 0.5)
    index = torch.tensor([19, 10, 5, 0])
    output = torch.zeros(4, 6, 16, 16)
    strength = torch.full((4,), 0.04)
    still, moved = (
        process.ddim_step(output, current, index, noise, s, variance) for s in (0 * strength, strength)
    )
    a = torch.from_numpy(schedule.alphas_cumprod[index])[:, None, None, None]
    before = torch.from_numpy(schedule.alphas_cumprod_before[index])[:, None, None, None]
    start = (current / a.sqrt()).clamp(-1, 1)
    predicted = (current - a.sqrt() * start) / (1 - a).sqrt()
    np.testing.assert_allclose(still, before.sqrt() * start + (1 - before).sqrt() * predicted, atol=1e-5)
    beta, posterior = schedule.betas[index], schedule.posterior_variance[index]
    # v is 0: the geometric mean of both ends.
    sigma = {"beta": beta, "posterior": posterior, "learned": np.sqrt(beta * posterior)}[variance]
    spread = ((moved - still) / noise).mean(dim=(1, 2, 3)).numpy()
    np.testing.assert_allclose(spread[:3], np.sqrt(0.04 * sigma)[:3], rtol=1e-2)
    assert spread[3] == 0


def test_what_is_not_valid_is_named() -> None:
    with pytest.raises(ConfigError, match="valid: 2 to 1000"):
        Schedule.linear().spaced(1001)
    process = DiffusionProcess(Schedule.linear())
    images = torch.zeros(1, 3, 4, 4)
    with pytest.raises(ConfigError, match="beta, posterior, learned"):
        process.ddim_step(torch.zeros(1, 6, 4, 4), images, torch.tensor([5]), images, torch.zeros(1), "sigma")
