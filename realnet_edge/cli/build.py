"""`realnet-edge build`: an engine bundle at a wanted precision."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from realnet_edge.cli.engine_options import engine_options, read_engine_options
from realnet_edge.cli.options import (
    category_option,
    json_option,
    tolerance_option,
    trained_data_option,
    workspace_option,
)

if TYPE_CHECKING:
    from realnet_edge.bundle import Bundle


@click.command("build")
@category_option
@click.option("--precision", required=True, metavar="NAME", help="fp32, fp16 or int8.")
@click.option("--backend", metavar="NAME", help="Runtime to build for.  [default: the best on this machine]")
@click.option(
    "--fpr",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.02,
    show_default=True,
    help="Share of good parts that may be called defective.",
)
@trained_data_option
@workspace_option
@click.option("--max-batch", type=click.IntRange(min=1), default=32, show_default=True, help="Largest batch.")
@click.option(
    "--calibration-method",
    type=click.Choice(["minmax", "percentile", "entropy"]),
    default="minmax",
    show_default=True,
    help="How INT8 ranges are taken from the calibration images.",
)
@click.option(
    "--exclude",
    multiple=True,
    metavar="LAYER",
    help="Beginning of layer names that INT8 spares, * for anything; repeatable.",
)
@click.option(
    "--weight-bits",
    type=click.IntRange(7, 8),
    help="Bits of INT8 weights; 7 is right on every processor.  [default: 8, or 7 on x86 without VNNI]",
)
@tolerance_option
@engine_options
@json_option
def command(
    category: str,
    precision: str,
    backend: str | None,
    fpr: float,
    data: Path | None,
    workspace: Path,
    max_batch: int,
    calibration_method: str,
    exclude: tuple[str, ...],
    weight_bits: int | None,
    tolerance: float,
    timing_cache: Path | None,
    as_json: bool,
    **engine: Any,
) -> None:
    """Build an engine bundle, with its threshold, from a trained category.

    The ONNX graph is exported and checked first where it is not of the newest checkpoint. The threshold
    comes from the built engine's scores of good images that training never saw.
    """
    from click.core import ParameterSource

    from realnet_edge.cli.output import print_json, say
    from realnet_edge.cli.training_packages import need_training_packages
    from realnet_edge.runtime import best_backend, require_backend
    from realnet_edge.workspace import Workspace, require_checkpoint

    given = click.get_current_context().get_parameter_source("max_batch") is not ParameterSource.DEFAULT
    engine_options = read_engine_options(engine, max_batch, given)
    need_training_packages("build")
    place = Workspace(workspace)
    require_checkpoint(place, category)
    if backend is None:
        backend = best_backend(precision)
        say(f"backend: {backend}, the best for {precision} on this machine")
    require_backend(backend, precision)
    from realnet_edge.calibrate import BuildOptions, build_bundle, shortfall

    options = BuildOptions(
        fpr,
        max_batch,
        calibration_method,
        exclude,
        tolerance,
        weight_bits,
        engine_options,
        timing_cache,
    )
    with _progress() as progress:
        bundle = build_bundle(
            place,
            category,
            precision,
            backend,
            data_root=data,
            options=options,
            progress=progress,
            tell=say,
        )
    threshold = bundle.manifest.threshold
    warning = None if threshold is None else shortfall(threshold)
    _tell(bundle, warning)
    if as_json:
        warnings = [warning] if warning else []
        print_json({"path": str(bundle.path), "warnings": warnings, "manifest": bundle.manifest.to_dict()})


def _tell(bundle: Bundle, warning: str | None) -> None:
    from realnet_edge.cli.output import say

    made = bundle.manifest
    say(f"{bundle.path}: {made.backend} {made.precision}, computes in {made.arithmetic}")
    if made.threshold is not None:
        say(
            f"threshold {made.threshold.value:.4g} for a false-positive rate of "
            f"{made.threshold.target_fpr:.2%}, from {made.threshold.normals} held-out good images"
        )
    if made.drift is not None:
        correlation = made.drift["score_spearman"]
        ranks = "" if correlation is None else f", rank correlation of scores {correlation:.4f}"
        say(
            f"drift from FP32 PyTorch on {made.drift['images']} good images: map at most "
            f"{made.drift['map_max_abs']:.2g}, on average {made.drift['map_mean_abs']:.2g}{ranks}"
        )
    if warning:
        say(f"Warning: {warning}")


@contextmanager
def _progress() -> Iterator[Callable[[str, int, int], None]]:
    """A bar a step with an estimate; nothing where standard error is no terminal."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from realnet_edge.cli.output import console

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("starting", total=None)

        def show(what: str, done: int, total: int) -> None:
            if done == 0:
                # A new step: its estimate must not come from the step before.
                bar.reset(task, total=total, description=what)
            bar.update(task, completed=done)

        yield show
