"""What a diffusion model is trained by: the hybrid loss of noised images."""

from __future__ import annotations

from torch import Tensor

from realnet_edge.config.diffusion_training import DiffusionTrainConfig
from realnet_edge.diffusion.losses import loss_terms
from realnet_edge.diffusion.noised_step import NoisedBatch, NoisedStep
from realnet_edge.diffusion.process import DiffusionProcess
from realnet_edge.diffusion.unet import NoisePredictor
from realnet_edge.training.compute import Compute


class DiffusionStep(NoisedStep[NoisePredictor]):
    """Optimiser steps on a noise predictor; its figures are the two terms of the hybrid loss.

    Args:
        model, config, compute, process: as `NoisedStep` has them.
    """

    figures = ("simple", "bound")

    def __init__(
        self, model: NoisePredictor, config: DiffusionTrainConfig, compute: Compute, process: DiffusionProcess
    ) -> None:
        super().__init__(model, config, compute, process)
        self._vlb_weight = config.vlb_weight

    def judge(self, batch: NoisedBatch) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        timesteps = self.process.timesteps(batch.index)
        with self.compute.autocast():
            output = self.model(batch.current, timesteps, batch.labels)
        terms = loss_terms(self.process, output, batch.start, batch.current, batch.index, batch.noise)
        hybrid = terms.hybrid(self._vlb_weight, self.model.loss_weights(timesteps))
        return hybrid.mean(), (terms.simple.mean(), terms.bound.mean())

    def describe(self, figures: Tensor) -> str:
        return f"simple loss {figures[0]:.4f}  bound {figures[1]:.4f} bits a dimension"
