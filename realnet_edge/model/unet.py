"""The reconstruction network: one U-Net a block, selected features in, reconstructed features out.

Structure as in the official implementation: three levels of 1, 2 and 4 times the base width, two
residual blocks a level on the way down and three on the way up, attention where features are
downsampled by 2 or 4 (less often with `ModelConfig.attention_limit`), residual pooling between
levels and two transposed convolutions (one a branch) on the way up. Module names follow the
official state_dict as far as they say something.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from realnet_edge.config import norm_groups

LEVELS = (1, 2, 4)
RESIDUAL_BLOCKS = 2
ATTENTION_FACTORS = (2, 4)
HEAD_WIDTH = 64

_Convolution = TypeVar("_Convolution", nn.Conv1d, nn.Conv2d)


def group_norm(channels: int, group_width: int) -> nn.GroupNorm:
    """GroupNorm of at most 32 groups, as published, each at least `group_width` channels wide.

    Groups of one channel normalise away how strongly each channel answers, which is much of what a
    reconstruction has to reproduce. The published networks, 128 channels and wider, have at least four
    a group; a narrow one has them with a `group_width` of 4. With 0, one group takes all.
    """
    return nn.GroupNorm(norm_groups(channels, group_width), channels)


def _zeroed(convolution: _Convolution) -> _Convolution:
    """A convolution that starts as zero, so that its branch starts as identity."""
    nn.init.zeros_(convolution.weight)
    if convolution.bias is not None:
        nn.init.zeros_(convolution.bias)
    return convolution


class ResidualBlock(nn.Module):
    """GroupNorm, SiLU, one 3x3 convolution, plus a skip; optionally resampling both branches.

    Args:
        channels: input channels.
        out_channels: output channels; a 1x1 convolution adapts the skip when they differ.
        group_width: fewest channels of a group of GroupNorm.
        resample: "down" average-pools both branches by 2 after the activation, "up" doubles each
            with a transposed convolution of its own (kernel 4, stride 2, padding 1).
    """

    def __init__(
        self, channels: int, out_channels: int, group_width: int, resample: str | None = None
    ) -> None:
        super().__init__()
        self.norm = group_norm(channels, group_width)
        self.conv = nn.Conv2d(channels, out_channels, 3, padding=1)
        self.resample_main = self._resampler(channels, resample)
        self.resample_skip = self._resampler(channels, resample)
        self.skip: nn.Module = (
            nn.Identity() if channels == out_channels else nn.Conv2d(channels, out_channels, 1)
        )

    @staticmethod
    def _resampler(channels: int, resample: str | None) -> nn.Module:
        if resample == "down":
            return nn.AvgPool2d(2)
        if resample == "up":
            return nn.ConvTranspose2d(channels, channels, 4, stride=2, padding=1)
        return nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        h = self.resample_main(F.silu(self.norm(x)))
        skip: Tensor = self.skip(self.resample_skip(x))
        out: Tensor = skip + self.conv(h)
        return out


class AttentionBlock(nn.Module):
    """Self-attention over positions, added to its input.

    The 1x1 projection lays q, k and v out head by head. Query and key are each scaled by
    width^-1/4, which equals scaling their product by width^-1/2. Heads are 64 wide, or one head
    takes all where there are fewer channels.
    """

    def __init__(self, channels: int, group_width: int) -> None:
        super().__init__()
        self.heads = max(1, channels // HEAD_WIDTH)
        if channels % self.heads:
            self.heads = math.gcd(channels, self.heads)
        self.norm = group_norm(channels, group_width)
        self.qkv = nn.Conv1d(channels, 3 * channels, 1)
        self.proj = _zeroed(nn.Conv1d(channels, channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        # Convolutions over the plane, and channels last between them: an engine that keeps channels last in
        # memory then moves nothing.
        qkv = F.conv2d(self.norm(x), self.qkv.weight[..., None], self.qkv.bias)
        tokens = qkv.permute(0, 2, 3, 1).reshape(n, h * w, self.heads, 3, c // self.heads)
        # One block of memory a head: PyTorch's fused attention takes three times as long to train otherwise.
        q, k, v = tokens.permute(0, 2, 3, 1, 4).contiguous().unbind(2)
        attended = F.scaled_dot_product_attention(q, k, v).transpose(1, 2)
        planes = attended.reshape(n, h, w, c).permute(0, 3, 1, 2).contiguous()
        out: Tensor = x + F.conv2d(planes, self.proj.weight[..., None], self.proj.bias)
        return out


class ReconstructionUNet(nn.Module):
    """(N, C, H, W) selected features to their reconstruction of the same shape.

    Args:
        channels: C, the planes that AFS kept.
        width: base width w; the levels are w, 2w and 4w wide. H and W must be multiples of 4.
        group_width: fewest channels of a group of GroupNorm; 1 is as published, 0 is one group.
        attention_factors: by how much features are downsampled where attention follows the residual blocks.

    Attributes:
        recompute: in training, keep what goes into each stage alone and compute the rest again on the way
            back (gradient checkpointing): less memory for a third more work.
    """

    recompute = False

    def __init__(
        self,
        channels: int,
        width: int,
        group_width: int = 1,
        attention_factors: Sequence[int] = ATTENTION_FACTORS,
    ) -> None:
        super().__init__()
        self.group_width = group_width
        self.attention_factors = tuple(attention_factors)
        self.input_blocks = nn.ModuleList([nn.Conv2d(channels, width, 3, padding=1)])
        skips = [width]
        current = width
        for level, multiplier in enumerate(LEVELS):
            for _ in range(RESIDUAL_BLOCKS):
                self.input_blocks.append(self._stage(current, multiplier * width, level))
                current = multiplier * width
                skips.append(current)
            if level < len(LEVELS) - 1:
                self.input_blocks.append(ResidualBlock(current, current, group_width, "down"))
                skips.append(current)
        self.middle_block = self._stage(current, current, len(LEVELS) - 1)
        self.middle_block.append(ResidualBlock(current, current, group_width))
        self.output_blocks = nn.ModuleList()
        for level, multiplier in reversed(list(enumerate(LEVELS))):
            for position in range(RESIDUAL_BLOCKS + 1):
                stage = self._stage(current + skips.pop(), multiplier * width, level)
                current = multiplier * width
                if level > 0 and position == RESIDUAL_BLOCKS:
                    stage.append(ResidualBlock(current, current, group_width, "up"))
                self.output_blocks.append(stage)
        self.out = nn.Sequential(
            group_norm(current, group_width), nn.SiLU(), _zeroed(nn.Conv2d(current, channels, 3, padding=1))
        )

    def _stage(self, channels: int, out_channels: int, level: int) -> nn.Sequential:
        stage = nn.Sequential(ResidualBlock(channels, out_channels, self.group_width))
        if 2**level in self.attention_factors:
            stage.append(AttentionBlock(out_channels, self.group_width))
        return stage

    def _through(self, block: nn.Module, x: Tensor) -> Tensor:
        again = self.recompute and self.training and torch.is_grad_enabled()
        out: Tensor = checkpoint(block, x, use_reentrant=False) if again else block(x)
        return out

    def forward(self, x: Tensor) -> Tensor:
        skips = []
        for block in self.input_blocks:
            x = self._through(block, x)
            skips.append(x)
        x = self._through(self.middle_block, x)
        for block in self.output_blocks:
            x = self._through(block, torch.cat([x, skips.pop()], dim=1))
        out: Tensor = self.out(x)
        return out
