"""How often a classifier is right on noised images that it is not trained on, by how much noise there is."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from realnet_edge.config.diffusion import DIFFUSION_STEPS
from realnet_edge.diffusion.classifier import NoisedClassifier
from realnet_edge.diffusion.images import as_tensor
from realnet_edge.diffusion.loop import Examine, Findings
from realnet_edge.diffusion.noised_step import NoisedStep
from realnet_edge.diffusion.noised_training import ImagesOf
from realnet_edge.imaging import evenly_spread

# First and last time step of each range; what tells categories apart fades from one to the next.
_LENGTH = DIFFUSION_STEPS // 4
RANGES = tuple((first, first + _LENGTH - 1) for first in range(0, DIFFUSION_STEPS, _LENGTH))
# Noised at so many time steps of a range each, and no more images: a look must not cost what it looks at.
_TIMES = 4
_MOST_IMAGES = 64
# The noise is the same at every milestone, so that accuracies compare.
_SEED = 0xACC


def measures_accuracy(step: NoisedStep[NoisedClassifier], images_of: ImagesOf, _root: Path) -> Examine:
    """Accuracies on calibration images, for each of `RANGES`, as shares of 1 under "accuracy_FIRST_LAST"."""
    unseen = images_of("calibration")
    chosen = evenly_spread(len(unseen), _MOST_IMAGES)
    start, labels = as_tensor(unseen.images[chosen]), unseen.labels[chosen]

    def examine(_number: int) -> Findings:
        shares = {ends: _accuracy(step, start, labels, ends) for ends in RANGES}
        text = ", ".join(f"{100 * share:.0f}% at {a}-{b}" for (a, b), share in shares.items())
        figures = {f"accuracy_{first}_{last}": share for (first, last), share in shares.items()}
        return Findings(f"right on {len(start)} unseen images: {text}", figures)

    return examine


@torch.no_grad()
def _accuracy(
    step: NoisedStep[NoisedClassifier], start: Tensor, labels: Tensor, ends: tuple[int, int]
) -> float:
    """The share of images told right, at time steps evenly spread over a range."""
    generator = torch.Generator().manual_seed(_SEED + ends[0])
    right = 0
    for timestep in torch.linspace(*ends, _TIMES).round().long():
        noise = torch.randn(start.shape, generator=generator)
        for part in torch.arange(len(start)).split(step.config.batch):
            index = timestep.expand(len(part)).to(step.compute.device)
            images, added = (values[part].to(step.compute.device) for values in (start, noise))
            with step.compute.autocast():
                logits = step.model(step.process.diffuse(images, index, added), step.process.timesteps(index))
            right += int((logits.argmax(dim=1).cpu() == labels[part]).sum())
    return right / (_TIMES * len(start))
