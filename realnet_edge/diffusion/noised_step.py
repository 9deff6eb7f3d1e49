"""One optimiser step on noised images: noise, loss, clipped gradients, in parts if wanted."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Generic

import numpy as np
import torch
from torch import Tensor

from realnet_edge.config.diffusion_training import NoisedTrainConfig
from realnet_edge.diffusion.checkpoint import Network
from realnet_edge.diffusion.process import DiffusionProcess
from realnet_edge.training.compute import Compute

# Keeps what dropout drops apart from the noise of the same step.
_DROPPED = 0xD20


@dataclass(frozen=True)
class NoisedBatch:
    """Noised images, and what they were made from.

    Attributes:
        start: x_0, (N, 3, S, S) float32 in [-1, 1].
        labels: (N,) int64, the category of each.
        index: (N,) int64, steps of the process.
        noise: that of x_t, of the images' shape.
        current: x_t.
    """

    start: Tensor
    labels: Tensor
    index: Tensor
    noise: Tensor
    current: Tensor


class NoisedStep(ABC, Generic[Network]):
    """Optimiser steps on a model.

    Args:
        model: the network, on the device.
        config: rates, parts, clipping and the seed.
        compute: device and arithmetic.
        process: over the whole schedule.

    Attributes:
        figures: names of the two figures that a step gives.
    """

    figures: ClassVar[tuple[str, str]]

    def __init__(
        self, model: Network, config: NoisedTrainConfig, compute: Compute, process: DiffusionProcess
    ) -> None:
        self.model: Network = model
        self.config = config
        self.compute = compute
        self.process = process
        self.optimiser: torch.optim.Optimizer = torch.optim.Adam(
            model.parameters(), lr=config.learning_rate, fused=True
        )
        self.scaler = compute.scaler()

    @abstractmethod
    def judge(self, batch: NoisedBatch) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """The mean loss of a batch, and its two figures, each the mean over the batch."""

    @abstractmethod
    def describe(self, figures: Tensor) -> str:
        """The two figures for a person, from (2,)."""

    def __call__(self, images: Tensor, labels: Tensor, number: int) -> Tensor:
        """Step `number`, counted from 0.

        Args:
            images: (N, 3, S, S) float32 in [-1, 1].
            labels: (N,) int64.

        Returns:
            (2,) float64 on the CPU: the batch's figures. Where one is not finite, the weights were left as
            they are.
        """
        config = self.config
        for group in self.optimiser.param_groups:
            group["lr"] = config.learning_rate * min(1.0, (number + 1) / max(1, config.warmup))
        # What is dropped follows from the step's number, too: a resumed training drops the same.
        torch.manual_seed(_seed(config.seed, number, _DROPPED))
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
        """Gradients of the batch's mean loss in the weights' place, and its two figures."""
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
            share = len(part[0]) / len(start)
            total += share * self._backward(share, *part)
        return total

    def _backward(self, share: float, start: Tensor, labels: Tensor, index: Tensor, noise: Tensor) -> Tensor:
        """Add a part's gradients; its two figures."""
        current = self.process.diffuse(start, index, noise)
        loss, figures = self.judge(NoisedBatch(start, labels, index, noise, current))
        self.scaler.scale(share * loss).backward()
        return torch.stack([figure.detach() for figure in figures]).double().cpu()

    def _wait(self) -> None:
        if self.compute.device.type == "cuda":
            torch.cuda.synchronize(self.compute.device)


def _seed(*numbers: int) -> int:
    """A 64-bit seed for one use in one step of one training, unlike that of any other."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> np.uint64(1))
