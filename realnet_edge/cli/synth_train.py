"""`realnet-edge synth train`: a diffusion model of a category's good images (SDAS)."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import click

from realnet_edge.cli.options import category_option, data_option, json_option, workspace_option
from realnet_edge.cli.train_settings import read_numbers
from realnet_edge.config import DEVICES, PRECISIONS
from realnet_edge.config.diffusion import PREDICTIONS, DiffusionModelConfig, DiffusionTrainConfig
from realnet_edge.diffusion.presets import DEFAULT_DIFFUSION_PRESET, DIFFUSION_PRESETS
from realnet_edge.errors import ConfigError


@click.command("train")
@data_option
@category_option
@workspace_option
@click.option(
    "--preset",
    type=click.Choice(list(DIFFUSION_PRESETS)),
    default=DEFAULT_DIFFUSION_PRESET,
    show_default=True,
    help="Settings to start from; the options below change single ones.",
)
@click.option(
    "--init",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Public ADM checkpoint to begin from, in its own format: 256x256 ImageNet for preset paper.",
)
@click.option("--image-size", type=int, help="Side in pixels of the images that it makes.")
@click.option("--patch", type=int, help="Pixels along a side that the U-Net takes as one position.")
@click.option("--width", type=int, help="Channels of the U-Net's finest level.")
@click.option(
    "--multipliers", callback=read_numbers, metavar="N,N", help="Channels of each level, times the width."
)
@click.option("--blocks", type=int, help="Residual blocks a level.")
@click.option(
    "--attention", callback=read_numbers, metavar="N,N", help="Sides, in positions, of levels that attend."
)
@click.option("--head-width", type=int, help="Channels of an attention head.")
@click.option("--groups", type=int, help="Groups of every group norm.")
@click.option("--predicts", type=click.Choice(PREDICTIONS), help="What the U-Net gives: noise as published.")
@click.option("--dropout", type=float, help="Share of values dropped in residual blocks while training.")
@click.option("--steps", type=int, help="Most optimiser steps.")
@click.option("--minutes", type=float, help="Most minutes; 0 for no limit.")
@click.option("--batch", type=int, help="Images a step.")
@click.option("--accumulate", type=int, metavar="PARTS", help="Compute each batch in so many parts.")
@click.option("--learning-rate", type=float, help="Adam's rate.")
@click.option("--warmup", type=int, help="Steps over which the rate rises.")
@click.option("--clip", type=float, help="Largest norm of the gradients.")
@click.option("--ema", type=float, metavar="DECAY", help="Decay a step of the averaged weights.")
@click.option(
    "--vlb-weight", type=float, help="Weight of the variational bound beside the simple loss (paper: 0.001)."
)
@click.option("--flip/--no-flip", default=None, help="Mirror images at random.")
@click.option("--rotate", type=float, metavar="DEGREES", help="Turn images by up to this much.")
@click.option("--save-every", type=int, help="Steps between saved states and sample grids.")
@click.option("--seed", type=int, help="Seed of splits, weights, order and noise.")
@click.option("--threads", type=int, help="Threads of PyTorch; 0 for all cores.")
@click.option("--precision", type=click.Choice(PRECISIONS), help="What steps compute in.")
@click.option("--device", type=click.Choice(DEVICES), help="Where; auto: a GPU if there is one.")
@click.option(
    "--gradient-checkpointing/--no-gradient-checkpointing", default=None, help="Less memory, a third slower."
)
@click.option("--resume", is_flag=True, help="Go on with an unfinished training of the same settings.")
@click.option("--overwrite", is_flag=True, help="Replace a finished or unfinished training.")
@click.option("--estimate", is_flag=True, help="Say how long it will take on this machine, and stop.")
@json_option
def command(
    data: Path,
    category: str,
    workspace: Path,
    preset: str,
    init: Path | None,
    resume: bool,
    overwrite: bool,
    estimate: bool,
    as_json: bool,
    **changes: Any,
) -> None:
    """Train a diffusion model on a category's good images, to synthesise anomalies with it.

    `--category all` trains one model for all categories of the folder, told which one an image shows. A state
    and a grid of samples are written every --save-every steps; after an interruption the same command with
    --resume goes on from there.
    """
    from realnet_edge.cli.output import print_json, say
    from realnet_edge.cli.training_bar import progress_bar
    from realnet_edge.cli.training_packages import need_training_packages
    from realnet_edge.data import load_category, make_splits
    from realnet_edge.diffusion.advice import few_images_advice
    from realnet_edge.workspace import Workspace

    if resume and overwrite:
        raise ConfigError("--resume and --overwrite contradict each other: give one of them.")
    paths = Workspace(workspace).category(category)
    model, config = settings_of(preset, {key: v for key, v in changes.items() if v is not None})
    need_training_packages("synth train", "diffusers")
    found = load_category(data, category)
    count = len(make_splits(found, config.seed).train)
    say(
        f"{len(found.train)} good images, {count} of them to train on; the others stay unseen, as for `train`"
    )
    if warning := few_images_advice(count, category):
        say(warning)
    from realnet_edge.diffusion.trainer import Start, train_diffusion
    from realnet_edge.training.loop import Listeners
    from realnet_edge.training.state import Progress

    with progress_bar(shown=not estimate) as bar:
        task = bar.add_task("training", total=1.0)

        def report(progress: Progress, simple: float, bound: float) -> None:
            done = progress.step / config.steps
            if config.minutes > 0:
                done = max(done, progress.minutes / config.minutes)
            text = f"step {progress.step}  simple {simple:.4f}  bound {bound:.4f}"
            bar.update(task, completed=min(1.0, done), description=text)

        checkpoint = train_diffusion(
            found,
            paths.diffusion,
            model,
            config,
            Start(init, resume, overwrite, estimate),
            Listeners(say, report),
        )
    if checkpoint is None:
        return
    facts = checkpoint.training
    say(f"stopped by {facts['stopped']} after {facts['steps']} steps and {facts['minutes']:.1f} minutes")
    say(f"checkpoint: {paths.diffusion.checkpoint}")
    say(f"samples:    {paths.diffusion.root / 'grids'}: look at the last one before you use the model")
    say(f"next:       realnet-edge synth sample --category {category} --count 1000 --workspace {workspace}")
    if as_json:
        print_json({"checkpoint": str(paths.diffusion.checkpoint), "training": facts})


def settings_of(preset: str, changes: dict[str, Any]) -> tuple[DiffusionModelConfig, DiffusionTrainConfig]:
    """The preset's settings with some of them changed.

    Raises:
        ConfigError: a value that is not valid.
    """
    base = DIFFUSION_PRESETS[preset]
    names = {field.name for field in dataclasses.fields(DiffusionModelConfig)}
    model = {key: value for key, value in changes.items() if key in names}
    train = {key: value for key, value in changes.items() if key not in names}
    return dataclasses.replace(base.model, **model), dataclasses.replace(base.train, **train)
