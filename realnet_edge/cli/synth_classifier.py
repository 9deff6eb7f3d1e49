"""`realnet-edge synth classifier`: what tells categories apart on noised images, to guide sampling (SDAS)."""

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
from realnet_edge.cli.options import data_option, json_option, workspace_option
from realnet_edge.diffusion.presets import CLASSIFIER_PRESETS
from realnet_edge.workspace import ALL, Workspace


@click.command("classifier")
@data_option
@click.option(
    "--category",
    default=ALL,
    show_default=True,
    metavar="all|NAME,NAME",
    help="The categories that it tells apart: all of the folder, or two and more by name.",
)
@workspace_option
@preset_option(CLASSIFIER_PRESETS)
@init_option("the 256x256 ImageNet classifier")
@network_options
@step_options
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
    """Train a classifier of noised good images, which `synth sample --guidance` follows.

    It needs at least two categories. Every --save-every steps a state is written, and told how often it is
    right on images that it is not trained on, by how much noise they carry; after an interruption the same
    command with --resume goes on from there.
    """
    from realnet_edge.cli.output import print_json, say
    from realnet_edge.cli.training_packages import need_training_packages
    from realnet_edge.data import load_categories, make_splits
    from realnet_edge.diffusion.advice import refuse_one_category

    refuse_contradiction(resume, overwrite)
    paths = Workspace(workspace).category(ALL).classifier
    settings = CLASSIFIER_PRESETS[preset]
    model, config = changed(settings.model, settings.train, changes)
    need_training_packages("synth classifier", "diffusers")
    found = load_categories(data, category)
    refuse_one_category(found)
    names = [part.name for part in found.parts]
    count = len(make_splits(found, config.seed).train)
    say(f"{len(found.train)} good images of {', '.join(names)}, {count} of them to train on")
    from realnet_edge.diffusion.classifier_trainer import train_classifier
    from realnet_edge.diffusion.noised_training import Start

    start = Start(init, resume, overwrite, estimate)
    with training_listeners(config, ("cross-entropy", "accuracy"), shown=not estimate) as listeners:
        checkpoint = train_classifier(found, paths, model, config, start, listeners)
    if checkpoint is None:
        return
    facts = checkpoint.training
    say(f"stopped by {facts['stopped']} after {facts['steps']} steps and {facts['minutes']:.1f} minutes")
    say(f"checkpoint: {paths.checkpoint}")
    say(
        f"next:       realnet-edge synth sample --category {names[0]} --count 1000 --guidance 1 --workspace "
        f"{workspace}"
    )
    if as_json:
        print_json({"checkpoint": str(paths.checkpoint), "training": facts})
