"""How the networks that synthesise anomalies (SDAS) are trained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from realnet_edge.config.storing import require, to_dict
from realnet_edge.config.training import DEVICES, PRECISIONS


@dataclass(frozen=True)
class NoisedTrainConfig:
    """How a network is trained on noised images.

    Attributes:
        steps: most optimiser steps.
        minutes: most minutes of training (0: no limit); whichever limit comes first ends it.
        batch: images a step.
        accumulate: parts that every batch is computed in; the same gradients in less memory.
        learning_rate: Adam's rate after the warm-up (the paper: 1e-4).
        warmup: steps over which the rate rises linearly from zero.
        clip: largest norm of all gradients together (the paper: 1).
        flip: mirror images at random, both ways.
        rotate: largest rotation in degrees, as for training RealNet.
        save_every: steps between milestones: a saved state, and a look at what was learned.
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
        for name in ("minutes", "warmup", "seed", "threads"):
            require(getattr(self, name) >= 0, name, getattr(self, name), "0 or more")
        require(
            self.batch % self.accumulate == 0,
            "accumulate",
            self.accumulate,
            f"a divisor of the batch ({self.batch})",
        )
        require(0 < self.learning_rate < 1, "learning_rate", self.learning_rate, "a number in (0, 1)")
        require(self.clip > 0, "clip", self.clip, "a norm above 0, such as 1")
        require(0.0 <= self.rotate <= 180.0, "rotate", self.rotate, "0..180 degrees")
        require(self.precision in PRECISIONS, "precision", self.precision, f"one of {PRECISIONS}")
        require(self.device in DEVICES, "device", self.device, f"one of {DEVICES}")

    def to_dict(self) -> dict[str, Any]:
        return to_dict(self)


@dataclass(frozen=True)
class DiffusionTrainConfig(NoisedTrainConfig):
    """How a diffusion model is trained.

    Attributes:
        ema: decay a step of the average of the weights, which is what samples (the paper: 0.9999).
        vlb_weight: weight of the variational bound L_vlb, the sum over all 1000 steps in bits a dimension,
            beside L_simple (paper eq. S2: 0.001). One random step stands for the sum, 1000 times its term:
            0.001 is therefore that term with weight 1, as the official code adds it.
    """

    ema: float = 0.9999
    vlb_weight: float = 0.001

    def __post_init__(self) -> None:
        super().__post_init__()
        require(0 < self.ema < 1, "ema", self.ema, "a decay a step between 0 and 1, such as 0.9999")
        require(self.vlb_weight >= 0, "vlb_weight", self.vlb_weight, "0 or more")


@dataclass(frozen=True)
class ClassifierTrainConfig(NoisedTrainConfig):
    """How the classifier that guides sampling is trained; the weights themselves are kept, no average."""

    batch: int = 20
    accumulate: int = 1
