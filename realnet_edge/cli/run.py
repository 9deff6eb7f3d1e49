"""`realnet-edge run`: score the frames of a folder, a glob pattern or a video."""

from __future__ import annotations

import math
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from realnet_edge.cli.options import json_option, workspace_option
from realnet_edge.cli.output import console, print_json, say
from realnet_edge.cli.outputs import Outputs, Sink, open_outputs, output_options
from realnet_edge.cli.source import open_viewed, source_options
from realnet_edge.errors import BundleError, ConfigError, DataError
from realnet_edge.workspace import Workspace

if TYPE_CHECKING:
    from realnet_edge.bundle import Bundle
    from realnet_edge.camera import Source, Summary


@click.command("run")
@click.option("--category", metavar="NAME", help="Part to inspect; its bundle is taken from the workspace.")
@source_options
@click.option("--backend", help="Take this backend's bundle; else the best one that is there.")
@click.option("--precision", help="Take the bundle of this precision; else int8 before fp16 before fp32.")
@click.option(
    "--bundle", "bundle_folder", type=click.Path(path_type=Path), help="A bundle's folder, in no workspace."
)
@output_options
@click.option(
    "--threshold", type=float, help="Image score above which a frame is a defect; else the bundle's."
)
@click.option(
    "--threads", type=click.IntRange(1), help="CPU threads for one inference; else the runtime's choice."
)
@click.option("--limit", type=click.IntRange(1), help="Stop after so many frames.")
@click.option("--strict", is_flag=True, help="Exit with 1 if any frame could not be inspected.")
@workspace_option
@json_option
def command(
    category: str | None,
    spec: str,
    timeout: float,
    region: tuple[int, int, int, int] | None,
    rotate: str,
    backend: str | None,
    precision: str | None,
    bundle_folder: Path | None,
    threshold: float | None,
    threads: int | None,
    limit: int | None,
    strict: bool,
    workspace: Path,
    as_json: bool,
    **outputs: Any,
) -> None:
    """Score every frame of a source and decide: good or defect.

    SOURCE is a folder, an image, a video, a quoted glob pattern; watch:FOLDER for a folder that a machine
    drops files into; the address of a stream (rtsp://, http://), /dev/videoN, csi or csi:N on a Jetson, or a
    GStreamer pipeline without its sink. ${NAME} in it stands for an environment variable. A camera that is
    lost is connected to again for ever; where the engine is slower than it, older frames give way to newer
    ones and are counted.

    Each frame gives one JSON line. A frame that cannot be decoded is reported as "not_inspected", never as
    good, and the run goes on; it ends with exit code 1 if that happened to every frame or, with --strict,
    to any. Ctrl-C ends the run after the frame in hand, with everything written so far complete. With
    --json the summary is the one document on standard output, holding the lines unless --out takes them.
    """
    from realnet_edge.camera import run_line, stop_on_signals
    from realnet_edge.runtime import open_runner

    bundle = _load(Workspace(workspace), category, backend, precision, bundle_folder)
    limit_score = _threshold(bundle, threshold)
    runner = open_runner(bundle, threads)
    source = open_viewed(spec, timeout, region, rotate)
    chosen = Outputs(**outputs)
    lines: list[dict[str, Any]] = []
    with ExitStack() as stack:
        stack.enter_context(runner)
        _say_arithmetic(bundle, runner.arithmetic)
        sinks = open_outputs(stack, chosen, source, bundle, lines if as_json else None)
        sinks.append(_progress(stack, source, limit, to_terminal=chosen.out is None and not as_json))
        stop = stack.enter_context(stop_on_signals())
        summary = run_line(runner, source, limit_score, bundle.id, sinks, limit, stop)
    if as_json:
        head = {
            "bundle": bundle.id,
            "arithmetic": runner.arithmetic,
            "source": source.name,
            "threshold": limit_score,
        }
        print_json({**head, **summary.to_dict(), **({} if chosen.out else {"inspections": lines})})
    _say_summary(summary, chosen)
    _check_inspected(summary, source.name, strict)


