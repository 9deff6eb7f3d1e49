"""`realnet-edge build`: an engine bundle at a wanted precision."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from realnet_edge.cli.built import tell_built
from realnet_edge.cli.engine_options import engine_options, read_engine_options
from realnet_edge.cli.on_target import build_prepared, is_given, on_target_options, write_prepared
from realnet_edge.cli.options import (
    FiniteRange,
    json_option,
    signature_option,
    tolerance_option,
    trained_data_option,
    workspace_option,
)
from realnet_edge.cli.step_bar import step_bar
from realnet_edge.config import DEFAULT_FPR


@click.command("build")
@click.option("--category", metavar="NAME", help="Name of the part that is inspected.")
@click.option("--precision", metavar="NAME", help="fp32, fp16 or int8.")
@click.option(
    "--backend",
    metavar="NAME",
    help="Runtime to build for: tensorrt (TensorRT for RTX, too), onnxruntime-tensorrt, "
    "onnxruntime-tensorrt-rtx, onnxruntime-cuda, openvino or onnxruntime.  [default: the best on this "
    "machine]",
)
@click.option(
    "--fpr",
    type=FiniteRange(0, 1, min_open=True, max_open=True),
    default=DEFAULT_FPR,
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
@on_target_options
@signature_option
@json_option
@click.pass_context
def command(
    context: click.Context,
    /,
    category: str | None,
    precision: str | None,
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
    prepare: bool,
    on_target: Path | None,
    rrs: str,
    kernels: Path | None,
    require_signature: tuple[Path, ...] | None,
    as_json: bool,
    **engine: Any,
) -> None:
    """Build an engine bundle, with its threshold, from a trained category.

    The ONNX graph is exported and checked first where it is not of the newest checkpoint. The threshold
    comes from the built engine's scores of good images that training never saw.

    With --prepare nothing is built: what the machine with the backend needs to build its engine goes into
    one folder. There --on-target FOLDER builds, checks and sets it, without PyTorch.
    """
    from realnet_edge.cli.output import say
    from realnet_edge.cli.training_packages import need_training_packages
    from realnet_edge.runtime import best_backend, check_precision, require_backend
    from realnet_edge.workspace import Workspace, require_checkpoint

    place = Workspace(workspace)
    if on_target is not None:
        build_prepared(context, on_target, place, engine)
        return
    if category is None or precision is None:
        raise click.UsageError("Give --category and --precision, or a prepared bundle with --on-target.")
    if prepare and backend is None:
        raise click.UsageError("--prepare needs --backend: the one that will build the engine.")
    engine_options = read_engine_options(engine, max_batch, is_given(context, "max_batch"))
    need_training_packages("build")
    if backend is None:
        backend = best_backend(precision)
        say(f"backend: {backend}, the best for {precision} on this machine")
    # What is only prepared needs no runtime here.
    (check_precision if prepare else require_backend)(backend, precision)
    require_checkpoint(place, category)
    from realnet_edge.calibrate import BuildOptions, build_bundle

    options = BuildOptions(
        fpr,
        max_batch,
        calibration_method,
        exclude,
        tolerance,
        weight_bits,
        engine_options,
        timing_cache,
        rrs,
        kernels,
        require_signature,
    )
    if prepare:
        write_prepared(place, category, precision, backend, data, options, as_json)
        return
    with step_bar() as progress:
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
    tell_built(bundle, as_json)
