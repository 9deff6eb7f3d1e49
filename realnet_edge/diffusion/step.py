"""One optimiser step of a diffusion model: noise, hybrid loss, clipped gradients, in parts if wanted."""

from __future__ import annotations

import time

import numpy as np
import torch
from torch import Tensor

from realnet_edge.config.diffusion import DiffusionTrainConfig
from realnet_edge.diffusion.losses import loss_terms
from realnet_edge.diffusion.process import DiffusionProcess
from realnet_edge.diffusion.unet import NoisePredictor
from realnet_edge.training.compute import Compute


class DiffusionStep:
    """Optimiser steps on a model.

    Args:
        model: the network, on the device.
        config: rates, parts, clipping and the seed.
        compute: device and arithmetic.
        process: over the whole schedule.
    """

    def __init__(
        self, model: NoisePredictor, config: DiffusionTrainConfig, compute: Compute, process: DiffusionProcess
    ) -> None:
        self.model = model
        self.config = config
        self.compute = compute
        self.process = process
        self.optimiser: torch.optim.Optimizer = torch.optim.Adam(
            model.parameters(), lr=config.learning_rate, fused=True
        )
        self.scaler = compute.scaler()

    def __call__(self, images: Tensor, labels: Tensor, number: int) -> Tensor:
        """Step `number`, counted from 0.

        Args:
            images: (N, 3, S, S) float32 in [-1, 1].
            labels: (N,) int64.

        Returns:
            (2,) float64 on the CPU: the batch's mean simple loss and its bound, in bits a dimension. Where
            one is not finite, the weights were left as they are.
        """
        config = self.config
        for group in self.optimiser.param_groups:
            group["lr"] = config.learning_rate * min(1.0, (number + 1) / max(1, config.warmup))
        found = self._gradients(images, labels, number)
        if torch.isfinite(found).all():
            self.scaler.unscale_(self.optimiser)
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), config.clip)
            self.scaler.step(self.optimiser)
            self.scaler.update()
        return found

    def seconds(self, images: Tensor, labels: Tensor, repeats: int = 2) -> float:
        """What a step takes here, at best of some repeats after one that allocates; no weight changes."""
        self._gradients(images, labels, 0)
        taken = []
        for _ in range(repeats):
            self._wait()
            started = time.perf_counter()
            self._gradients(images, labels, 0)
            self._wait()
            taken.append(time.perf_counter() - started)
        self.optimiser.zero_grad(set_to_none=True)
        return min(taken)

    def _gradients(self, images: Tensor, labels: Tensor, number: int) -> Tensor:
        """Gradients of the batch's mean hybrid loss in the weights' place, and its two terms."""
        device = self.compute.device
        generator = torch.Generator(device).manual_seed(_seed(self.config.seed, number))
        start = images.to(device)
        index = torch.randint(len(self.process), (len(start),), generator=generator, device=device)
        noise = torch.randn(start.shape, generator=generator, device=device)
        self.optimiser.zero_grad(set_to_none=True)
        total = torch.zeros(2, dtype=torch.float64)
        parts = self.config.accumulate
        columns = (start, labels.to(device), index, noise)
        for part in zip(*(column.chunk(parts) for column in columns), strict=True):
            simple, bound = self._backward(len(part[0]) / len(start), *part)
            total += torch.stack([simple, bound]).double().cpu()
        return total

    def _backward(
        self, share: float, start: Tensor, labels: Tensor, index: Tensor, noise: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Add a part's gradients; its share of both losses."""
        current = self.process.diffuse(start, index, noise)
        timesteps = self.process.timesteps(index)
        with self.compute.autocast():
            output = self.model(current, timesteps, labels)
        terms = loss_terms(self.process, output, start, current, index, noise)
        hybrid = terms.hybrid(self.config.vlb_weight, self.model.loss_weights(timesteps))
        loss = share * hybrid.mean()
        self.scaler.scale(loss).backward()
        return share * terms.simple.detach().mean(), share * terms.bound.detach().mean()

    def _wait(self) -> None:
        if self.compute.device.type == "cuda":
            torch.cuda.synchronize(self.compute.device)


def _seed(seed: int, number: int) -> int:
    """A 64-bit seed for the noise of a step, unlike that of any other step or training."""
    return int(np.random.SeedSequence([seed, number]).generate_state(1, np.uint64)[0] >> np.uint64(1))
