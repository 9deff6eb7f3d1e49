"""What the commands that train on noised images share: their options, their settings, their progress."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from realnet_edge.cli.options import adding
from realnet_edge.cli.train_settings import read_numbers
from realnet_edge.config import DEVICES, PRECISIONS
from realnet_edge.config.diffusion import AdmConfig
from realnet_edge.config.diffusion_training import NoisedTrainConfig
from realnet_edge.diffusion.presets import DEFAULT_NOISED_PRESET
from realnet_edge.errors import ConfigError

if TYPE_CHECKING:
    from realnet_edge.training.loop import Listeners
    from realnet_edge.training.state import Progress

_Command = TypeVar("_Command", bound=Callable[..., Any])
_Model = TypeVar("_Model", bound=AdmConfig)
_Train = TypeVar("_Train", bound=NoisedTrainConfig)

_NETWORK = (
    click.option("--image-size", type=int, help="Side in pixels of the images."),
    click.option("--patch", type=int, help="Pixels along a side that the network takes as one position."),
    click.option("--width", type=int, help="Channels of the finest level."),
    click.option(
        "--multipliers", callback=read_numbers, metavar="N,N", help="Channels of each level, times the width."
    ),
    click.option("--blocks", type=int, help="Residual blocks a level."),
    click.option(
        "--attention",
        callback=read_numbers,
        metavar="N,N",
        help="Sides, in positions, of levels that attend.",
    ),
    click.option("--head-width", type=int, help="Channels of an attention head."),
    click.option("--groups", type=int, help="Groups of every group norm."),
    click.option("--dropout", type=float, help="Share of values dropped in residual blocks while training."),
)
# Fields of `AdmConfig`.
network_options = adding(_NETWORK)

_STEPS = (
    click.option("--steps", type=int, help="Most optimiser steps."),
    click.option("--minutes", type=float, help="Most minutes; 0 for no limit."),
    click.option("--batch", type=int, help="Images a step."),
    click.option("--accumulate", type=int, metavar="PARTS", help="Compute each batch in so many parts."),
    click.option("--learning-rate", type=float, help="Adam's rate."),
    click.option("--warmup", type=int, help="Steps over which the rate rises."),
    click.option("--clip", type=float, help="Largest norm of the gradients."),
    click.option("--flip/--no-flip", default=None, help="Mirror images at random."),
    click.option("--rotate", type=float, metavar="DEGREES", help="Turn images by up to this much."),
    click.option("--save-every", type=int, help="Steps between saved states and looks at the result."),
    click.option("--seed", type=int, help="Seed of splits, weights, order and noise."),
    click.option("--threads", type=int, help="Threads of PyTorch; 0 for all cores."),
    click.option("--precision", type=click.Choice(PRECISIONS), help="What steps compute in."),
    click.option("--device", type=click.Choice(DEVICES), help="Where; auto: a GPU if there is one."),
    click.option(
        "--gradient-checkpointing/--no-gradient-checkpointing",
        default=None,
        help="Less memory, a third slower.",
    ),
)
# Fields of `NoisedTrainConfig`.
step_options = adding(_STEPS)

_START = (
    click.option("--resume", is_flag=True, help="Go on with an unfinished training of the same settings."),
    click.option("--overwrite", is_flag=True, help="Replace a finished or unfinished training."),
    click.option("--estimate", is_flag=True, help="Say how long it will take on this machine, and stop."),
)
start_options = adding(_START)


def init_option(example: str) -> Callable[[_Command], _Command]:
    """`--init`, a public checkpoint to begin from."""
    return click.option(
        "--init",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help=f"Public ADM checkpoint to begin from, in its own format: {example} for preset paper.",
    )


def preset_option(presets: Collection[str]) -> Callable[[_Command], _Command]:
    """`--preset`, one of these."""
    return click.option(
        "--preset",
        type=click.Choice(list(presets)),
        default=DEFAULT_NOISED_PRESET,
        show_default=True,
        help="Settings to start from; the options below change single ones.",
    )


def changed(model: _Model, train: _Train, changes: dict[str, Any]) -> tuple[_Model, _Train]:
    """A preset's settings with some of them changed.

    Args:
        changes: options by the names of their fields; None leaves the preset's.

    Raises:
        ConfigError: a value that is not valid.
    """
    given = {key: value for key, value in changes.items() if value is not None}
    names = {field.name for field in dataclasses.fields(model)}
    of_model = {key: value for key, value in given.items() if key in names}
    of_train = {key: value for key, value in given.items() if key not in names}
    return dataclasses.replace(model, **of_model), dataclasses.replace(train, **of_train)


def refuse_contradiction(resume: bool, overwrite: bool) -> None:
    """Refuse both at once."""
    if resume and overwrite:
        raise ConfigError("--resume and --overwrite contradict each other: give one of them.")


@contextmanager
def training_listeners(
    config: NoisedTrainConfig, figures: tuple[str, str], shown: bool
) -> Iterator[Listeners]:
    """Who hears of a training: a bar with an estimate on a terminal, and the milestones.

    Args:
        figures: what the two figures of a step are called.
        shown: whether there is a bar.
    """
    from realnet_edge.cli.output import say
    from realnet_edge.cli.training_bar import progress_bar
    from realnet_edge.training.loop import Listeners

    with progress_bar(shown=shown) as bar:
        task = bar.add_task("training", total=1.0)

        def report(progress: Progress, first: float, second: float) -> None:
            done = progress.step / config.steps
            if config.minutes > 0:
                done = max(done, progress.minutes / config.minutes)
            text = f"step {progress.step}  {figures[0]} {first:.4f}  {figures[1]} {second:.4f}"
            bar.update(task, completed=min(1.0, done), description=text)

        yield Listeners(say, report)
