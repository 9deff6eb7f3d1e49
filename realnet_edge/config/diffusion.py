"""Settings of the diffusion model that synthesises anomalies (SDAS)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from realnet_edge.config.storing import from_dict, require, to_dict
from realnet_edge.config.training import DEVICES, PRECISIONS

# Steps of the noise schedule that a model is trained with.
DIFFUSION_STEPS = 1000
# What the U-Net itself gives; both are turned into the noise.
PREDICTIONS = ("noise", "velocity")
# How images are drawn (paper, algorithms 1 and S1), and the variances that the second may add.
SAMPLERS = ("iddpm", "ddim")
DDIM_VARIANCES = ("beta", "posterior", "learned")


@dataclass(frozen=True)
class DiffusionModelConfig:
    """The U-Net: ADM's (Dhariwal and Nichol, 2021), at any size; the defaults are the published network.

    Attributes:
        image_size: side in pixels of the square images that it makes.
        patch: side of the squares of pixels that the U-Net takes as one position, folded into channels and
            unfolded again by what it learns (Luhman and Luhman, 2022); 1 is the published network. A U-Net
            on 32 x 32 positions costs the same whether they stand for 32, 64 or 128 pixels.
        width: channels of the finest level.
        multipliers: each level's channels as a multiple of the width, finest first; every level halves the
            positions of the one before.
        blocks: residual blocks a level on the way down; one more on the way up.
        attention: sides, in positions, of the levels that attend. The middle block always does.
        head_width: channels of an attention head.
        groups: of every group norm.
        dropout: in the residual blocks, during training.
        predicts: "noise" as published, or "velocity", sqrt(a) noise - sqrt(1 - a) x_0 with the cumulated
            signal a (Salimans and Ho, 2022): a U-Net that gives nothing yet then stands for the best linear
            guess, and a small one need not carry all the noise through. Its simple loss is of the velocity.
        categories: what the model can be asked for, in the order of its embedding.
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
    predicts: str = "noise"
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
        require(self.predicts in PREDICTIONS, "predicts", self.predicts, f"one of {PREDICTIONS}")
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
    def from_dict(cls, document: dict[str, Any]) -> DiffusionModelConfig:
        return from_dict(cls, document)


@dataclass(frozen=True)
class DiffusionTrainConfig:
    """How a diffusion model is trained.

    Attributes:
        steps: most optimiser steps.
        minutes: most minutes of training (0: no limit); whichever limit comes first ends it.
        batch: images a step.
        accumulate: parts that every batch is computed in; the same gradients in less memory.
        learning_rate: Adam's rate after the warm-up (the paper: 1e-4).
        warmup: steps over which the rate rises linearly from zero.
        clip: largest norm of all gradients together (the paper: 1).
        ema: decay a step of the average of the weights, which is what samples (the paper: 0.9999).
        vlb_weight: weight of the variational bound L_vlb, the sum over all 1000 steps in bits a dimension,
            beside L_simple (paper eq. S2: 0.001). One random step stands for the sum, 1000 times its term:
            0.001 is therefore that term with weight 1, as the official code adds it.
        flip: mirror images at random, both ways.
        rotate: largest rotation in degrees, as for training RealNet.
        save_every: steps between saved states and sample grids.
        seed: of splits, weights, order, noise and time steps.
        threads: threads of PyTorch (0: all cores).
        precision, device: as `TrainConfig` has them.
        gradient_checkpointing: compute the blocks twice instead of keeping what they computed.
    """

    steps: int = 100_000
    minutes: float = 0.0
    batch: int = 12
    accumulate: int = 3
    learning_rate: float = 1e-4
    warmup: int = 0
    clip: float = 1.0
    ema: float = 0.9999
    vlb_weight: float = 0.001
    flip: bool = False
    rotate: float = 0.0
    save_every: int = 1000
    seed: int = 0
    threads: int = 0
    precision: str = "auto"
    device: str = "auto"
    gradient_checkpointing: bool = False

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "accumulate", "save_every"):
            require(getattr(self, name) >= 1, name, getattr(self, name), "at least 1")
        for name in ("minutes", "warmup", "seed", "threads", "vlb_weight"):
            require(getattr(self, name) >= 0, name, getattr(self, name), "0 or more")
        require(
            self.batch % self.accumulate == 0,
            "accumulate",
            self.accumulate,
            f"a divisor of the batch ({self.batch})",
        )
        require(0 < self.learning_rate < 1, "learning_rate", self.learning_rate, "a number in (0, 1)")
        require(self.clip > 0, "clip", self.clip, "a norm above 0, such as 1")
        require(0 < self.ema < 1, "ema", self.ema, "a decay a step between 0 and 1, such as 0.9999")
        require(0.0 <= self.rotate <= 180.0, "rotate", self.rotate, "0..180 degrees")
        require(self.precision in PRECISIONS, "precision", self.precision, f"one of {PRECISIONS}")
        require(self.device in DEVICES, "device", self.device, f"one of {DEVICES}")

    def to_dict(self) -> dict[str, Any]:
        return to_dict(self)

    @classmethod
    def from_dict(cls, document: dict[str, Any]) -> DiffusionTrainConfig:
        return from_dict(cls, document)


@dataclass(frozen=True)
class SamplerConfig:
    """How images are drawn.

    Attributes:
        sampler: "iddpm" (algorithm 1, what the paper uses) or "ddim" (algorithm S1).
        steps: of the schedule that are taken (the paper: 20).
        ddim_variance: Sigma of algorithm S1, one of `DDIM_VARIANCES`.
    """

    sampler: str = "iddpm"
    steps: int = 20
    ddim_variance: str = "learned"

    def __post_init__(self) -> None:
        require(self.sampler in SAMPLERS, "sampler", self.sampler, f"one of {SAMPLERS}")
        require(2 <= self.steps <= DIFFUSION_STEPS, "steps", self.steps, f"2 to {DIFFUSION_STEPS}")
        require(
            self.ddim_variance in DDIM_VARIANCES,
            "ddim_variance",
            self.ddim_variance,
            f"one of {DDIM_VARIANCES}",
        )
