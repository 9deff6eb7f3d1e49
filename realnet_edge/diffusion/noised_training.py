"""From good images to a network that knows noised ones: what happens before and after the loop."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic

import diffusers
import torch

from realnet_edge import __version__
from realnet_edge.config.diffusion import AdmConfig
from realnet_edge.config.diffusion_training import NoisedTrainConfig
from realnet_edge.data import CategoryData, Splits, check_images, make_splits
from realnet_edge.data.splits import Part
from realnet_edge.diffusion.advice import describe_time
from realnet_edge.diffusion.checkpoint import Network, NetworkCheckpoint, NetworkFolder
from realnet_edge.diffusion.images import NormalImages
from realnet_edge.diffusion.loop import Examine, NoisedLoop
from realnet_edge.diffusion.noised_step import NoisedStep
from realnet_edge.diffusion.process import DiffusionProcess
from realnet_edge.diffusion.schedule import Schedule
from realnet_edge.errors import ConfigError
from realnet_edge.files import sha256_file
from realnet_edge.training.averaging import WeightAverage
from realnet_edge.training.compute import Compute, choose_compute, explained_memory
from realnet_edge.training.distributed import environment_group
from realnet_edge.training.loop import Listeners
from realnet_edge.training.memory import keep_freed_memory
from realnet_edge.training.resuming import discard_leftovers, refuse_changed_images, refuse_to_lose
from realnet_edge.training.state import Progress, load_training_state
from realnet_edge.workspace import CategoryPaths

_SILENT = Listeners()
# The rate follows from neither: a training may be resumed with others, and go on for longer.
_LIMITS = ("steps", "minutes", "save_every")
_SMALLER = "a smaller --image-size or --preset edge"
# The images of a part of the splits.
ImagesOf = Callable[[Part], NormalImages]


@dataclass(frozen=True)
class Start:
    """How a training begins.

    Attributes:
        init: an ADM checkpoint in its own format to begin from; None begins with random weights.
        resume: go on with an unfinished training.
        overwrite: replace a finished or unfinished one.
        estimate: say how long it will take, and stop.
    """

    init: Path | None = None
    resume: bool = False
    overwrite: bool = False
    estimate: bool = False


@dataclass(frozen=True)
class Kind(Generic[Network]):
    """What is trained, as far as trainings differ.

    Attributes:
        name: for people.
        looks: what a milestone costs time for, for people.
        folder: how its checkpoint is written.
        make: the network with random weights.
        load: fills it with an ADM checkpoint's weights.
        step: what computes steps on it.
        ema: decay a step of the average of the weights, which is then kept; None keeps the weights.
        examine: what looks at it at milestones, from the step, the images and the folder for pictures.
    """

    name: str
    looks: str
    folder: NetworkFolder[Network]
    make: Callable[[], Network]
    load: Callable[[Network, Path], None]
    step: Callable[[Network, Compute, DiffusionProcess], NoisedStep[Network]]
    ema: float | None
    examine: Callable[[NoisedStep[Network], ImagesOf, Path], Examine]


def train_noised(
    kind: Kind[Network],
    category: CategoryData,
    paths: CategoryPaths,
    model_config: AdmConfig,
    config: NoisedTrainConfig,
    start: Start | None = None,
    listeners: Listeners = _SILENT,
) -> NetworkCheckpoint[Network] | None:
    """Train a network on noised good images and write its checkpoint.

    It sees the same images as `realnet-edge train` with the same seed: those held out for the threshold and
    for calibration stay unseen. A state is saved every `save_every` steps; a training that is resumed from
    it ends, on a CPU, with the weights of an uninterrupted one. Its limits may be others than before.

    Args:
        paths: where checkpoint, state and pictures go.
        model_config: with the names of `category.singles` as its categories.
        listeners: who hears of the progress, and of the two figures of each step.

    Returns:
        The checkpoint; None where only an estimate was asked for.

    Raises:
        CheckpointError: a training is in the way, none is there to resume, or `init` does not fit.
        ConfigError: no such device, or several processes.
        DataError: images that cannot be used, or too few.
        OutOfMemoryError: memory ran out.
        TrainingDivergedError: a loss is not finite.
    """
    start = start or Start()
    _refuse_processes(kind.name)
    if config.threads:
        torch.set_num_threads(config.threads)
    compute = choose_compute(config)
    if compute.device.type == "cpu":
        keep_freed_memory()
    settings: dict[str, Any] = {
        "model": model_config.to_dict(),
        "train": {key: value for key, value in config.to_dict().items() if key not in _LIMITS},
        "category": category.name,
        "init": sha256_file(start.init) if start.init else "",
    }
    unfinished = None
    if not start.estimate:
        unfinished = refuse_to_lose(paths, settings, start.resume, start.overwrite)
    splits = make_splits(category, config.seed)
    settings |= {"splits": splits.to_dict(), "arithmetic": compute.arithmetic}
    if unfinished is not None:
        refuse_changed_images(unfinished["splits"], settings["splits"], category)

    def images_of(part: Part) -> NormalImages:
        return _images(category, splits, part, model_config, config, kind.name)

    with explained_memory(config, _SMALLER):
        images = images_of("train")
        step = _begin(kind, config, compute, start.init)
        average = WeightAverage(step.model, kind.ema) if kind.ema else None
        progress = Progress()
        if unfinished is not None:
            progress, _ = load_training_state(paths.training, step.model, step, average)
            listeners.say(f"resumed at step {progress.step}")
        _introduce(kind, step, images, progress, listeners)
        if start.estimate:
            return None
        discard_leftovers(paths.training, keep_state=start.resume)
        examine = kind.examine(step, images_of, paths.root)
        loop = NoisedLoop(step, average, images, progress, settings, paths.training, listeners, examine)
        loop.run()
    if average is not None:
        step.model.load_state_dict({**step.model.state_dict(), **average.state()})
    checkpoint = NetworkCheckpoint(step.model.eval(), _facts(settings, loop))
    kind.folder.save(paths.checkpoint, checkpoint)
    shutil.rmtree(paths.training)
    return checkpoint


def _begin(
    kind: Kind[Network], config: NoisedTrainConfig, compute: Compute, init: Path | None
) -> NoisedStep[Network]:
    """What computes steps, with a model of random weights, or of those of an ADM checkpoint."""
    # The seed decides the first weights.
    torch.manual_seed(config.seed)
    model = kind.make()
    if init is not None:
        kind.load(model, init)
    model.to(compute.device)
    if config.gradient_checkpointing:
        model.unet.enable_gradient_checkpointing()
    return kind.step(model, compute, DiffusionProcess(Schedule.linear(), compute.device))


def _introduce(
    kind: Kind[Network],
    step: NoisedStep[Network],
    images: NormalImages,
    progress: Progress,
    listeners: Listeners,
) -> None:
    """What is about to be trained on what, and how long it will take here."""
    compute, config = step.compute, step.config
    parameters = sum(weight.numel() for weight in step.model.parameters())
    listeners.say(
        f"{kind.name} of {parameters / 1e6:.1f} M parameters on {compute.device.type} in "
        f"{compute.arithmetic}; {len(images)} images to train on"
    )
    seconds = step.seconds(*images.batch(range(config.batch)))
    listeners.say(describe_time(config, progress.step, progress.minutes, seconds, kind.looks))


def _images(
    category: CategoryData,
    splits: Splits,
    part: Part,
    model: AdmConfig,
    config: NoisedTrainConfig,
    name: str,
) -> NormalImages:
    """The images of a part, each with the position of its category."""
    files = splits.paths(category.root, part)
    check_images(files, 1, f"to train a {name} of {category.name}")
    owner = {path: place for place, single in enumerate(category.singles) for path in single.train}
    return NormalImages(files, [owner[path] for path in files], model.image_size, config)


def _facts(settings: dict[str, Any], loop: NoisedLoop[Network]) -> dict[str, Any]:
    progress = loop.progress
    versions = {
        "realnet-edge": __version__,
        "torch": torch.__version__,
        "diffusers": diffusers.__version__,
        "python": platform.python_version(),
    }
    return {
        **{key: value for key, value in settings.items() if key != "model"},
        "stopped": loop.stopped,
        "steps": progress.step,
        "minutes": round(progress.minutes, 2),
        "images": len(loop.images),
        "history": progress.history,
        "versions": versions,
    }


def _refuse_processes(name: str) -> None:
    size = environment_group().size
    if size > 1:
        raise ConfigError(
            f"{size} processes were started: a {name} is trained in one. Start it without torchrun."
        )
