"""The loop over a diffusion model: steps, average, saved states, sample grids, when it ends."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import torch

from realnet_edge.config.diffusion import DiffusionTrainConfig, SamplerConfig
from realnet_edge.diffusion.grid import write_grid
from realnet_edge.diffusion.images import NormalImages
from realnet_edge.diffusion.sampling import Request, Sampler
from realnet_edge.diffusion.step import DiffusionStep
from realnet_edge.training.averaging import WeightAverage
from realnet_edge.training.loop import Listeners, TrainingDivergedError
from realnet_edge.training.state import Progress, save_training_state

GRID_IMAGES = 8


class DiffusionLoop:
    """One run of the loop; `stopped` says why it ended.

    Args:
        step: what computes one step, with the model.
        average: of the model's weights.
        images: what it learns.
        progress: where the training is.
        settings: saved with every state.
        folder: where states go; sample grids lie beside it.
        listeners: hear of every step and of milestones.
    """

    def __init__(
        self,
        step: DiffusionStep,
        average: WeightAverage,
        images: NormalImages,
        progress: Progress,
        settings: dict[str, Any],
        folder: Path,
        listeners: Listeners,
    ) -> None:
        self.step = step
        self.average = average
        self.images = images
        self.progress = progress
        self.settings = settings
        self.folder = folder
        self.listeners = listeners
        self.config: DiffusionTrainConfig = step.config
        self.stopped = "steps"
        self._sums = torch.zeros(2, dtype=torch.float64)
        self._counted = 0

    def run(self) -> None:
        """Step until a limit is reached.

        Raises:
            TrainingDivergedError: a loss is not finite.
        """
        config, progress = self.config, self.progress
        self.step.model.train()
        started = time.monotonic() - 60 * progress.minutes
        while progress.step < config.steps:
            self._advance()
            progress.minutes = (time.monotonic() - started) / 60
            out_of_time = 0 < config.minutes <= progress.minutes
            if out_of_time or progress.step % config.save_every == 0 or progress.step == config.steps:
                self._milestone()
                progress.minutes = (time.monotonic() - started) / 60
            if out_of_time:
                self.stopped = "minutes"
                return

    def _advance(self) -> None:
        """One step, with the next batch."""
        progress, batch = self.progress, self.config.batch
        first = progress.step * batch
        images, labels = self.images.batch(range(first, first + batch))
        found = self.step(images, labels, progress.step)
        if not torch.isfinite(found).all():
            raise TrainingDivergedError(
                f"step {progress.step}: simple loss {found[0]:g}, bound {found[1]:g}. Train again with a "
                f"lower --learning-rate (now {self.config.learning_rate:g}) and --overwrite, or in "
                "--precision fp32."
            )
        self._sums += found
        self._counted += 1
        progress.step += 1
        self.average.update(progress.step)
        self.listeners.report(progress, float(found[0]), float(found[1]))

    def _milestone(self) -> None:
        """Note the losses, save a state, draw a grid of samples."""
        progress = self.progress
        mean = self._sums / max(1, self._counted)
        self._sums, self._counted = torch.zeros(2, dtype=torch.float64), 0
        progress.history.append(
            {
                "step": progress.step,
                "minutes": round(progress.minutes, 3),
                "simple": float(mean[0]),
                "bound": float(mean[1]),
            }
        )
        save_training_state(
            self.folder, self.step.model, self.step, {}, progress, self.settings, self.average
        )
        grid = self._draw_grid()
        self.listeners.say(
            f"step {progress.step}  {progress.minutes:.1f} min  simple loss {mean[0]:.4f}  bound "
            f"{mean[1]:.4f} bits a dimension  samples: {grid}"
        )

    def _draw_grid(self) -> Path:
        """Images of the averaged weights at strength 0, always of the same seeds, one row a category."""
        model = self.step.model
        categories = range(len(model.config.categories))
        with self.average.in_place():
            model.eval()
            sampler = Sampler(model, SamplerConfig(), self.step.compute)
            rows = [
                sampler([Request(seed, 0.0, category) for seed in range(GRID_IMAGES)])
                for category in categories
            ]
        model.train()
        return write_grid(self.folder.parent / "grids" / f"step-{self.progress.step:06d}.png", rows)
