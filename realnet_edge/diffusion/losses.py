"""What a diffusion model is trained by: the noise's squared error, and the variational bound."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from realnet_edge.diffusion.process import DiffusionProcess, Gaussian

# Half a grey level of 255 in images of [-1, 1].
_HALF_LEVEL = 1.0 / 255.0
# The outermost levels reach to infinity.
_EDGE = 0.999
_LEAST = 1e-12


@dataclass(frozen=True)
class LossTerms:
    """Both terms of the hybrid loss (paper eq. S2) for each image.

    Attributes:
        simple: (N,) mean squared error of the predicted noise.
        bound: (N,) the variational bound's term of the drawn step, in bits a dimension.
        steps: how many steps the bound sums over.
    """

    simple: Tensor
    bound: Tensor
    steps: int

    def hybrid(self, weight: float, simple_weights: Tensor | float = 1.0) -> Tensor:
        """L_simple + weight L_vlb, (N,); `steps` times the drawn step's term stands for the sum of all."""
        return simple_weights * self.simple + weight * self.steps * self.bound


def loss_terms(
    process: DiffusionProcess, output: Tensor, start: Tensor, current: Tensor, index: Tensor, noise: Tensor
) -> LossTerms:
    """Both terms of a batch, in float32.

    Args:
        output: (N, 6, H, W), what the network gave for `current`, x_t of `start` and `noise`.
        index: (N,) steps of the process.
    """
    predicted, v = output.float().chunk(2, dim=1)
    simple = ((noise - predicted) ** 2).mean(dim=(1, 2, 3))
    # The bound teaches the variance alone; the mean keeps to the simple loss (paper, appendix B).
    frozen = torch.cat([predicted.detach(), v], dim=1)
    model = process.reverse(frozen, current, index, clip=False)
    bound = bound_terms(process.posterior(start, current, index), model, start, index)
    return LossTerms(simple, bound, len(process))


def bound_terms(truth: Gaussian, model: Gaussian, start: Tensor, index: Tensor) -> Tensor:
    """(N,) bits a dimension: KL of the posterior from the model; at the first step minus log p(x_0 | x_1)."""
    divergence = _divergence(truth, model).mean(dim=(1, 2, 3))
    likelihood = -_log_likelihood(start, model).mean(dim=(1, 2, 3))
    return torch.where(index == 0, likelihood, divergence) / math.log(2.0)


def _divergence(truth: Gaussian, model: Gaussian) -> Tensor:
    """KL(truth || model) of each pixel, in nats."""
    difference = truth.log_variance - model.log_variance
    squares = (truth.mean - model.mean) ** 2 * torch.exp(-model.log_variance)
    return 0.5 * (-1.0 - difference + torch.exp(difference) + squares)


def _log_likelihood(start: Tensor, model: Gaussian) -> Tensor:
    """log of the model's probability of each pixel's grey level: its mass within half a level."""
    centred = start - model.mean
    precision = torch.exp(-0.5 * model.log_variance)
    above = _cumulative(precision * (centred + _HALF_LEVEL))
    below = _cumulative(precision * (centred - _HALF_LEVEL))
    inner = (above - below).clamp(min=_LEAST).log()
    lowest = above.clamp(min=_LEAST).log()
    highest = (1.0 - below).clamp(min=_LEAST).log()
    return torch.where(start < -_EDGE, lowest, torch.where(start > _EDGE, highest, inner))


def _cumulative(x: Tensor) -> Tensor:
    """The standard normal distribution function as tanh approximates it: the published losses use this."""
    return 0.5 * (1.0 + torch.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * x**3)))
