"""From a category's good images to a checkpoint: what happens before and after the training loop."""

from __future__ import annotations

import copy
import dataclasses
import platform
import shutil
from pathlib import Path
from typing import Any

import torch

from realnet_edge import __version__
from realnet_edge.config import CHECKPOINT_BY, ModelConfig, SynthesisConfig, TrainConfig
from realnet_edge.data import CategoryData
from realnet_edge.errors import ConfigError
from realnet_edge.model.checkpoint import Checkpoint, save_checkpoint
from realnet_edge.training.averaging import WeightAverage
from realnet_edge.training.compute import Compute, choose_compute, explained_memory
from realnet_edge.training.distributed import Group, connected, environment_group, use_group_statistics
from realnet_edge.training.features import normal_features
from realnet_edge.training.fixture_sheet import SHEET_NAME, write_sheet
from realnet_edge.training.loop import Listeners, Loop, copy_state
from realnet_edge.training.memory import keep_freed_memory
from realnet_edge.training.preparation import Prepared, fit_features, prepare
from realnet_edge.training.reconstructions import unreconstructed, warning
from realnet_edge.training.resuming import discard_leftovers, refuse_changed_images, refuse_to_lose
from realnet_edge.training.state import Progress, load_training_state
from realnet_edge.training.step import Step
from realnet_edge.training.validation import Choice
from realnet_edge.workspace import CategoryPaths

_SILENT = Listeners()


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
    listeners: Listeners = _SILENT,
    choice: Choice | None = None,
    preset: dict[str, str] | None = None,
) -> Checkpoint:
    """Train RealNet on a category's good images and write its checkpoint.

    Ends at the step or minute limit, or after `patience` validations without improvement, whichever
    comes first; the model of the best validation is kept. A state is saved at every validation, so
    that `resume` goes on from there; on a CPU, with the same seed and step limit, the weights equal those of
    an uninterrupted run. Under `torchrun` every process takes its part of each batch; the first one writes.

    Args:
        paths: where checkpoint and training state go.
        weights: a local file with the backbone's weights.
        listeners: who hears of the progress, in the first process.
        choice: what the checkpoint is chosen by instead of good images that were set aside and synthetic
            anomalies; for experiments, not for checkpoints that are to inspect parts.
        preset: which preset the settings came from and why, {"name": ..., "reason": ...}, for the record; a
            training that is resumed keeps what it began with.

    Raises:
        CheckpointError: a finished or unfinished training is in the way, or none is there to resume.
        ConfigError: no such device, or a batch that processes and parts do not divide.
        OutOfMemoryError: memory ran out.
        TrainingDivergedError: a loss is not finite.
    """
    group = environment_group()
    compute = choose_compute(config, group.local_rank)
    _refuse_uneven(config, group)
    if config.threads:
        torch.set_num_threads(config.threads)
    if compute.device.type == "cpu":
        keep_freed_memory()
    settings: dict[str, Any] = {
        "model": model_config.to_dict(),
        "synthesis": synthesis.to_dict(),
        "train": config.to_dict(),
        "category": category.name,
        "checkpoint_by": choice.name if choice else CHECKPOINT_BY[0],
    }
    heard = listeners if group.is_main else _SILENT
    with connected(group, compute.device), explained_memory(config):
        unfinished = group.on_main(lambda: refuse_to_lose(paths, settings, resume, overwrite))
        prepared = prepare(category, model_config, synthesis, config, weights, compute.device)
        if choice is not None:
            prepared = dataclasses.replace(prepared, judge=choice.judge)
        settings["splits"] = prepared.splits.to_dict()
        settings["arithmetic"] = compute.arithmetic
        settings["preset"] = (unfinished or {}).get("preset", preset or {})
        if unfinished is not None:
            refuse_changed_images(unfinished["splits"], settings["splits"], category)
            _compare_arithmetic(unfinished["arithmetic"], compute, heard)
        group.on_main(lambda: discard_leftovers(paths.training, keep_state=resume))
        _introduce(prepared, compute, group, heard)
        group.on_main(lambda: _show_alignment(prepared, category, paths, heard))
        loop = _begin(prepared, config, settings, paths, resume, compute, heard, group)
        loop.run()
        prepared.model.load_state_dict(loop.best)
        shares = unreconstructed(prepared.model, prepared.validation, config.batch)
        if (poor := warning(shares)) is not None:
            heard.say(poor)
        splits = settings.pop("splits")
        checkpoint = Checkpoint(
            model=prepared.model.eval(),
            config=model_config,
            category=category.name,
            splits=splits,
            data={"root": str(category.root.resolve()), "layout": category.layout},
            foreground={"rule": prepared.rule, "reason": prepared.reason},
            training={
                **settings,
                "processes": group.size,
                "stopped": loop.stopped,
                **_summary(loop.progress),
                "unreconstructed": [round(share, 4) for share in shares],
                "versions": _versions(),
            },
        )
        if group.is_main:
            save_checkpoint(paths.checkpoint, checkpoint)
            shutil.rmtree(paths.training)
        group.wait()
    return checkpoint


