"""The training loop: steps, validations, stopping, saving, resuming."""

from __future__ import annotations

import math
import platform
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from realnet_edge import __version__
from realnet_edge.config import ModelConfig, SynthesisConfig, TrainConfig
from realnet_edge.data import CategoryData
from realnet_edge.errors import RealnetEdgeError
from realnet_edge.model import RealNet, losses
from realnet_edge.model.checkpoint import Checkpoint, save_checkpoint
from realnet_edge.training.curves import write_curves
from realnet_edge.training.preparation import Prepared, fit_features, prepare
from realnet_edge.training.resuming import discard_leftovers, refuse_changed_images, refuse_to_lose
from realnet_edge.training.samples import Batch, batches
from realnet_edge.training.state import Progress, load_training_state, save_training_state
from realnet_edge.training.statistics import refresh_statistics
from realnet_edge.training.validation import validate
from realnet_edge.workspace import CategoryPaths

# Cosine decay ends at this share of the peak rate.
_FINAL_RATE = 0.01
Report = Callable[[Progress, float, float], None]


class TrainingDivergedError(RealnetEdgeError):
    """A loss stopped being a number."""


def train(
    category: CategoryData,
    paths: CategoryPaths,
    model_config: ModelConfig,
    synthesis: SynthesisConfig,
    config: TrainConfig,
    *,
    weights: Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
    say: Callable[[str], None] = lambda text: None,
    report: Report = lambda progress, reconstruction, segmentation: None,
) -> Checkpoint:
    """Train RealNet on a category's good images and write its checkpoint.

    Ends at the step or minute limit, or after `patience` validations without improvement, whichever
    comes first; the model of the best validation is kept. A state is saved at every validation, so
    that `resume` goes on from there; with the same seed and step limit the weights equal those of
    an uninterrupted run.

    Args:
        paths: where checkpoint and training state go.
        weights: a local file with the backbone's weights.
        say: called with one line for a person at each milestone.
        report: called after every step with the progress and the step's two losses.

    Raises:
        CheckpointError: a finished or unfinished training is in the way, or none is there to resume.
        TrainingDivergedError: a loss is not finite.
    """
    settings: dict[str, Any] = {
        "model": model_config.to_dict(),
        "synthesis": synthesis.to_dict(),
        "train": config.to_dict(),
        "category": category.name,
    }
    unfinished = refuse_to_lose(paths, settings, resume, overwrite)
    if config.threads:
        torch.set_num_threads(config.threads)
    prepared = prepare(category, model_config, synthesis, config, weights)
    settings["splits"] = prepared.splits.to_dict()
    settings["arithmetic"] = "bf16" if in_bf16(config.precision) else "fp32"
    if unfinished is not None:
        refuse_changed_images(unfinished["splits"], settings["splits"], category)
        if unfinished["arithmetic"] != settings["arithmetic"]:
            say(
                f"this training began in {unfinished['arithmetic']} and goes on in {settings['arithmetic']}: "
                "the weights will differ from those of one machine"
            )
    discard_leftovers(paths.training, keep_state=resume)
    say(
        f"{len(prepared.splits.train)} images to train, {len(prepared.splits.held_out)} held out, "
        f"{len(prepared.splits.calibration)} for calibration; backbone weights: {prepared.weights}"
    )
    say(f"foreground: {prepared.rule} ({prepared.reason})")
    optimiser = torch.optim.Adam(
        [p for p in prepared.model.parameters() if p.requires_grad],
        lr=config.learning_rate,
        betas=(0.9, 0.999),
        fused=True,
    )
    progress = Progress()
    if resume:
        progress, best = load_training_state(paths.training, prepared.model, optimiser)
        say(
            f"resumed at step {progress.step}; best validation so far {progress.best_score:.2f}, "
            f"at step {progress.best_step}"
        )
    else:
        if prepared.model.config.selection == "afs":
            say(f"choosing features (AFS) over {config.afs_batches} batches of {config.batch}")
        fit_features(prepared, config)
        best = _copy(prepared.model)
    loop = _Loop(prepared, config, optimiser, progress, best, settings, paths.training, say, report)
    loop.run()
    prepared.model.load_state_dict(loop.best)
    splits = settings.pop("splits")
    checkpoint = Checkpoint(
        model=prepared.model.eval(),
        config=model_config,
        category=category.name,
        splits=splits,
        data={"root": str(category.root.resolve()), "layout": category.layout},
        foreground={"rule": str(prepared.rule), "reason": prepared.reason},
        training={**settings, "stopped": loop.stopped, **_summary(progress), "versions": _versions()},
    )
    save_checkpoint(paths.checkpoint, checkpoint)
    shutil.rmtree(paths.training)
    return checkpoint


