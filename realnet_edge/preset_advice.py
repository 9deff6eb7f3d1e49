"""Which preset a training takes where none is named, and what its images and the machine speak for instead.

The rule. It is `edge` whatever the machine: the one preset whose engines run on a processor, whose backbone's
weights come as a package, and whose accuracy has been measured here. What trains says nothing of what
inspects, so a GPU alone changes the network of nobody who did not ask. What is advised, each where it holds:

- `paper`, the published network, where a GPU has 24 GiB or more (the paper trained on one of that size) and
  there are 100 good images or more. It is named and never taken: its engines want a GPU, too.
- More images below 100 of them: every variety of a good part that training has not seen is a false alarm.
- A longer training where its steps show each image fewer than 20 times.
- A smaller input where images are at least twice enlarged to it: the pixels in between are made up, and each
  of them takes its time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from realnet_edge.config import ModelConfig, TrainConfig
from realnet_edge.presets import DEFAULT_PRESET
from realnet_edge.tile_advice import shrinkage

# GiB; what the paper's RTX 3090 has, less what a driver keeps of it.
PAPER_MEMORY = 23.0
FEW_IMAGES = 100
FEW_VIEWS = 20
ENLARGED = 0.5


@dataclass(frozen=True)
class Situation:
    """What a training starts from.

    Attributes:
        images: good images, those that are set aside from training included.
        size: their median (height, width) in pixels; None where none of them could be decoded.
        gpu: name and memory in GiB of the GPU that trains; None for a processor.
        trained: those of the images that are trained on.
    """

    images: int
    size: tuple[int, int] | None
    gpu: tuple[str, float] | None
    trained: int

    def __str__(self) -> str:
        """In a few words."""
        size = f" of {self.size[1]} x {self.size[0]} pixels" if self.size else ""
        where = f"{self.gpu[0]} with {self.gpu[1]:.0f} GiB" if self.gpu else "no GPU"
        return f"{self.images} good images{size}, {where}"


def describe_default(situation: Situation) -> str:
    """Why the preset that nobody named was taken, in one line."""
    return (
        f"{DEFAULT_PRESET}, as none was named, for {situation}: the preset whose engines run on a processor"
    )


def preset_advice(situation: Situation, name: str, model: ModelConfig, train: TrainConfig) -> list[str]:
    """What speaks for other settings by this module's rule, a few sentences each.

    Args:
        situation: images and machine.
        name: the preset that is taken.
        model, train: its settings with all that the user changed.
    """
    found = [_paper(situation, name), _few(situation), _short(situation, train), _enlarged(situation, model)]
    return [advice for advice in found if advice]


def _paper(situation: Situation, name: str) -> str:
    if name != DEFAULT_PRESET or situation.gpu is None or situation.images < FEW_IMAGES:
        return ""
    gpu, memory = situation.gpu
    if memory < PAPER_MEMORY:
        return ""
    return (
        f"the {memory:.0f} GiB of {gpu} suffice for `--preset paper`, the published network: more accurate "
        "in the paper (image AUROC 99.65 on MVTec AD, 98.62 on a small backbone), but of 591 M parameters, "
        "so for engines on a GPU alone."
    )


def _few(situation: Situation) -> str:
    if situation.images >= FEW_IMAGES:
        return ""
    return (
        f"{situation.images} good images are few, 200 or more are better: varieties of good parts that are "
        "not among them will raise alarms. Where parts lie in any orientation --rotate 180 or --flip help."
    )


def _short(situation: Situation, train: TrainConfig) -> str:
    views = train.steps * train.batch / max(1, situation.trained)
    if views >= FEW_VIEWS:
        return ""
    wanted = math.ceil(FEW_VIEWS * situation.trained / train.batch / 100) * 100
    minutes = ", given the --minutes." if train.minutes else "."
    return (
        f"{train.steps} steps show each of {situation.trained} images to train on about {views:.1f} times, "
        f"which is little to learn from: --steps {wanted} shows them {FEW_VIEWS} times{minutes}"
    )


def _enlarged(situation: Situation, model: ModelConfig) -> str:
    if situation.size is None or model.grid.count > 1 or model.align:
        return ""
    shrunk = shrinkage(situation.size, model.input_size)
    multiple = model.size_multiple
    side = multiple * math.ceil(max(situation.size) / multiple)
    if shrunk > ENLARGED or side >= model.image_size:
        return ""
    share = (side / model.image_size) ** 2
    return (
        f"the images of {situation.size[1]} x {situation.size[0]} pixels are enlarged {1 / shrunk:.1f} "
        f"times: --image-size {side} keeps all of their pixels for {share:.0%} of the work. Which is more "
        "accurate has not been measured."
    )