def _begin(
    prepared: Prepared,
    config: TrainConfig,
    settings: dict[str, Any],
    paths: CategoryPaths,
    resume: bool,
    compute: Compute,
    heard: Listeners,
    group: Group,
) -> Loop:
    """The loop at its first step, or where an unfinished training stopped."""
    model = prepared.model
    for unet in model.unets():
        unet.recompute = config.gradient_checkpointing
    if not resume:
        if model.config.selection == "afs":
            heard.say(f"choosing features (AFS) over {config.afs_batches} batches of {config.batch}")
        # While its BatchNorm is its own still: the other processes compute nothing here.
        if group.is_main:
            fit_features(prepared, config)
        group.share_state(model)
    if group.size > 1:
        use_group_statistics(model.rrs)
        use_group_statistics(model.discriminator)
    step = Step(model, config, compute, group)
    average = WeightAverage(model, config.ema) if config.ema else None
    if resume:
        progress, best = load_training_state(paths.training, model, step, average)
        heard.say(
            f"resumed at step {progress.step}; best validation so far {progress.best_score:.2f}, "
            f"at step {progress.best_step}"
        )
    else:
        progress, best = Progress(), copy_state(model)
    step.use_features(normal_features(model, prepared.training, config.feature_cache, config.batch, compute))
    return Loop(prepared, config, step, progress, best, settings, paths.training, heard, group, average)


def _refuse_uneven(config: TrainConfig, group: Group) -> None:
    if config.batch % (group.size * config.accumulate):
        raise ConfigError(
            f"batch is {config.batch}, for {group.size} processes and --accumulate {config.accumulate}; "
            f"valid: multiples of {group.size * config.accumulate}."
        )


def _compare_arithmetic(before: str, compute: Compute, heard: Listeners) -> None:
    if before != compute.arithmetic:
        heard.say(
            f"this training began in {before} and goes on in {compute.arithmetic}: "
            "the weights will differ from those of one machine"
        )


def _introduce(prepared: Prepared, compute: Compute, group: Group, heard: Listeners) -> None:
    """What is about to be trained on what, and why."""
    splits = prepared.splits
    where = f"{compute.device.type} in {compute.arithmetic}"
    if group.size > 1:
        where += f", {group.size} processes"
    heard.say(
        f"{len(splits.train)} images to train, {len(splits.held_out)} held out, "
        f"{len(splits.calibration)} for calibration; backbone weights: {prepared.weights}; on {where}"
    )
    for line in prepared.foregrounds:
        heard.say(line)


def _show_alignment(
    prepared: Prepared, category: CategoryData, paths: CategoryPaths, heard: Listeners
) -> None:
    """How parts are aligned, as a picture, where they are."""
    sheet = paths.root / SHEET_NAME
    if prepared.model.alignment is None:
        # One of a training before this would be taken for this one's.
        sheet.unlink(missing_ok=True)
        return
    alignment = copy.deepcopy(prepared.model.alignment).cpu()
    write_sheet(sheet, alignment, prepared.splits.paths(category.root, "train"))
    heard.say(f"aligned parts to look at: {sheet}")


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
