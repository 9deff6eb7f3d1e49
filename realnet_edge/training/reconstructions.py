"""Whether every U-Net has learned to reconstruct: one that has not spoils the model without stopping it.

A U-Net with one norm group is blind to how large its trunk is. Once, on screw with the preset `edge`, one
grew a hundred thousandfold: beside it nothing of the skips was left, and 50% of the coarsest block's variance
stayed, about 2% of the others'. The segmentation loss is the likely push: without it, it was not seen.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from realnet_edge.model import RealNet
from realnet_edge.training.samples import AnomalyDataset, batches

# Images that decide; shares hardly differ between images.
_IMAGES = 32
# A block is behind where it leaves this share of its variance, and so many times as much as the best one.
POOR_SHARE = 0.25
POOR_RATIO = 5.0


@torch.no_grad()
def unreconstructed(model: RealNet, dataset: AnomalyDataset, batch: int) -> list[float]:
    """What the U-Nets leave of the variance of normal images' features, a share for each block.

    Args:
        model: left in evaluation mode.
        dataset: its normal images are looked at, the first 32.
        batch: images at once.
    """
    model.eval()
    left = [0.0] * len(model.reconstruction)
    whole = [0.0] * len(model.reconstruction)
    for part in batches(dataset, 0, min(len(dataset), _IMAGES), batch, workers=0):
        selected = model.select(model.inputs(part.normal, part.level_parts[0]))
        for number, (unet, block) in enumerate(zip(model.reconstruction, selected, strict=True)):
            left[number] += float((unet(block) - block).double().square().sum())
            whole[number] += float((block - block.mean(dim=(0, 2, 3), keepdim=True)).double().square().sum())
    return [rest / max(total, 1e-12) for rest, total in zip(left, whole, strict=True)]


def behind(shares: Sequence[float]) -> list[int]:
    """The blocks, counted from 0, that have learned far less than the best one."""
    best = min(shares)
    return [n for n, share in enumerate(shares) if share > POOR_SHARE and share > POOR_RATIO * best]


def warning(shares: Sequence[float]) -> str | None:
    """What to tell a person about blocks that are behind; None where none is."""
    poor = behind(shares)
    if not poor:
        return None
    named = ", ".join(f"{n + 1} of {len(shares)} ({100 * shares[n]:.0f}%)" for n in poor)
    return (
        f"Warning: the reconstruction leaves much of block {named} while the best one leaves "
        f"{100 * min(shares):.0f}%: its U-Net has not learned. If it was not for want of steps, train with "
        "--no-joint, another --seed or a lower --learning-rate, and --overwrite."
    )
