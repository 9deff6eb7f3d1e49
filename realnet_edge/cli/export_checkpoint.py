"""`realnet-edge export-checkpoint`: a checkpoint of ours as the official RealNet code reads it."""

from __future__ import annotations

from pathlib import Path

import click

from realnet_edge.cli.options import category_option, workspace_option


@click.command("export-checkpoint")
@category_option
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="File to write, such as ckpt_best.pth.tar.",
)
@click.option("--overwrite", is_flag=True, help="Replace the file that is there.")
@workspace_option
def command(category: str, out: Path, overwrite: bool, workspace: Path) -> None:
    """Write a checkpoint in the official RealNet code's format.

    Models that use what the official network has not are refused, with a list of it.
    """
    from realnet_edge.cli.output import say
    from realnet_edge.cli.training_packages import need_training_packages
    from realnet_edge.errors import CheckpointError
    from realnet_edge.workspace import Workspace, require_checkpoint

    need_training_packages("export-checkpoint")
    place = Workspace(workspace)
    require_checkpoint(place, category)
    if out.exists() and not overwrite:
        raise CheckpointError(f"{out} is there already. Give another --out, or replace it with --overwrite.")
    from realnet_edge.model.checkpoint import load_checkpoint
    from realnet_edge.model.official_checkpoint import write_official

    write_official(out, load_checkpoint(place.category(category).checkpoint).model)
    say(f"{out}: for the official code's evaluation and training")
