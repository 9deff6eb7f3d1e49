"""The classifier that guides sampling: which category a noised image shows (Dhariwal and Nichol, 2021).

The way down and the middle of the U-Net, then CLIP's attention pooling; timm's `AttentionPool2d` computes
what ADM's own does (see the tests of `adm`).
"""

from __future__ import annotations

from typing import Any

from timm.layers.attention_pool2d import AttentionPool2d
from torch import Tensor, nn

from realnet_edge.config.diffusion import ClassifierConfig
from realnet_edge.diffusion.adm_unet import adm_unet, folded


class NoisedClassifier(nn.Module):
    """Tells the categories of noised images apart.

    Args:
        config: its structure; there is one logit for each of its categories.
    """

    def __init__(self, config: ClassifierConfig) -> None:
        super().__init__()
        self.config = config
        channels = config.width * config.multipliers[-1]
        self.unet: Any = adm_unet(config, outputs=1)
        # Without its way up, diffusers' U-Net gives what the middle gives to its output layers.
        self.unet.up_blocks = nn.ModuleList()
        self.unet.conv_norm_out = nn.GroupNorm(config.groups, channels)
        self.unet.conv_out = AttentionPool2d(
            channels, feat_size=config.pooled, out_features=len(config.categories), head_dim=config.head_width
        )

    def forward(self, images: Tensor, timesteps: Tensor) -> Tensor:
        """Logits of the categories.

        Args:
            images: (N, 3, S, S), x_t.
            timesteps: (N,) int64, 0 to 999.

        Returns:
            (N, K), in the order of `config.categories`.
        """
        logits: Tensor = self.unet(folded(images, self.config.patch), timesteps, return_dict=False)[0]
        return logits
