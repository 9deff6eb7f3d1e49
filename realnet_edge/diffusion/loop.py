"""The loop over a network that learns noised images: steps, average, saved states, milestones, its end."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic

import torch

from realnet_edge.diffusion.checkpoint import Network
from realnet_edge.diffusion.images import NormalImages
from realnet_edge.diffusion.noised_step import NoisedStep
from realnet_edge.training.averaging import WeightAverage
from realnet_edge.training.loop import Listeners, TrainingDivergedError
from realnet_edge.training.state import Progress, save_training_state


@dataclass(frozen=True)
class Findings:
    """What a look at the network at a milestone brought.

    Attributes:
        text: for a person.
        figures: for the history.
    """

    text: str
    figures: dict[str, float] = field(default_factory=dict)


# Looks at the network after so many steps; it holds the weights that are kept, in evaluation mode.
Examine = Callable[[int], Findings]


class NoisedLoop(Generic[Network]):
    """One run of the loop; `stopped` says why it ended.

    Args:
        step: what computes one step, with the model.
        average: of the model's weights; None keeps none.
        images: what it learns.
        progress: where the training is.
        settings: saved with every state.
        folder: where states go.
        listeners: hear of every step and of milestones.
        examine: looks at the network at every milestone.
    """

    def __init__(
        self,
        step: NoisedStep[Network],
        average: WeightAverage | None,
        images: NormalImages,
        progress: Progress,
        settings: dict[str, Any],
        folder: Path,
        listeners: Listeners,
        examine: Examine,
    ) -> None:
        self.step: NoisedStep[Network] = step
        self.average = average
        self.images = images
        self.progress = progress
        self.settings = settings
        self.folder = folder
        self.listeners = listeners
        self.examine = examine
        self.config = step.config
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
                f"step {progress.step}: {self.step.describe(found)}. Train again with a lower "
                f"--learning-rate (now {self.config.learning_rate:g}) and --overwrite, or in "
                "--precision fp32."
            )
        self._sums += found
        self._counted += 1
        progress.step += 1
        if self.average is not None:
            self.average.update(progress.step)
        self.listeners.report(progress, float(found[0]), float(found[1]))

    def _milestone(self) -> None:
        """Note the figures, save a state, look at the network."""
        progress = self.progress
        mean = self._sums / max(1, self._counted)
        self._sums, self._counted = torch.zeros(2, dtype=torch.float64), 0
        with self._kept_weights():
            self.step.model.eval()
            findings = self.examine(progress.step)
        self.step.model.train()
        progress.history.append(
            {
                "step": progress.step,
                "minutes": round(progress.minutes, 3),
                **dict(zip(self.step.figures, map(float, mean), strict=True)),
                **findings.figures,
            }
        )
        save_training_state(
            self.folder, self.step.model, self.step, {}, progress, self.settings, self.average
        )
        self.listeners.say(
            f"step {progress.step}  {progress.minutes:.1f} min  {self.step.describe(mean)}  {findings.text}"
        )

    def _kept_weights(self) -> AbstractContextManager[None]:
        """Inside, the model holds the weights that will be kept."""
        return nullcontext() if self.average is None else self.average.in_place()
