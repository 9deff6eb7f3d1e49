"""diffusers' U-Net in ADM's form: what the noise predictor and the classifier are made of.

With these settings `UNet2DModel` computes what the public ADM networks compute (see `adm`): residual blocks
with scale and shift from the time step, residual blocks that halve and double, attention head by head.
"""

from __future__ import annotations

from typing import Any

from diffusers import UNet2DModel
from torch import Tensor, nn
from torch.nn import functional as F

from realnet_edge.config.diffusion import AdmConfig


def adm_unet(config: AdmConfig, outputs: int, classes: int | None = None) -> Any:
    """The U-Net on patches of pixels, as it begins: every branch adds nothing yet.

    Args:
        outputs: channels that it gives for each pixel.
        classes: how many categories it is told apart; None tells it none.

    Returns:
        diffusers' `UNet2DModel`, untyped as its blocks are.
    """
    down = ["AttnDownBlock2D" if attends else "ResnetDownsampleBlock2D" for attends in config.attends]
    up = ["AttnUpBlock2D" if attends else "ResnetUpsampleBlock2D" for attends in reversed(config.attends)]
    pixels = config.patch**2
    unet: Any = UNet2DModel(
        sample_size=config.image_size // config.patch,
        in_channels=3 * pixels,
        out_channels=outputs * pixels,
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
        num_class_embeds=classes,
    )
    _empty_branches(unet)
    return unet


def folded(images: Tensor, patch: int) -> Tensor:
    """(N, 3, S, S) as (N, 3 patch^2, S / patch, S / patch): a square of pixels becomes channels."""
    return F.pixel_unshuffle(images, patch) if patch > 1 else images


def zero(layer: nn.Module) -> None:
    """Zero a layer's weights and biases."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)


def _empty_branches(unet: Any) -> None:
    """Zero what ADM zeroes before training: the last layer of every branch."""
    for module in unet.modules():
        if hasattr(module, "time_emb_proj"):
            zero(module.conv2)
        elif hasattr(module, "to_out"):
            zero(module.to_out[0])
