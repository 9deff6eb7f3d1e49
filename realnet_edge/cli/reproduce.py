"""`realnet-edge reproduce`: the paper's experiments beside its figures, and an ablation of our own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from realnet_edge.backbones import BACKBONES
from realnet_edge.cli.options import (
    data_option,
    json_option,
    quality_options,
    source_option,
    training_options,
    workspace_option,
)
from realnet_edge.cli.reproduce_images import reproduce_images
from realnet_edge.cli.sia_option import sia_option
from realnet_edge.cli.train_settings import settings_of
from realnet_edge.config import CHECKPOINT_BY
from realnet_edge.errors import ConfigError, RealnetEdgeError
from realnet_edge.experiments.published import EXPERIMENTS
from realnet_edge.presets import PRESETS, preset

if TYPE_CHECKING:
    from realnet_edge.experiments.place import Place
    from realnet_edge.experiments.plan import Plan, Run


def _seeds(_context: click.Context, _parameter: click.Parameter, value: str) -> tuple[int, ...]:
    """Read "0,1,2" as a tuple of whole numbers."""
    try:
        return tuple(int(part) for part in value.split(","))
    except ValueError as error:
        raise click.BadParameter(f"{value!r} is not a list of whole numbers such as 0,1,2.") from error


def _weights(
    _context: click.Context, _parameter: click.Parameter, values: tuple[str, ...]
) -> dict[str, Path]:
    """Read "resnet34=FILE" parts as files by backbone."""
    found = {}
    for value in values:
        backbone, _, file = value.partition("=")
        if backbone not in BACKBONES or not file:
            raise click.BadParameter(
                f"{value!r} is no BACKBONE=FILE; the backbones are {', '.join(BACKBONES)}."
            )
        found[backbone] = Path(file)
    return found


@click.command("reproduce")
@click.argument("name", metavar="EXPERIMENT", type=click.Choice(list(EXPERIMENTS), case_sensitive=False))
@data_option
@click.option(
    "--category",
    "categories",
    multiple=True,
    metavar="NAME",
    help="Only these, of any data set; repeatable.  [default: those of the experiment's data set]",
)
@workspace_option
@click.option(
    "--seeds", default="0", show_default=True, callback=_seeds, metavar="N,N", help="A run each, and a mean."
)
@click.option(
    "--row",
    "rows",
    multiple=True,
    metavar="NAME",
    help="Run this row alone, and the one that it is compared with; repeatable. --list prints the names; the "
    "table still has all rows.",
)
@click.option(
    "--preset",
    "preset_name",
    type=click.Choice(list(PRESETS)),
    help="Settings that the rows change.  [default: paper; for ablation edge]",
)
@click.option(
    "--textures",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of textures, such as DTD's images/; rows named DTD need it.",
)
@sia_option
@click.option(
    "--weights",
    multiple=True,
    callback=_weights,
    metavar="BACKBONE=FILE",
    help="File with a backbone's ImageNet weights; repeatable.",
)
@click.option("--image-size", type=int, help="Side of the square input in pixels.")
@source_option("Anomaly sources of rows that name none:")
@click.option("--rotate", type=float, metavar="DEGREES", help="Turn normal images by up to this much.")
@click.option("--flip/--no-flip", default=None, help="Mirror normal images at random.")
@training_options
@quality_options
@click.option(
    "--images",
    default=1000,
    show_default=True,
    type=click.IntRange(2),
    help="tableS6: images a source, category and seed.",
)
@click.option(
    "--checkpoint-by",
    type=click.Choice(CHECKPOINT_BY),
    default=CHECKPOINT_BY[0],
    show_default=True,
    help="What each checkpoint is chosen by: good images set aside and synthetic anomalies; or, as the "
    "paper's were, the test set: figures that are too good, kept and marked apart.",
)
@click.option("--discard-checkpoints", is_flag=True, help="Remove each checkpoint once it is evaluated.")
@click.option(
    "--list", "only_list", is_flag=True, help="Show what is done and what would be run; run nothing."
)
@json_option
def command(
    name: str,
    data: Path,
    categories: tuple[str, ...],
    workspace: Path,
    seeds: tuple[int, ...],
    rows: tuple[str, ...],
    preset_name: str | None,
    textures: Path | None,
    sia: dict[str, Path],
    weights: dict[str, Path],
    inception: Path | None,
    lpips: Path | None,
    lpips_network: Path | None,
    images: int,
    checkpoint_by: str,
    discard_checkpoints: bool,
    only_list: bool,
    as_json: bool,
    **changes: Any,
) -> None:
    """Run one of the paper's tables or figures, or our ablation, on the categories at hand.

    EXPERIMENT is table1, table3, table5a, table5b, figure5, tableS1 to tableS6 or ablation. Every row,
    category and seed is a training of its own, evaluated in FP32 PyTorch on all test images. What the package
    cannot do is listed with the reason. Runs lie under _reproduce in the workspace: results.jsonl has a line
    for each that is finished, and the same command after an interruption goes on where it stopped. The table
    stands beside the paper's figures in EXPERIMENT-PRESET.md there; with figure5 a picture, too.

    tableS6 trains nothing: it makes images with each source and measures them. tableS5 trains one model for
    all the categories together, and judges it on each. The paper chose
    checkpoints on the test set; these runs do so with --checkpoint-by test-set alone.

    ablation is not the paper's: one change at a time against the preset as it is, the difference taken seed
    by seed. Give it several --seeds.
    """
    from realnet_edge.cli.output import print_json, say
    from realnet_edge.experiments.output import document, write_experiment
    from realnet_edge.experiments.place import Place
    from realnet_edge.experiments.plan import Request, make_plan
    from realnet_edge.experiments.settings import Settings

    given = {key: value for key, value in changes.items() if value is not None}
    experiment = EXPERIMENTS[name]
    preset_name = preset_name or experiment.preset
    request = Request(
        data=data,
        base=Settings(*settings_of(preset(preset_name), given), align=preset(preset_name).align),
        categories=categories,
        seeds=seeds,
        textures=textures,
        sia=sia,
        weights=weights,
        checkpoint_by=checkpoint_by,
        rows=tuple(dict.fromkeys(rows)),
    )
    place = Place.inside(workspace)
    if experiment.of_images:
        official = {"inception": inception, "lpips": lpips, "lpips_network": lpips_network}
        found = reproduce_images(
            experiment, request, place.root, count=images, files=official, only_list=only_list
        )
        if as_json:
            print_json(found)
        return
    plan = make_plan(experiment, request)
    failures: list[str] = []
    if plan.on_test_set:
        say("Checkpoints are chosen on the test set: too good for anything but comparison with the paper.")
    for sentence in plan.skipped:
        say(f"Left out: {sentence}")
    if only_list:
        _say_list(plan, place)
    else:
        failures = _run_all(plan, place, discard_checkpoints)
    results = place.results.rows()
    found = document(plan, results, preset_name, failures)
    if not only_list:
        text, files = write_experiment(place.root, plan, results, preset_name, failures)
        say(f"\n{text}")
        for file in files:
            say(f"Wrote {file}")
        found["files"] = [str(file) for file in files]
    if as_json:
        print_json(found)
    # Last, for the table of what did finish is out by now.
    if failures:
        raise RealnetEdgeError("\n".join([f"{len(failures)} runs failed:", *failures]))


def _run_all(plan: Plan, place: Place, discard: bool) -> list[str]:
    """Do what is not done yet, one after the other; runs that fail are told of and do not stop the rest."""
    from realnet_edge.cli.output import say
    from realnet_edge.cli.training_packages import need_training_packages

    done = place.results.rows()
    runs = [run for run in plan.to_run if run.key not in done]
    say(f"{len(plan.to_run) - len(runs)} of {len(plan.to_run)} runs are done.")
    if not runs:
        return []
    need_training_packages("reproduce")
    from realnet_edge.experiments.running import execute
    from realnet_edge.runtime.machine import describe_machine
    from realnet_edge.training import Listeners

    machine = describe_machine()
    failures = []
    for number, run in enumerate(runs, 1):
        say(f"[{number}/{len(runs)}] {run.title}")
        try:
            if not execute(run, place, machine, Listeners(say), discard):
                say("another process is at this run: left to it")
        except ConfigError:
            # Settings that are wrong for one run are wrong for all.
            raise
        except RealnetEdgeError as error:
            failures.append(
                f"{run.title}: {error} It lies in {place.paths(run).root}; remove that to begin anew."
            )
            say(f"Failed: {error}")
    return failures


def _say_list(plan: Plan, place: Place) -> None:
    from realnet_edge.cli.output import say

    done = place.results.rows()
    for run in plan.to_run:
        say(f"{_status(run, run.key in done, place)}  {run.title}  (row {run.row.name}, {run.key})")
    labels = {row.name: row.label for row in plan.experiment.rows}
    for row, reason in plan.unavailable.items():
        if row in plan.wanted:
            say(f"not available  {labels[row]}: {reason}")


def _status(run: Run, done: bool, place: Place) -> str:
    if done:
        return "done       "
    paths = place.paths(run)
    if paths.checkpoint.is_dir():
        return "trained    "
    return "unfinished " if paths.training.is_dir() else "to do      "
