"""The noise schedule, whole for training and spaced for sampling, as tables of float64.

The linear schedule is Ho et al.'s (2020), the spacing and the clipped posterior variance are Nichol and
Dhariwal's (IDDPM, 2021). `diffusers.DDPMScheduler` keeps its tables in float32 and takes every beta as
1 - a / b with a near b, so that the first is 6e-4 off and with it the bounds of the learned variance; its
step has neither a time step for each image nor a strength, and there is no loss. So the tables are ours.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
import numpy.typing as npt

from realnet_edge.config.diffusion import DIFFUSION_STEPS
from realnet_edge.errors import ConfigError

Table = npt.NDArray[np.float64]
FIRST_BETA, LAST_BETA = 1e-4, 0.02


class Schedule:
    """Variances of the diffusion steps and what follows from them; every table is (T,) float64.

    Args:
        betas: variance of each step, in (0, 1).
        timesteps: (T,) int64, what the network is told at each step: its number in the schedule that the
            network was trained with.
    """

    def __init__(self, betas: Table, timesteps: npt.NDArray[np.int64]) -> None:
        self.betas = betas
        self.timesteps = timesteps
        self.alphas_cumprod: Table = np.cumprod(1.0 - betas, dtype=np.float64)
        self.alphas_cumprod_before: Table = np.append(1.0, self.alphas_cumprod[:-1])

    @classmethod
    def linear(cls) -> Schedule:
        """The schedule that models are trained with."""
        betas = np.linspace(FIRST_BETA, LAST_BETA, DIFFUSION_STEPS, dtype=np.float64)
        return cls(betas, np.arange(DIFFUSION_STEPS, dtype=np.int64))

    def __len__(self) -> int:
        return len(self.betas)

    def spaced(self, count: int) -> Schedule:
        """Every n-th step of this schedule from its first, `count` of them, with the same cumulated noise.

        Raises:
            ConfigError: `count` is not in 2..T.
        """
        if not 2 <= count <= len(self):
            raise ConfigError(f"{count} sampling steps; valid: 2 to {len(self)}.")
        kept = np.arange(count) * (len(self) // count)
        cumulated = self.alphas_cumprod[kept]
        betas = 1.0 - cumulated / np.append(1.0, cumulated[:-1])
        return Schedule(betas, self.timesteps[kept])

    @cached_property
    def posterior_variance(self) -> Table:
        """Variance of q(x_{t-1} | x_t, x_0), paper's beta tilde; 0 at the first step."""
        return self.betas * (1.0 - self.alphas_cumprod_before) / (1.0 - self.alphas_cumprod)

    @cached_property
    def posterior_log_variance(self) -> Table:
        """Its logarithm, with the second step's in place of the first one's, which is minus infinity."""
        variance = self.posterior_variance
        logarithms: Table = np.log(np.append(variance[1], variance[1:]))
        return logarithms

    @cached_property
    def mean_of_start(self) -> Table:
        """Share of x_0 in the mean of q(x_{t-1} | x_t, x_0)."""
        return self.betas * np.sqrt(self.alphas_cumprod_before) / (1.0 - self.alphas_cumprod)

    @cached_property
    def mean_of_current(self) -> Table:
        """Share of x_t in the mean of q(x_{t-1} | x_t, x_0)."""
        share: Table = np.sqrt(1.0 - self.betas) * (1.0 - self.alphas_cumprod_before)
        return share / (1.0 - self.alphas_cumprod)
