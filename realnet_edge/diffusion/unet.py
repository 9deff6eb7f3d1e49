"""The noise predictor: the U-Net in ADM's form, on pixels or on patches of them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from realnet_edge.config.diffusion import DiffusionModelConfig
from realnet_edge.diffusion.adm_unet import adm_unet, folded, zero
from realnet_edge.diffusion.process import spread
from realnet_edge.diffusion.schedule import Schedule

# Noise and v of the learned variance, for red, green and blue.
OUTPUTS = 6


class NoisePredictor(nn.Module):
    """The network of a diffusion model.

    Args:
        config: its structure.
    """

    signal: Tensor
    noise: Tensor

    def __init__(self, config: DiffusionModelConfig) -> None:
        super().__init__()
        self.config = config
        self.unet: Any = adm_unet(config, OUTPUTS, len(config.categories))
        # The output and the categories' embedding begin at zero, too.
        zero(self.unet.conv_out)
        zero(self.unet.class_embedding)
        # The schedule that it is trained with, for a velocity; not part of its state.
        cumulated = torch.from_numpy(Schedule.linear().alphas_cumprod).to(torch.float32)
        self.register_buffer("signal", cumulated.sqrt(), persistent=False)
        self.register_buffer("noise", (1.0 - cumulated).sqrt(), persistent=False)

    def forward(self, images: Tensor, timesteps: Tensor, categories: Tensor) -> Tensor:
        """What noise there is in images, and v of the learned variance.

        Args:
            images: (N, 3, S, S), x_t.
            timesteps: (N,) int64, 0 to 999.
            categories: (N,) int64, positions in `config.categories`.

        Returns:
            (N, 6, S, S): the noise, then v.
        """
        patch = self.config.patch
        output: Tensor = self.unet(folded(images, patch), timesteps, categories, return_dict=False)[0]
        output = F.pixel_shuffle(output, patch) if patch > 1 else output
        if self.config.predicts == "noise":
            return output
        velocity, v = output.float().chunk(2, dim=1)
        noise = spread(self.noise[timesteps]) * images + spread(self.signal[timesteps]) * velocity
        return torch.cat([noise, v], dim=1)

    def loss_weights(self, timesteps: Tensor) -> Tensor:
        """(N,) what the noise's squared error counts at these steps: as that of what the U-Net predicts."""
        if self.config.predicts == "noise":
            return torch.ones_like(timesteps, dtype=torch.float32)
        return self.signal[timesteps] ** -2
