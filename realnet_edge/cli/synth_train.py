"""`realnet-edge synth train`: a diffusion model of a category's good images (SDAS)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from realnet_edge.cli.noised_training import (
    changed,
    init_option,
    network_options,
    preset_option,
    refuse_contradiction,
    start_options,
    step_options,
    training_listeners,
)
from realnet_edge.cli.options import category_option, data_option, json_option, workspace_option
from realnet_edge.config.diffusion import PREDICTIONS
from realnet_edge.diffusion.presets import DIFFUSION_PRESETS


@click.command("train")
@data_option
@category_option
@workspace_option
@preset_option(DIFFUSION_PRESETS)
@init_option("256x256 ImageNet")
@network_options
@click.option("--predicts", type=click.Choice(PREDICTIONS), help="What the U-Net gives: noise as published.")
@step_options
@click.option("--ema", type=float, metavar="DECAY", help="Decay a step of the averaged weights.")
@click.option(
    "--vlb-weight", type=float, help="Weight of the variational bound beside the simple loss (paper: 0.001)."
)
@start_options
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
    from realnet_edge.cli.training_packages import need_training_packages
    from realnet_edge.data import load_category, make_splits
    from realnet_edge.diffusion.advice import few_images_advice
    from realnet_edge.workspace import Workspace

    refuse_contradiction(resume, overwrite)
    paths = Workspace(workspace).category(category)
    settings = DIFFUSION_PRESETS[preset]
    model, config = changed(settings.model, settings.train, changes)
    need_training_packages("synth train", "diffusers")
    found = load_category(data, category)
    count = len(make_splits(found, config.seed).train)
    say(
        f"{len(found.train)} good images, {count} of them to train on; the others stay unseen, as for `train`"
    )
    if warning := few_images_advice(count, category):
        say(warning)
    from realnet_edge.diffusion.noised_training import Start
    from realnet_edge.diffusion.trainer import train_diffusion

    start = Start(init, resume, overwrite, estimate)
    with training_listeners(config, ("simple", "bound"), shown=not estimate) as listeners:
        checkpoint = train_diffusion(found, paths.diffusion, model, config, start, listeners)
    if checkpoint is None:
        return
    facts = checkpoint.training
    say(f"stopped by {facts['stopped']} after {facts['steps']} steps and {facts['minutes']:.1f} minutes")
    say(f"checkpoint: {paths.diffusion.checkpoint}")
    say(f"samples:    {paths.diffusion.root / 'grids'}: look at the last one before you use the model")
    say(f"next:       realnet-edge synth sample --category {category} --count 1000 --workspace {workspace}")
    if as_json:
        print_json({"checkpoint": str(paths.diffusion.checkpoint), "training": facts})
