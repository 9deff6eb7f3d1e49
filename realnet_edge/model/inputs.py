"""From the camera's bytes to what the backbone takes: exposure, ImageNet's mean and deviation."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from realnet_edge.imaging import IMAGENET_MEAN, IMAGENET_STD

# A lens cap or a blown-out frame must not be stretched into a picture.
GAIN_LIMITS = (0.5, 2.0)


class InputNormalisation(nn.Module):
    """uint8 RGB (N, H, W, 3) to float32 (N, 3, H, W) with ImageNet's mean and deviation removed.

    With `match_exposure` every image is first multiplied by one gain that brings its mean grey level to
    that of the training images (`reference`), within `GAIN_LIMITS`: a lamp that ages or an exposure that
    was set anew then changes nothing. Not part of the published method.

    Images may lie on another device than the model.

    Args:
        match_exposure: apply the gain.
    """

    reference: Tensor
    scale: Tensor
    shift: Tensor

    def __init__(self, match_exposure: bool) -> None:
        super().__init__()
        self.match_exposure = match_exposure
        # Grey levels, 0..255; stored with the weights only where it means something.
        self.register_buffer("reference", torch.tensor(127.5), persistent=match_exposure)
        # (x / 255 - mean) / std as one multiplication and one addition.
        std = torch.tensor(IMAGENET_STD, dtype=torch.float64)
        mean = torch.tensor(IMAGENET_MEAN, dtype=torch.float64)
        self.register_buffer("scale", (1.0 / (255.0 * std)).float().reshape(3, 1, 1), persistent=False)
        self.register_buffer("shift", (-mean / std).float().reshape(3, 1, 1), persistent=False)

    def forward(self, images: Tensor, levels: Tensor | None = None) -> Tensor:
        """Normalise a batch.

        Args:
            images: uint8 (N, H, W, 3).
            levels: float32 (N,), mean grey levels that the gains follow from where `images` are tiles: those
                of the whole images that they were cut from. None takes those of `images`.
        """
        # Bytes travel to the device: a quarter of what floats would be.
        values = images.to(self.scale.device, non_blocking=True).float().permute(0, 3, 1, 2)
        if self.match_exposure:
            if levels is None:
                level = values.mean(dim=(1, 2, 3), keepdim=True)
            else:
                level = levels.to(self.scale.device)[:, None, None, None]
            values = values * (self.reference / level.clamp_min(1.0)).clamp(*GAIN_LIMITS)
        return values * self.scale + self.shift
