"""Sampling: from noise to images, each with its own seed and strength."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from realnet_edge.config.diffusion import SamplerConfig
from realnet_edge.diffusion.classifier import NoisedClassifier
from realnet_edge.diffusion.guidance import Guide, refuse_other_classifier
from realnet_edge.diffusion.images import as_images
from realnet_edge.diffusion.process import DiffusionProcess
from realnet_edge.diffusion.schedule import Schedule
from realnet_edge.diffusion.unet import NoisePredictor
from realnet_edge.errors import ConfigError
from realnet_edge.training.compute import Compute


@dataclass(frozen=True)
class Request:
    """One image to draw.

    Attributes:
        seed: of all its noise; the same seed gives the same image but for rounding, whatever batch it is in.
        strength: s, 0 for a normal image.
        category: position in the model's categories.
    """

    seed: int
    strength: float
    category: int = 0


class Sampler:
    """Draws images from a model.

    Args:
        model: the network, in evaluation mode, on the device.
        config: how.
        compute: device and arithmetic of the network; steps are computed in float32.
        classifier: in evaluation mode, on the device; asked only where `config.guidance` is above 0.
        fills_up: compute full batches alone, for a network that would be compiled anew for another size.

    Raises:
        ConfigError: guidance without a classifier, or with one that does not fit the model.
    """

    def __init__(
        self,
        model: NoisePredictor,
        config: SamplerConfig,
        compute: Compute,
        classifier: NoisedClassifier | None = None,
        *,
        fills_up: bool = False,
    ) -> None:
        self.model = model
        self.config = config
        self.compute = compute
        self.fills_up = fills_up
        self.process = DiffusionProcess(Schedule.linear().spaced(config.steps), compute.device)
        self.guide: Guide | None = None
        if config.guidance > 0:
            if classifier is None:
                raise ConfigError(f"guidance is {config.guidance:g}, and there is no classifier to guide.")
            refuse_other_classifier(classifier.config, model.config)
            self.guide = Guide(classifier, config.guidance, model.config.categories)

    @torch.inference_mode()
    def __call__(self, requests: Sequence[Request]) -> npt.NDArray[np.uint8]:
        """The images of these requests as one batch, (N, S, S, 3) uint8 RGB."""
        device = self.compute.device
        # On the processor, so that an image has the same noise on every device.
        sources = [torch.Generator().manual_seed(request.seed) for request in requests]
        strength = torch.tensor([request.strength for request in requests], device=device)
        labels = torch.tensor([request.category for request in requests], device=device)
        current = self._noise(sources)
        for number in reversed(range(len(self.process))):
            index = torch.full((len(requests),), number, device=device)
            timesteps = self.process.timesteps(index)
            with self.compute.autocast():
                output = self.model(current, timesteps, labels)
            gradient = self.guide(current, timesteps, labels) if self.guide else None
            current = self._step(output, current, index, self._noise(sources), strength, gradient)
        return as_images(current)

    def all(self, requests: Sequence[Request], batch: int) -> npt.NDArray[np.uint8]:
        """The images of any number of requests, so many at a time, (N, S, S, 3) uint8 RGB."""
        made = []
        for first in range(0, len(requests), batch):
            part = list(requests[first : first + batch])
            filling = part[:1] * (batch - len(part)) if self.fills_up else []
            made.append(self([*part, *filling])[: len(part)])
        return np.concatenate(made)

    def settings(self) -> dict[str, Any]:
        """What an image depends on besides model and request, as JSON values."""
        return {**asdict(self.config), "arithmetic": self.compute.arithmetic}

    def _step(
        self,
        output: Tensor,
        current: Tensor,
        index: Tensor,
        noise: Tensor,
        strength: Tensor,
        gradient: Tensor | None,
    ) -> Tensor:
        if self.config.sampler == "iddpm":
            return self.process.iddpm_step(output, current, index, noise, strength, gradient)
        variance = self.config.ddim_variance
        return self.process.ddim_step(output, current, index, noise, strength, variance, gradient)

    def _noise(self, sources: Sequence[torch.Generator]) -> Tensor:
        side = self.model.config.image_size
        drawn = [torch.randn((3, side, side), generator=source) for source in sources]
        return torch.stack(drawn).to(self.compute.device)
