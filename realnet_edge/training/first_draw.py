"""The random weights that a training begins with, where the draw of them would never learn."""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from realnet_edge.model import RealNet

# Share of pixels that a hidden channel has to answer at to count as active.
_ACTIVE = 0.01
# Pixels at each side that see the convolution's padding.
_BORDER = 2


@torch.no_grad()
def keep_head_alive(model: RealNet, images: Tensor) -> int:
    """See that one active hidden channel of the discriminator's head speaks for "normal", in place.

    The published head has four of them, behind a ReLU. Nearly all pixels are normal, so the first steps push
    down every channel that speaks for "anomalous"; where all active ones do, as in 3 of 28 seeds tried, all
    die within twenty steps, and nothing before them ever has a gradient again. The weights are drawn alike
    for both classes and about 0: with the classes swapped, or the sign turned, a channel is as likely a draw
    as it was.

    Args:
        model: as it is to be trained, with its taps standardised and chosen. Running statistics stay as
            they are.
        images: normalised (N, 3, H, W).

    Returns:
        How many channels were changed.
    """
    first, last = (cast(nn.Conv2d, model.discriminator.head[place]) for place in (0, 2))
    bias = cast(Tensor, first.bias)
    changed = 0
    before = first(_seen_by_head(model, images))[:, :, _BORDER:-_BORDER, _BORDER:-_BORDER]
    active = (before > 0).float().mean(dim=(0, 2, 3)) > _ACTIVE
    if not active.any():
        channel = int(before.mean(dim=(0, 2, 3)).argmin())
        first.weight[channel].neg_()
        bias[channel].neg_()
        before[:, channel].neg_()
        active[channel] = True
        changed += 1
    normal, anomalous = last.weight.sum(dim=(2, 3))
    if not (active & (normal > anomalous)).any():
        channel = int(F.relu(before).mean(dim=(0, 2, 3)).argmax())
        last.weight[:, channel] = last.weight[:, channel].flip(0)
        changed += 1
    return changed


def _seen_by_head(model: RealNet, images: Tensor) -> Tensor:
    """The head's input while training, (N, C, H, W)."""
    seen: list[Tensor] = []
    buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
    was_training = model.training
    hook = model.discriminator.head.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    try:
        model.train()(images)
    finally:
        hook.remove()
        model.train(was_training)
        for name, buffer in model.named_buffers():
            buffer.copy_(buffers[name])
    return seen[0]
