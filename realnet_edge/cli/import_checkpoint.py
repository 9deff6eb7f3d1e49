"""`realnet-edge import-checkpoint`: a checkpoint of the official RealNet code to one of ours."""

from __future__ import annotations

from pathlib import Path

import click

from realnet_edge.cli.options import category_option, json_option, workspace_option


@click.command("import-checkpoint")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@category_option
@workspace_option
@click.option(
    "--data",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder that holds the category's images; `build` and `export` need it.",
)
@click.option(
    "--image-size",
    type=click.IntRange(min=32),
    default=256,
    show_default=True,
    help="Side of the images that it was trained on, in pixels; the file does not say.",
)
@click.option("--rrs-max", type=click.IntRange(min=0), help="Planes kept by maximum, if the file is silent.")
@click.option("--rrs-mean", type=click.IntRange(min=0), help="Planes kept by mean, if the file is silent.")
@click.option("--seed", default=0, show_default=True, help="Decides which images set the threshold.")
@click.option("--overwrite", is_flag=True, help="Replace a checkpoint or an unfinished training.")
@json_option
def command(
    file: Path,
    category: str,
    workspace: Path,
    data: Path | None,
    image_size: int,
    rrs_max: int | None,
    rrs_mean: int | None,
    seed: int,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Bring a checkpoint FILE that the official RealNet code trained.

    Only tensors and plain values are read from the pickle; whatever else it asks for is refused. Backbone,
    blocks, planes and widths follow from the tensors.
    """
    from realnet_edge.cli.output import print_json, say
    from realnet_edge.cli.training_packages import need_training_packages
    from realnet_edge.workspace import Workspace

    need_training_packages("import-checkpoint")
    from realnet_edge.training.importing import import_official

    found, folder = import_official(
        file,
        Workspace(workspace),
        category,
        data_root=data,
        image_size=image_size,
        rrs=(rrs_max, rrs_mean),
        seed=seed,
        overwrite=overwrite,
    )
    config = found.config
    say(f"{config.backbone}, taps {_list(config.taps)}, planes {_list(config.planes)}")
    say(f"blocks of {_list(config.blocks or [1] * len(config.taps))} taps, widths {_list(config.widths)}")
    say(f"RRS: {config.rrs_max} planes by maximum, {config.rrs_mean} by mean")
    if found.epoch is not None:
        say(f"saved after epoch {found.epoch}, best metric {found.best_metric}: chosen on the test images")
    for sentence in found.assumed:
        say(f"assumed: {sentence}")
    say(f"checkpoint: {folder}")
    if data is None:
        say("Without images it can be measured nowhere: import it again with --data before you build.")
    else:
        say(
            "Its training has seen every good image, which makes a threshold from them optimistic: watch the "
            "false alarms."
        )
    if as_json:
        print_json(
            {
                "checkpoint": str(folder),
                "model": config.to_dict(),
                "epoch": found.epoch,
                "best_metric": found.best_metric,
                "assumed": list(found.assumed),
            }
        )


def _list(numbers: tuple[int, ...] | list[int]) -> str:
    return ", ".join(map(str, numbers))