class _Loop:
    """One run of the loop over a prepared model; `stopped` says why it ended."""

    def __init__(
        self,
        prepared: Prepared,
        config: TrainConfig,
        optimiser: torch.optim.Adam,
        progress: Progress,
        best: dict[str, Tensor],
        settings: dict[str, Any],
        folder: Path,
        say: Callable[[str], None],
        report: Report,
    ) -> None:
        self.prepared = prepared
        self.config = config
        self.optimiser = optimiser
        self.progress = progress
        self.best = best
        self.settings = settings
        self.folder = folder
        self.say = say
        self.report = report
        self.bf16 = settings["arithmetic"] == "bf16"
        self.stopped = "steps"
        self._sums = torch.zeros(2, dtype=torch.float64)
        self._counted = 0

    def run(self) -> None:
        config, progress = self.config, self.progress
        model = self.prepared.model
        model.train()
        started = time.monotonic() - 60 * progress.minutes
        first, last = progress.step * config.batch, config.steps * config.batch
        for batch in batches(self.prepared.training, first, last, config.batch, config.workers):
            rate = self._learning_rate()
            reconstruction, segmentation = self._step(model, batch, rate)
            progress.step += 1
            progress.minutes = (time.monotonic() - started) / 60
            self.report(progress, reconstruction, segmentation)
            out_of_time = 0 < config.minutes <= progress.minutes
            if out_of_time or progress.step % config.validate_every == 0 or progress.step == config.steps:
                self._validate(rate)
                progress.minutes = (time.monotonic() - started) / 60
                self._save()
                if out_of_time:
                    self.stopped = "minutes"
                    return
                if 0 < config.patience <= progress.stale:
                    self.stopped = "patience"
                    return

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

    def _step(self, model: RealNet, batch: Batch, rate: float) -> tuple[float, float]:
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        count = len(batch.normal)
        with torch.autocast("cpu", torch.bfloat16, enabled=self.bf16):
            images = torch.cat([batch.normal, batch.anomalous])
            normal = model.select(model.inputs(images, batch.levels))
            selected = []
            for block in normal:
                # A sample without an anomaly is its own normal image: its features serve twice.
                # The backbone is faster channels-last, the U-Nets (GroupNorm, attention) are not.
                mixed = block[:count].clone(memory_format=torch.contiguous_format)
                mixed[batch.carries] = block[count:]
                selected.append(mixed)
            output = model.from_selected(selected)
        reconstruction, segmentation = losses(output, [block[:count] for block in normal], batch.mask)
        values = torch.stack([reconstruction.detach(), segmentation.detach()]).double()
        if not torch.isfinite(values).all():
            raise self._diverged(f"reconstruction loss {values[0]:g}, segmentation loss {values[1]:g}")
        self.optimiser.zero_grad(set_to_none=True)
        (reconstruction + segmentation).backward()
        self.optimiser.step()
        self._sums += values
        self._counted += 1
        return float(values[0]), float(values[1])

    def _diverged(self, seen: str) -> TrainingDivergedError:
        return TrainingDivergedError(
            f"step {self.progress.step}: {seen}. Train again with a lower --learning-rate "
            f"(now {self.config.learning_rate:g}) and --overwrite."
        )

    def _validate(self, rate: float) -> None:
        config, progress, model = self.config, self.progress, self.prepared.model
        refresh_statistics(model, self.prepared.training, config.statistics_batches, config.batch)
        try:
            found = validate(model, self.prepared.validation, config.batch)
        except FloatingPointError as error:
            # The losses were finite, the weights after the last step are not.
            raise self._diverged(str(error)) from error
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
        improved = found.score > progress.best_score
        if improved:
            progress.best_score, progress.best_step, progress.stale = found.score, progress.step, 0
            self.best = _copy(model)
        else:
            progress.stale += 1
        self.say(
            f"step {progress.step}  {progress.minutes:.1f} min  reconstruction {mean[0]:.4f}  segmentation "
            f"{mean[1]:.4f}  validation: image AUROC {found.image_auroc:.2f}  pixel AUROC "
            f"{found.pixel_auroc:.2f}  pixel AP {found.pixel_ap:.2f}{'  *' if improved else ''}"
        )

    def _save(self) -> None:
        save_training_state(
            self.folder, self.prepared.model, self.optimiser, self.best, self.progress, self.settings
        )
        write_curves(self.folder.parent / "training-curves.png", self.progress.history)


def in_bf16(precision: str) -> bool:
    """Whether steps compute in bf16: "auto" does where the processor can, for PyTorch emulates it slowly."""
    return precision == "bf16" or (precision == "auto" and _has_bf16())


def _has_bf16() -> bool:
    return any(
        getattr(torch.cpu, name, lambda: False)()
        for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    )


def _copy(model: RealNet) -> dict[str, Tensor]:
    return {k: v.detach().clone() for k, v in model.state_dict().items()}


def _summary(progress: Progress) -> dict[str, Any]:
    return {
        "steps": progress.step,
        "minutes": round(progress.minutes, 2),
        "best_step": progress.best_step,
        "best_score": progress.best_score,
        "history": progress.history,
    }


def _versions() -> dict[str, str]:
    return {"realnet-edge": __version__, "torch": torch.__version__, "python": platform.python_version()}