def _load(
    workspace: Workspace,
    category: str | None,
    backend: str | None,
    precision: str | None,
    folder: Path | None,
) -> Bundle:
    from realnet_edge.bundle import load_bundle
    from realnet_edge.runtime import choose_bundle

    if folder is None:
        if category is None:
            raise ConfigError("nothing says which engine to run: give --category NAME or --bundle FOLDER.")
        found = choose_bundle(workspace, category, backend, precision)
        folder = workspace.category(category).bundle(*found)
    elif backend or precision:
        raise ConfigError("--bundle names one engine: leave out --backend and --precision.")
    bundle = load_bundle(folder)
    if category is not None and bundle.manifest.category != category:
        raise BundleError(f"{folder}: is for {bundle.manifest.category!r}, not for {category!r}.")
    say(f"Bundle {bundle.id} ({folder})")
    return bundle


def _threshold(bundle: Bundle, given: float | None) -> float:
    if given is not None:
        if not (math.isfinite(given) and 0.0 <= given <= 1.0):
            raise ConfigError(f"--threshold {given} is no image score: give a number in [0, 1].")
        return given
    if bundle.manifest.threshold is None:
        raise BundleError(
            f"{bundle.path}: has no threshold, so nothing can be decided. Build it again with enough "
            "held-out images of good parts, or pass --threshold."
        )
    return bundle.manifest.threshold.value


def _progress(stack: ExitStack, source: Source, limit: int | None, to_terminal: bool) -> Sink:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    # Nothing is drawn over result lines that a person is reading on the same terminal.
    hidden = not console.is_terminal or (to_terminal and sys.stdout.isatty())
    columns = (TextColumn("Inspecting"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    bar = stack.enter_context(Progress(*columns, console=console, transient=True, disable=hidden))
    expected = len(source) if limit is None else min(limit, len(source))
    task = bar.add_task("Inspecting", total=expected or None)
    return lambda _: bar.advance(task)


def _say_arithmetic(bundle: Bundle, arithmetic: str) -> None:
    stated = bundle.manifest.arithmetic
    if arithmetic != stated:
        say(
            f"Warning: this machine computes in {arithmetic}, the bundle was built and its threshold set in "
            f"{stated}. Build it here for a threshold that holds."
        )


def _say_summary(summary: Summary, outputs: Outputs) -> None:
    how = {"end": "", "limit": " (limit reached)", "stopped": " (stopped)"}[summary.ended]
    counts = f"{summary.good} good, {summary.defects} defect, {summary.not_inspected} not inspected"
    say(f"{summary.frames} frames{how}: {counts}")
    if summary.dropped:
        say(f"Dropped: {summary.dropped} frames came while the engine was busy, and were not inspected")
    if summary.reconnects:
        say(f"Reconnected: {summary.reconnects} times")
    if summary.latency_ms:
        engine, total = summary.latency_ms["engine"], summary.latency_ms["total"]
        say(
            f"Latency p50/p90/p99: engine {engine['p50']:.1f}/{engine['p90']:.1f}/{engine['p99']:.1f} ms, "
            f"from the encoded frame {total['p50']:.1f}/{total['p90']:.1f}/{total['p99']:.1f} ms"
        )
    if summary.fps is not None:
        say(f"Throughput: {summary.fps:.1f} frames a second end to end")
    for what, path in (("Results", outputs.out), ("Overlays", outputs.save)):
        if path is not None:
            say(f"{what}: {path}")


def _check_inspected(summary: Summary, spec: str, strict: bool) -> None:
    missed = summary.not_inspected
    if summary.frames == 0 and summary.ended != "stopped":
        raise DataError(f"{spec}: not a single frame could be read.")
    if missed and (strict or missed == summary.frames):
        raise DataError(
            f"{missed} of {summary.frames} frames were not inspected: see `error` in their lines."
        )
    if missed:
        say(f"Warning: {missed} frames were not inspected; --strict makes this a failure.")
