"""The loop over a prepared model: steps, learning rate, validations, when it ends, what is saved."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from realnet_edge.config import TrainConfig
from realnet_edge.errors import RealnetEdgeError
from realnet_edge.model import RealNet
from realnet_edge.training.averaging import WeightAverage
from realnet_edge.training.curves import write_curves
from realnet_edge.training.distributed import Group
from realnet_edge.training.preparation import Prepared
from realnet_edge.training.rank_noise import noisy_ranks
from realnet_edge.training.samples import batches
from realnet_edge.training.state import Progress, save_training_state
from realnet_edge.training.statistics import refresh_statistics
from realnet_edge.training.step import Step
from realnet_edge.training.validation import Validation

# Cosine decay ends at this share of the peak rate.
_FINAL_RATE = 0.01
# Points around 50 within which a pixel AUROC says that the map is the same everywhere.
_SAYS_NOTHING = 0.15
Report = Callable[[Progress, float, float], None]


class TrainingDivergedError(RealnetEdgeError):
    """A loss stopped being a number."""


@dataclass(frozen=True)
class Listeners:
    """Who hears of the progress.

    Attributes:
        say: called with one line for a person at each milestone.
        report: called after every step with the progress and the step's two losses.
    """

    say: Callable[[str], None] = lambda text: None
    report: Report = lambda progress, reconstruction, segmentation: None


class Loop:
    """One run of the loop; `stopped` says why it ended, `best` is the state of the best validation.

    Args:
        prepared: model and samples.
        step: what computes one step.
        progress: where the training is.
        best: state_dict of the best model so far.
        settings: saved with every state.
        folder: where states go; curves lie beside it.
        group: the processes that train together; the main one validates, saves and speaks.
        average: of the weights, in every process; None judges and keeps the weights as they are.
    """

    def __init__(
        self,
        prepared: Prepared,
        config: TrainConfig,
        step: Step,
        progress: Progress,
        best: dict[str, Tensor],
        settings: dict[str, Any],
        folder: Path,
        listeners: Listeners,
        group: Group,
        average: WeightAverage | None = None,
    ) -> None:
        self.prepared = prepared
        self.config = config
        self.step = step
        self.progress = progress
        self.best = best
        self.settings = settings
        self.folder = folder
        self.listeners = listeners
        self.group = group
        self.average = average
        self.stopped = "steps"
        self._judged_on = Validation.on
        self._sums = torch.zeros(2, dtype=torch.float64)
        self._counted = 0

    def run(self) -> None:
        """Step until a limit is reached.

        Raises:
            TrainingDivergedError: a loss or a map is not finite.
        """
        config, progress = self.config, self.progress
        model = self.prepared.model
        model.train()
        started = time.monotonic() - 60 * progress.minutes
        first, last = progress.step * config.batch, config.steps * config.batch
        samples = batches(self.prepared.training, first, last, config.batch, config.workers, self.group)
        for batch in samples:
            rate = self._learning_rate()
            with noisy_ranks(model.rrs, config.seed, progress.step, config.rank_noise):
                found = self.step(batch, rate)
            if not torch.isfinite(found).all():
                seen = f"reconstruction loss {found[0]:g}, segmentation loss {found[1]:g}"
                raise self._diverged(progress.step + 1, seen)
            self._sums += found
            self._counted += 1
            progress.step += 1
            if self.average is not None:
                self.average.update(progress.step)
            progress.minutes = self._minutes(started)
            self.listeners.report(progress, float(found[0]), float(found[1]))
            out_of_time = 0 < config.minutes <= progress.minutes
            if out_of_time or progress.step % config.validate_every == 0 or progress.step == config.steps:
                self._validate(rate)
                progress.minutes = self._minutes(started)
                self._save()
                if out_of_time:
                    self.stopped = "minutes"
                    return
                if 0 < config.patience <= progress.stale:
                    self.stopped = "patience"
                    return

    def _minutes(self, started: float) -> float:
        """Minutes since then; with a limit on them, by the main process's clock.

        Processes that disagreed about the limit would wait for each other for ever. Without one nothing
        depends on the time, and a step need not wait for it to travel.
        """
        elapsed = (time.monotonic() - started) / 60
        return self.group.from_main(elapsed) if self.config.minutes > 0 else elapsed

    def _learning_rate(self) -> float:
        """The rate of the next step: linear warm-up, then constant or cosine over the tighter limit."""
        config, progress = self.config, self.progress
        rate = config.learning_rate * min(1.0, (progress.step + 1) / max(1, config.warmup))
        if config.schedule == "constant":
            return rate
        done = progress.step / config.steps
        if config.minutes > 0:
            done = max(done, progress.minutes / config.minutes)
        cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, done)))
        return rate * (_FINAL_RATE + (1 - _FINAL_RATE) * cosine)

    def _diverged(self, step: int, seen: str) -> TrainingDivergedError:
        """The error of a step, counted from 1, with the images that it was made of."""
        first = (step - 1) * self.config.batch
        paths = [self.prepared.training.path(number) for number in range(first, first + self.config.batch)]
        # One folder's, unless several categories are trained as one.
        folders = {path.parent for path in paths}
        names = ", ".join(dict.fromkeys(path.name if len(folders) == 1 else str(path) for path in paths))
        where = f" in {paths[0].parent}" if len(folders) == 1 else ""
        return TrainingDivergedError(
            f"step {step}: {seen}; the batch was made of {names}{where}. "
            "Look at these images, then train again with a lower --learning-rate "
            f"(now {self.config.learning_rate:g}) and --overwrite."
        )

    def _validate(self, rate: float) -> None:
        config, progress, model = self.config, self.progress, self.prepared.model
        with self._eager(), self._kept_weights():
            refresh_statistics(
                model, self.prepared.training, config.statistics_batches, config.batch, self.group
            )
            found = self.group.from_main(self._judged())
            if not isinstance(found, Validation):
                # The losses were finite, the weights after the last step are not.
                raise self._diverged(progress.step, str(found))
            improved = found.score > progress.best_score
            if improved:
                self.best = copy_state(model)
        self._judged_on = found.on
        model.train()
        mean = self._sums / max(1, self._counted)
        self._sums, self._counted = torch.zeros(2, dtype=torch.float64), 0
        progress.history.append(
            {
                "step": progress.step,
                "minutes": round(progress.minutes, 3),
                "learning_rate": rate,
                "reconstruction": float(mean[0]),
                "segmentation": float(mean[1]),
                "image_auroc": found.image_auroc,
                "pixel_auroc": found.pixel_auroc,
                "pixel_ap": found.pixel_ap,
            }
        )
        if improved:
            progress.best_score, progress.best_step, progress.stale = found.score, progress.step, 0
        else:
            progress.stale += 1
        self.listeners.say(
            f"step {progress.step}  {progress.minutes:.1f} min  reconstruction {mean[0]:.4f}  segmentation "
            f"{mean[1]:.4f}  {found.on}: image AUROC {found.image_auroc:.2f}  pixel AUROC "
            f"{found.pixel_auroc:.2f}  pixel AP {found.pixel_ap:.2f}{'  *' if improved else ''}"
        )
        self._warn_of_a_flat_map(found.pixel_auroc)

    def _warn_of_a_flat_map(self, pixel_auroc: float) -> None:
        """The published head has four ReLU channels: some seeds lose all of them while the rate warms up."""
        if abs(pixel_auroc - 50) < _SAYS_NOTHING:
            self.listeners.say(
                f"Warning: the map is nearly the same at every pixel (pixel AUROC {pixel_auroc:.2f}, 50 is "
                "chance). Early in a training that may pass. If the next validation says so too, the "
                "discriminator has died, which more steps do not mend: train with another --seed (now "
                f"{self.config.seed}) and --overwrite."
            )

    def _judged(self) -> Validation | str | None:
        """The validation in the main process, or what went wrong with it; the others wait for its word."""
        if not self.group.is_main:
            return None
        try:
            return self.prepared.judge(self.prepared.model, self.config.batch)
        except FloatingPointError as error:
            return str(error)

    def _kept_weights(self) -> AbstractContextManager[None]:
        """Inside, the model holds the weights that are judged, and kept if they are the best."""
        return nullcontext() if self.average is None else self.average.in_place()

    def _eager(self) -> AbstractContextManager[None]:
        """Validation's batches have other sizes and would be compiled anew."""
        return torch.compiler.set_stance("force_eager") if self.config.compile else nullcontext()

    def _save(self) -> None:
        if not self.group.is_main:
            return
        save_training_state(
            self.folder,
            self.prepared.model,
            self.step,
            self.best,
            self.progress,
            self.settings,
            self.average,
        )
        write_curves(self.folder.parent / "training-curves.png", self.progress.history, self._judged_on)


def copy_state(model: RealNet) -> dict[str, Tensor]:
    """The model's state, apart from the model."""
    return {k: v.detach().clone() for k, v in model.state_dict().items()}
