"""The diffusion process on tensors: noising, one reverse step of IDDPM or DDIM, with SDAS's added variance.

Images are (N, 3, H, W) float32 in [-1, 1]; what the network gives is (N, 6, H, W): the noise that it sees in
x_t, then v of the learned variance in [-1, 1] (paper eq. S1 has it in [0, 1]). `index` is (N,) int64, the
step of this schedule for each image; `Schedule.timesteps` says what the network is told there.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from realnet_edge.config.diffusion import DDIM_VARIANCES
from realnet_edge.diffusion.schedule import Schedule, Table
from realnet_edge.errors import ConfigError


@dataclass(frozen=True)
class Gaussian:
    """A normal distribution for each pixel.

    Attributes:
        mean, log_variance: (N, 3, H, W) float32.
        start: x_0 that it was derived from, (N, 3, H, W) float32.
    """

    mean: Tensor
    log_variance: Tensor
    start: Tensor

    def guided(self, gradient: Tensor) -> Gaussian:
        """Its mean moved by the variance times a gradient (ADM, algorithm 1)."""
        return replace(self, mean=self.mean + torch.exp(self.log_variance) * gradient)

    def draw(self, noise: Tensor, strength: Tensor, last: Tensor) -> Tensor:
        """mean + sqrt(1 + s) sigma noise (paper eq. 2), and the mean alone where `last`, (N,) bool, holds."""
        scale = torch.sqrt(1.0 + strength) * ~last
        return self.mean + spread(scale) * torch.exp(0.5 * self.log_variance) * noise


class DiffusionProcess:
    """Forward and reverse steps over one schedule.

    Args:
        schedule: whole for training, spaced for sampling.
        device: where the images are.
    """

    def __init__(self, schedule: Schedule, device: torch.device | None = None) -> None:
        self.schedule = schedule
        cumulated = schedule.alphas_cumprod
        tables: dict[str, Table] = {
            "signal": np.sqrt(cumulated),
            "noise": np.sqrt(1.0 - cumulated),
            "current_of_start": np.sqrt(1.0 / cumulated),
            "noise_of_start": np.sqrt(1.0 / cumulated - 1.0),
            "signal_before": np.sqrt(schedule.alphas_cumprod_before),
            "noise_before": np.sqrt(1.0 - schedule.alphas_cumprod_before),
            "mean_of_start": schedule.mean_of_start,
            "mean_of_current": schedule.mean_of_current,
            "log_beta": np.log(schedule.betas),
            "log_posterior": schedule.posterior_log_variance,
        }
        self._tables = {
            name: torch.from_numpy(table).to(torch.float32).to(device) for name, table in tables.items()
        }
        self._timesteps = torch.from_numpy(schedule.timesteps).to(device)

    def __len__(self) -> int:
        return len(self.schedule)

    def timesteps(self, index: Tensor) -> Tensor:
        """(N,) int64, what the network is told at these steps."""
        return self._timesteps[index]

    def diffuse(self, start: Tensor, index: Tensor, noise: Tensor) -> Tensor:
        """x_t of q(x_t | x_0), from x_0 and standard normal noise."""
        return self._at("signal", index) * start + self._at("noise", index) * noise

    def posterior(self, start: Tensor, current: Tensor, index: Tensor) -> Gaussian:
        """q(x_{t-1} | x_t, x_0)."""
        mean = self._at("mean_of_start", index) * start + self._at("mean_of_current", index) * current
        return Gaussian(mean, self._at("log_posterior", index).expand_as(mean), start)

    def reverse(self, output: Tensor, current: Tensor, index: Tensor, clip: bool = True) -> Gaussian:
        """p(x_{t-1} | x_t) with learned variance, before any strength.

        Args:
            output: (N, 6, H, W), what the network gave for `current`, x_t.
            clip: keep the x_0 that follows from the predicted noise within [-1, 1].
        """
        predicted, v = output.float().chunk(2, dim=1)
        start = self._at("current_of_start", index) * current - self._at("noise_of_start", index) * predicted
        if clip:
            start = start.clamp(-1.0, 1.0)
        share = (v + 1.0) / 2.0
        log_variance = share * self._at("log_beta", index) + (1.0 - share) * self._at("log_posterior", index)
        return Gaussian(self.posterior(start, current, index).mean, log_variance, start)

    def iddpm_step(
        self,
        output: Tensor,
        current: Tensor,
        index: Tensor,
        noise: Tensor,
        strength: Tensor,
        gradient: Tensor | None = None,
    ) -> Tensor:
        """x_{t-1} from x_t by algorithm 1: N(mu, (1 + s) Sigma); the last step adds no noise.

        Args:
            noise: standard normal, of the images' shape.
            strength: (N,) float32, s of each image; 0 is a normal image.
            gradient: of the classifier by x_t, scaled. It moves the mean, in the last step too, by the
                model's own Sigma times itself: the strength adds noise and does not guide, as in the
                published code. None guides nowhere.
        """
        step = self.reverse(output, current, index)
        if gradient is not None:
            step = step.guided(gradient)
        return step.draw(noise, strength, index == 0)

    def ddim_step(
        self,
        output: Tensor,
        current: Tensor,
        index: Tensor,
        noise: Tensor,
        strength: Tensor,
        variance: str = "learned",
        gradient: Tensor | None = None,
    ) -> Tensor:
        """x_{t-1} from x_t by algorithm S1: N(DDIM's deterministic step, s Sigma); the last adds no noise.

        x_0 is kept within [-1, 1], and the noise follows from it: without that, errors of the first steps,
        where x_0 is a hundred times as uncertain as the noise, leave the range of images.

        Args:
            variance: Sigma, one of `DDIM_VARIANCES`.
            gradient: of the classifier by x_t, scaled. The noise becomes noise - sqrt(1 - a) gradient with
                the cumulated signal a (ADM, algorithm 2), and x_0 follows from it without being kept within
                [-1, 1] again, as in the published code. None guides nowhere.

        Raises:
            ConfigError: there is no such variance.
        """
        if variance not in DDIM_VARIANCES:
            raise ConfigError(f"DDIM's variance is {variance!r}; valid: {', '.join(DDIM_VARIANCES)}.")
        step = self.reverse(output, current, index)
        start = step.start
        signal, deviation = self._at("signal", index), self._at("noise", index)
        predicted = (current - signal * start) / deviation
        if gradient is not None:
            predicted = predicted - deviation * gradient
            start = (current - deviation * predicted) / signal
        mean = self._at("signal_before", index) * start + self._at("noise_before", index) * predicted
        log_variance = {
            "learned": step.log_variance,
            "beta": self._at("log_beta", index),
            "posterior": self._at("log_posterior", index),
        }[variance]
        scale = torch.sqrt(strength) * (index > 0)
        return mean + spread(scale) * torch.exp(0.5 * log_variance) * noise

    def _at(self, table: str, index: Tensor) -> Tensor:
        return spread(self._tables[table][index])


def spread(values: Tensor) -> Tensor:
    """(N,) as (N, 1, 1, 1), to go with images."""
    return values[:, None, None, None]
