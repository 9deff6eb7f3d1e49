"""Training a diffusion model: the hybrid loss, an average of the weights, and grids of samples to look at."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from realnet_edge.config.diffusion import DiffusionModelConfig, SamplerConfig
from realnet_edge.config.diffusion_training import DiffusionTrainConfig
from realnet_edge.data import CategoryData
from realnet_edge.diffusion.adm import load_adm
from realnet_edge.diffusion.checkpoint import DIFFUSION, DiffusionCheckpoint
from realnet_edge.diffusion.grid import write_grid
from realnet_edge.diffusion.loop import Examine, Findings
from realnet_edge.diffusion.noised_step import NoisedStep
from realnet_edge.diffusion.noised_training import ImagesOf, Kind, Start, train_noised
from realnet_edge.diffusion.sampling import Request, Sampler
from realnet_edge.diffusion.step import DiffusionStep
from realnet_edge.diffusion.unet import NoisePredictor
from realnet_edge.training.loop import Listeners
from realnet_edge.workspace import CategoryPaths

GRID_IMAGES = 8
_SILENT = Listeners()


def train_diffusion(
    category: CategoryData,
    paths: CategoryPaths,
    model_config: DiffusionModelConfig,
    config: DiffusionTrainConfig,
    start: Start | None = None,
    listeners: Listeners = _SILENT,
) -> DiffusionCheckpoint | None:
    """Train a diffusion model on good images and write its checkpoint, as `train_noised` has it.

    Several categories share one model, which is told which one an image shows.

    Args:
        paths: where checkpoint, state and sample grids go: `CategoryPaths.diffusion`.
        model_config: its `categories` are replaced by those of `category`.
        listeners: who hears of the progress; losses are the simple one and the bound in bits a dimension.

    Returns:
        The checkpoint, of the averaged weights; None where only an estimate was asked for.

    Raises:
        RealnetEdgeError: as `train_noised` has them.
    """
    structure = dataclasses.replace(model_config, categories=tuple(part.name for part in category.singles))
    kind = Kind(
        name="diffusion model",
        looks="the sample grids",
        folder=DIFFUSION,
        make=lambda: NoisePredictor(structure),
        load=load_adm,
        step=lambda model, compute, process: DiffusionStep(model, config, compute, process),
        ema=config.ema,
        examine=_draws_grids,
    )
    return train_noised(kind, category, paths, structure, config, start, listeners)


def _draws_grids(step: NoisedStep[NoisePredictor], _images: ImagesOf, root: Path) -> Examine:
    """Images of the averaged weights at strength 0, always of the same seeds, one row a category."""
    model = step.model

    def examine(number: int) -> Findings:
        sampler = Sampler(model, SamplerConfig(), step.compute)
        rows = [
            sampler([Request(seed, 0.0, category) for seed in range(GRID_IMAGES)])
            for category in range(len(model.config.categories))
        ]
        grid = write_grid(root / "grids" / f"step-{number:06d}.png", rows)
        return Findings(f"samples: {grid}")

    return examine
