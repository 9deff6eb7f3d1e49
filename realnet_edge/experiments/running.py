"""One run: train into a folder of its own, evaluate in FP32 PyTorch, add the result row."""

from __future__ import annotations

import fcntl
import importlib.metadata
import platform
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from statistics import fmean
from typing import Any

import torch

from realnet_edge import __version__
from realnet_edge.bench import Evidence, Predictions, measure_accuracy, predict
from realnet_edge.bench.testset import TestSet, gather_test_set
from realnet_edge.config import CHECKPOINT_BY
from realnet_edge.data import Splits
from realnet_edge.errors import ConfigError
from realnet_edge.experiments.paper_choice import paper_choice
from realnet_edge.experiments.place import Place
from realnet_edge.experiments.plan import Run
from realnet_edge.experiments.results import RunResult
from realnet_edge.export import TorchRunner
from realnet_edge.files import recover_folder
from realnet_edge.model.checkpoint import WEIGHTS_FILE, Checkpoint, load_checkpoint
from realnet_edge.runtime.machine import Machine, usable_cores
from realnet_edge.training import Listeners, train
from realnet_edge.training.compute import choose_compute
from realnet_edge.training.distributed import environment_group
from realnet_edge.training.state import read_settings
from realnet_edge.workspace import CategoryPaths

# Images an evaluation runs at once: they share the cost of a call, and 591 M parameters leave room for them.
_BATCH = 4
_PACKAGES = ("torch", "timm", "numpy")


def execute(
    run: Run,
    place: Place,
    machine: Machine,
    listeners: Listeners | None = None,
    discard: bool = False,
) -> bool:
    """Train, or go on with a training, evaluate on all test images and add the result row.

    Nothing that is finished is done again: not a run with a row, nor a training with a checkpoint.

    Args:
        machine: this one, for the row.
        listeners: who hears of the training's progress.
        discard: remove the checkpoint once the row is written.

    Returns:
        Whether the run has a row now; False if another process is at it.

    Raises:
        ConfigError: under `torchrun`, or a device that is not there.
        RealnetEdgeError: whatever training and evaluation raise.
    """
    if environment_group().size > 1:
        raise ConfigError(
            "experiments train in one process each: start `realnet-edge reproduce` without torchrun; several "
            "of them may share a workspace."
        )
    paths = place.paths(run)
    with _alone(paths.root) as alone:
        if not alone:
            return False
        if run.key not in place.results.rows():
            _train(run, paths, listeners or Listeners())
            place.results.append(evaluate(run, paths, machine))
        if discard:
            shutil.rmtree(paths.checkpoint, ignore_errors=True)
    return True


def evaluate(run: Run, paths: CategoryPaths, machine: Machine) -> RunResult:
    """The result row of a trained run: FP32 PyTorch on all test images, as `bench` measures it.

    One model for several categories is judged on each by itself: ranks across them say nothing of either.
    """
    checkpoint = load_checkpoint(paths.checkpoint)
    category, config = run.category, run.settings.train
    splits = Splits.from_dict(checkpoint.splits)
    test = gather_test_set(category, splits=splits)
    with TorchRunner(checkpoint, threads=config.threads or usable_cores()) as runner:
        predictions = predict(runner, test.paths, _BATCH)
    figures = _by_category(test, predictions)
    facts = checkpoint.training
    return RunResult(
        key=run.key,
        category=category.name,
        data_set=category.data_set,
        root=str(category.root.resolve()),
        seed=run.seed,
        settings=run.settings.to_dict(),
        weights=str(run.weights.resolve()) if run.weights else "",
        steps=facts["steps"],
        minutes=facts["minutes"],
        stopped=facts["stopped"],
        best_step=facts["best_step"],
        **_together(figures),
        size_gib=(paths.checkpoint / WEIGHTS_FILE).stat().st_size / 2**30,
        device=_device(run, machine),
        arithmetic=facts["arithmetic"],
        versions=_versions(checkpoint),
        finished=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        checkpoint_by=run.checkpoint_by,
        by_category=figures if category.parts else {},
    )


def _by_category(test: TestSet, predictions: Predictions) -> dict[str, dict[str, Any]]:
    """Images and accuracy of each category in a test set, by the names of `RunResult`'s fields."""
    found = {}
    for name in sorted(set(test.categories)):
        own, places = test.of_category(name)
        answers = Predictions(predictions.maps[places], predictions.scores[places], None)
        masks = own.masks((answers.maps.shape[1], answers.maps.shape[2]))
        evidence = Evidence.of(own.labels, masks, answers)
        found[name] = {
            "images": len(own.samples),
            "image_auroc_low": None,
            "image_auroc_high": None,
            **measure_accuracy(own.labels, masks, answers).to_dict(),
            **(evidence.intervals() if evidence else {}),
        }
    return found


def _together(figures: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The figures of all categories as one: means, where each has the figure, and the sum of the images."""
    parts = list(figures.values())
    if len(parts) == 1:
        return parts[0]
    names = {name for part in parts for name in part if not name.endswith(("_low", "_high"))}
    means = {
        name: None if any(part[name] is None for part in parts) else fmean(part[name] for part in parts)
        for name in sorted(names)
    }
    return {
        **means,
        "images": sum(part["images"] for part in parts),
        "image_auroc_low": None,
        "image_auroc_high": None,
    }


def _train(run: Run, paths: CategoryPaths, listeners: Listeners) -> None:
    for folder in (paths.checkpoint, paths.training):
        recover_folder(folder)
    if paths.checkpoint.is_dir():
        # A kill between the checkpoint and this left it behind; the checkpoint holds all that counts.
        shutil.rmtree(paths.training, ignore_errors=True)
        return
    settings = run.settings
    train(
        run.category,
        paths,
        settings.model,
        settings.synthesis,
        settings.train,
        weights=run.weights,
        resume=read_settings(paths.training) is not None,
        listeners=listeners,
        choice=None if run.checkpoint_by == CHECKPOINT_BY[0] else paper_choice(run.category),
    )


@contextmanager
def _alone(folder: Path) -> Iterator[bool]:
    """Hold a run for this process; the system lets go of it even if the process is killed."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True


def _device(run: Run, machine: Machine) -> str:
    threads = run.settings.train.threads or usable_cores()
    here = f"{machine.cpu}, {threads} thread{'s' if threads > 1 else ''}"
    compute = choose_compute(run.settings.train)
    if compute.device.type == "cpu":
        return here
    return f"{here}; training: {torch.cuda.get_device_name(compute.device)}"


def _versions(checkpoint: Checkpoint) -> str:
    """Of this process, and of the package that trained where it was another."""
    names = [f"{name} {importlib.metadata.version(name)}" for name in _PACKAGES]
    trained = checkpoint.training["versions"]["realnet-edge"]
    own = f"realnet-edge {__version__}" + (f" (trained with {trained})" if trained != __version__ else "")
    return ", ".join([own, *names, f"Python {platform.python_version()}"])
