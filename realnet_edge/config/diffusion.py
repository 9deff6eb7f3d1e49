"""Settings of the networks that synthesise anomalies (SDAS), and of how images are drawn with them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, TypeVar

from realnet_edge.config.storing import from_dict, require, to_dict

# Steps of the noise schedule that a model is trained with.
DIFFUSION_STEPS = 1000
# What the U-Net itself gives; both are turned into the noise.
PREDICTIONS = ("noise", "velocity")
# How images are drawn (paper, algorithms 1 and S1), and the variances that the second may add.
SAMPLERS = ("iddpm", "ddim")
DDIM_VARIANCES = ("beta", "posterior", "learned")
# What folders of images that were drawn before there was guidance do not record.
BEFORE_GUIDANCE: dict[str, Any] = {"guidance": 0.0, "classifier_sha256": ""}

_Config = TypeVar("_Config", bound="AdmConfig")


@dataclass(frozen=True)
class AdmConfig:
    """A network of ADM's blocks (Dhariwal and Nichol, 2021), at any size.

    Attributes:
        image_size: side in pixels of the square images that it sees.
        patch: side of the squares of pixels that it takes as one position, folded into channels (Luhman and
            Luhman, 2022); 1 is the published form. A network on 32 x 32 positions costs the same whether they
            stand for 32, 64 or 128 pixels.
        width: channels of the finest level.
        multipliers: each level's channels as a multiple of the width, finest first; every level halves the
            positions of the one before.
        blocks: residual blocks a level on the way down; one more on the way up.
        attention: sides, in positions, of the levels that attend. The middle block always does.
        head_width: channels of an attention head.
        groups: of every group norm.
        dropout: in the residual blocks, during training.
        categories: those that it knows, in the order of their numbers.
    """

    image_size: int = 256
    patch: int = 1
    width: int = 256
    multipliers: tuple[int, ...] = (1, 1, 2, 2, 4, 4)
    blocks: int = 2
    attention: tuple[int, ...] = (32, 16, 8)
    head_width: int = 64
    groups: int = 32
    dropout: float = 0.0
    categories: tuple[str, ...] = ("",)

    def __post_init__(self) -> None:
        for name in ("image_size", "patch", "width", "blocks", "head_width", "groups"):
            require(getattr(self, name) >= 1, name, getattr(self, name), "at least 1")
        require(bool(self.multipliers), "multipliers", self.multipliers, "at least one level")
        require(
            min(self.multipliers, default=1) >= 1, "multipliers", self.multipliers, "whole numbers from 1"
        )
        unit = self.patch * 2 ** (len(self.multipliers) - 1)
        require(
            self.image_size % unit == 0,
            "image_size",
            self.image_size,
            f"a multiple of {unit}: patches of {self.patch} pixels, halved {len(self.multipliers) - 1} times",
        )
        for name in ("groups", "head_width"):
            require(
                all((self.width * m) % getattr(self, name) == 0 for m in self._divided(name)),
                name,
                getattr(self, name),
                f"a divisor of the widths {tuple(self.width * m for m in self._divided(name))}",
            )
        require(0.0 <= self.dropout < 1.0, "dropout", self.dropout, "0 to below 1")
        require(
            len(set(self.categories)) == len(self.categories) > 0,
            "categories",
            self.categories,
            "at least one name, none twice",
        )

    def _divided(self, name: str) -> tuple[int, ...]:
        """Multipliers of the levels whose channels are divided into groups, or into heads."""
        if name == "groups":
            return self.multipliers
        attending = (m for m, attends in zip(self.multipliers, self.attends, strict=True) if attends)
        # The middle block is as wide as the coarsest level, and always attends.
        return (*attending, self.multipliers[-1])

    @property
    def attends(self) -> tuple[bool, ...]:
        """Which levels attend, finest first."""
        side = self.image_size // self.patch
        return tuple(side // 2**level in self.attention for level in range(len(self.multipliers)))

    def to_dict(self) -> dict[str, Any]:
        return to_dict(self)

    @classmethod
    def from_dict(cls: type[_Config], document: dict[str, Any]) -> _Config:
        return from_dict(cls, document)


@dataclass(frozen=True)
class DiffusionModelConfig(AdmConfig):
    """The U-Net; the defaults are the published network.

    Attributes:
        predicts: "noise" as published, or "velocity", sqrt(a) noise - sqrt(1 - a) x_0 with the cumulated
            signal a (Salimans and Ho, 2022): a U-Net that gives nothing yet then stands for the best linear
            guess, and a small one need not carry all the noise through. Its simple loss is of the velocity.
    """

    predicts: str = "noise"

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.predicts in PREDICTIONS, "predicts", self.predicts, f"one of {PREDICTIONS}")


@dataclass(frozen=True)
class ClassifierConfig(AdmConfig):
    """The classifier that guides sampling: the U-Net's way down, half as wide, with attention pooling.

    The defaults are the published network, as Dhariwal and Nichol (2021) have it for 256 x 256.
    """

    width: int = 128

    @property
    def pooled(self) -> int:
        """Side, in positions, of the coarsest level, which is pooled."""
        return int(self.image_size // self.patch // 2 ** (len(self.multipliers) - 1))


@dataclass(frozen=True)
class SamplerConfig:
    """How images are drawn.

    Attributes:
        sampler: "iddpm" (algorithm 1, what the paper uses) or "ddim" (algorithm S1).
        steps: of the schedule that are taken (the paper: 20).
        ddim_variance: Sigma of algorithm S1, one of `DDIM_VARIANCES`.
        guidance: scale of the classifier's gradient (the published code: 1); 0 asks no classifier.
    """

    sampler: str = "iddpm"
    steps: int = 20
    ddim_variance: str = "learned"
    guidance: float = 0.0

    def __post_init__(self) -> None:
        require(self.sampler in SAMPLERS, "sampler", self.sampler, f"one of {SAMPLERS}")
        require(2 <= self.steps <= DIFFUSION_STEPS, "steps", self.steps, f"2 to {DIFFUSION_STEPS}")
        require(
            self.ddim_variance in DDIM_VARIANCES,
            "ddim_variance",
            self.ddim_variance,
            f"one of {DDIM_VARIANCES}",
        )
        require(0.0 <= self.guidance < math.inf, "guidance", self.guidance, "a scale of 0 or more, such as 1")
