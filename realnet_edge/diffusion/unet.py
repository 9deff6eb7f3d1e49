"""The noise predictor: diffusers' U-Net in ADM's form, on pixels or on patches of them.

With these settings `UNet2DModel` computes what the public ADM networks compute (see `adm`): residual blocks
with scale and shift from the time step, residual blocks that halve and double, attention head by head.
"""

from __future__ import annotations

from typing import Any

import torch
from diffusers import UNet2DModel
from torch import Tensor, nn
from torch.nn import functional as F

from realnet_edge.config.diffusion import DiffusionModelConfig
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
        down = ["AttnDownBlock2D" if attends else "ResnetDownsampleBlock2D" for attends in config.attends]
        up = ["AttnUpBlock2D" if attends else "ResnetUpsampleBlock2D" for attends in reversed(config.attends)]
        pixels = config.patch**2
        self.unet: Any = UNet2DModel(
            sample_size=config.image_size // config.patch,
            in_channels=3 * pixels,
            out_channels=OUTPUTS * pixels,
            down_block_types=tuple(down),
            up_block_types=tuple(up),
            block_out_channels=tuple(config.width * m for m in config.multipliers),
            layers_per_block=config.blocks,
            downsample_type="resnet",
            upsample_type="resnet",
            dropout=config.dropout,
            attention_head_dim=config.head_width,
            norm_num_groups=config.groups,
            attn_norm_num_groups=config.groups,
            resnet_time_scale_shift="scale_shift",
            num_class_embeds=len(config.categories),
        )
        # The schedule that it is trained with, for a velocity; not part of its state.
        cumulated = torch.from_numpy(Schedule.linear().alphas_cumprod).to(torch.float32)
        self.register_buffer("signal", cumulated.sqrt(), persistent=False)
        self.register_buffer("noise", (1.0 - cumulated).sqrt(), persistent=False)
        self._begin_as_identity()

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
        folded = F.pixel_unshuffle(images, patch) if patch > 1 else images
        output: Tensor = self.unet(folded, timesteps, categories, return_dict=False)[0]
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

    def _begin_as_identity(self) -> None:
        """Zero what ADM zeroes before training: the last layer of every branch, and the output's."""
        with torch.no_grad():
            last = [self.unet.conv_out]
            for module in self.unet.modules():
                if hasattr(module, "time_emb_proj"):
                    last.append(module.conv2)
                elif hasattr(module, "to_out"):
                    last.append(module.to_out[0])
            for layer in last:
                nn.init.zeros_(layer.weight)
                nn.init.zeros_(layer.bias)
            nn.init.zeros_(self.unet.class_embedding.weight)
