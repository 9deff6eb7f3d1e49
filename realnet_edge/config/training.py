"""Settings of the training loop."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from realnet_edge.config.storing import from_dict, require, to_dict

# What a training step may compute in.
PRECISIONS = ("auto", "fp32", "bf16", "fp16")
# Where it may run.
DEVICES = ("auto", "cpu", "cuda")
# What a training's checkpoint is chosen by. The published figures took the test set; a checkpoint that is to
# inspect parts never does.
CHECKPOINT_BY = ("validation", "test-set")
# What a stored `TrainConfig` means that was written before these settings existed.
UNSTORED: dict[str, Any] = {"ema": 0.0, "rank_noise": 0.0, "joint": True}


@dataclass(frozen=True)
class TrainConfig:
    """How long and how fast.

    Attributes:
        steps: most optimiser steps; training may stop earlier.
        minutes: most minutes of training (0: no limit); whichever limit comes first ends it.
        patience: validations without improvement after which training stops (0: never).
        batch: samples a step; half of them anomalous by the paper.
        learning_rate: Adam's peak rate (the paper: 1e-4, betas 0.9 and 0.999).
        schedule: "constant" (the paper) or "cosine" to a hundredth of the peak over the budget.
        warmup: steps over which the rate rises linearly from zero.
        validate_every: steps between validations and saved states.
        afs_batches: synthetic batches over which AFS averages its loss (official: 64).
        statistics_batches: batches over which BatchNorm statistics are averaged anew before every
            validation, and so in the checkpoint (0: those of the last training batches, as published).
        seed: of weights, splits, synthesis and order.
        workers: processes that synthesise; 0 does it in the training process.
        threads: threads of PyTorch (0: all cores).
        precision: "fp32"; "bf16" or "fp16", mixed precision by autocast (weights, losses and RRS stay
            float32; fp16 scales its losses); or "auto": bf16 on a processor that computes in it, else fp32,
            and bf16 or fp16 on a GPU.
        device: "cpu", "cuda", or "auto", a GPU where there is one.
        accumulate: parts that every batch is computed in, one after the other; the same gradients in less
            memory, but BatchNorm sees a part at a time.
        gradient_checkpointing: compute the U-Nets' stages twice instead of keeping what they computed for the
            way back.
        compile: have `torch.compile` compile the U-Nets and the discriminator; it takes minutes at first.
        feature_cache: most memory, in MiB, for the features of the normal images, which are computed once
            where no augmentation changes these images; 0 keeps none.
        ema: decay a step of an exponential moving average of the trained weights, which then is what is
            validated and kept, with BatchNorm statistics of its own; training itself goes on from the
            weights as they are. The average is over about the last 1 / (1 - ema) steps: 0.998 over 500.
            0 keeps the weights of single steps, as published.
        rank_noise: spread of random factors on what RRS ranks residual planes by, in training alone: the
            standard deviation of their logarithm, so that 0.1 means about a tenth. An engine's rounding
            exchanges planes that rank alike; a discriminator that has seen them exchanged minds it less.
            0 ranks them as they are, as published.
        joint: the segmentation loss trains the U-Nets, too, by way of their residuals, as published. Without
            it the reconstruction loss alone does. With the published way the trunk of a U-Net of one norm
            group has been seen to blow up until nothing of its skips was left (`unreconstructed`).
    """

    steps: int = 20000
    minutes: float = 0.0
    patience: int = 20
    batch: int = 16
    learning_rate: float = 1e-4
    schedule: str = "constant"
    warmup: int = 0
    validate_every: int = 200
    afs_batches: int = 64
    statistics_batches: int = 0
    seed: int = 0
    workers: int = 1
    threads: int = 0
    precision: str = "fp32"
    device: str = "auto"
    accumulate: int = 1
    gradient_checkpointing: bool = False
    compile: bool = False
    feature_cache: int = 2048
    ema: float = 0.0
    rank_noise: float = 0.0
    joint: bool = True

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "validate_every", "afs_batches", "accumulate"):
            require(getattr(self, name) >= 1, name, getattr(self, name), "at least 1")
        for name in (
            "minutes",
            "patience",
            "warmup",
            "workers",
            "threads",
            "statistics_batches",
            "seed",
            "feature_cache",
        ):
            require(getattr(self, name) >= 0, name, getattr(self, name), "0 or more")
        require(self.batch >= 2, "batch", self.batch, "at least 2: BatchNorm needs more than one sample")
        part, rest = divmod(self.batch, self.accumulate)
        require(
            part >= 2 and rest == 0,
            "accumulate",
            self.accumulate,
            f"a divisor of the batch ({self.batch}) that leaves at least 2 samples a part",
        )
        require(self.device in DEVICES, "device", self.device, f"one of {DEVICES}")
        require(0 < self.learning_rate < 1, "learning_rate", self.learning_rate, "a number in (0, 1)")
        require(self.precision in PRECISIONS, "precision", self.precision, f"one of {PRECISIONS}")
        require(self.schedule in ("constant", "cosine"), "schedule", self.schedule, "constant or cosine")
        require(0 <= self.ema < 1, "ema", self.ema, "0 for none, or a decay a step below 1, such as 0.998")
        require(0 <= self.rank_noise <= 1, "rank_noise", self.rank_noise, "0 for none, to 1")
        require(
            self.ema == 0 or self.statistics_batches > 0,
            "statistics_batches",
            self.statistics_batches,
            "at least 1 with ema: BatchNorm statistics of training batches are not those of averaged weights",
        )

    def to_dict(self) -> dict[str, Any]:
        return to_dict(self)

    @classmethod
    def from_dict(cls, document: dict[str, Any]) -> TrainConfig:
        return from_dict(cls, {**UNSTORED, **document})
