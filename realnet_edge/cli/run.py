"""`realnet-edge run`: score the frames of files, or of what sends pictures by itself."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from realnet_edge.cli.engines import batch_options, chain, load_fallbacks, load_named, say_arithmetic
from realnet_edge.cli.monitor import Web, monitor_options, serve_state
from realnet_edge.cli.options import json_option, signature_option, workspace_option
from realnet_edge.cli.output import console, print_json, say
from realnet_edge.cli.outputs import Outputs, Sink, open_outputs, output_options
from realnet_edge.cli.parts import PartOptions, Parts, part_options
from realnet_edge.cli.source import Region, open_cameras, read_specs, source_options
from realnet_edge.cli.thresholds import kept_thresholds
from realnet_edge.errors import DataError
from realnet_edge.workspace import Workspace

if TYPE_CHECKING:
    from realnet_edge.camera import Camera, Summary


@click.command("run")
@click.option("--category", metavar="NAME", help="Part to inspect; its bundle is taken from the workspace.")
@source_options
@part_options
@click.option("--backend", help="Take this backend's bundle; else the best one that is there.")
@click.option("--precision", help="Take the bundle of this precision; else int8 before fp16 before fp32.")
@click.option(
    "--bundle", "bundle_folder", type=click.Path(path_type=Path), help="A bundle's folder, in no workspace."
)
@click.option(
    "--fallback",
    type=click.Path(path_type=Path),
    multiple=True,
    metavar="BUNDLE",
    help="Bundle's folder whose engine takes over when those before it keep failing; repeatable.",
)
@signature_option
@batch_options
@output_options
@monitor_options
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
    specs: tuple[str, ...],
    timeout: float,
    regions: tuple[tuple[str | None, Region], ...],
    turns: tuple[tuple[str | None, int], ...],
    parts: PartOptions,
    backend: str | None,
    precision: str | None,
    bundle_folder: Path | None,
    fallback: tuple[Path, ...],
    require_signature: tuple[Path, ...] | None,
    batch: int,
    batch_wait_ms: float,
    threshold: float | None,
    threads: int | None,
    limit: int | None,
    strict: bool,
    web: Web,
    workspace: Path,
    as_json: bool,
    **outputs: Any,
) -> None:
    """Score every frame of a source and decide: good or defect.

    SOURCE is a folder, an image, a video, a quoted glob pattern; watch:FOLDER for a folder that a machine
    drops files into, each inspected once, restarts included; post://127.0.0.1:PORT for pictures that are sent
    there (POST /inspect); the address of a stream (rtsp://, http://), /dev/videoN, genicam:SERIAL for a GigE
    or USB3 Vision camera, csi or csi:N on a Jetson, or a GStreamer pipeline without its sink. ${NAME} in it
    stands for an environment variable. A camera that is lost is connected to again for ever; where the engine
    is slower than it, older frames give way to newer ones and are counted.

    With --trigger one part is one inspection: of each camera the first picture at or after a part's message
    is inspected under the part's id, and each part gives one result, "not_inspected" where no picture came.

    Several cameras take turns on one engine: --source left=rtsp://HOST/1 --source right=/dev/video1. Each is
    captured by itself, and its results name it. The run ends when every source has: with a camera among them
    at Ctrl-C.

    Each frame gives one JSON line, see `realnet-edge schema`. A frame that cannot be decoded is reported as
    "not_inspected", never as good, and the run goes on; it ends with exit code 1 if that happened to every
    frame or, with --strict, to any. Ctrl-C ends the run after the frame in hand, with everything written so
    far complete. With --json the summary is the one document on standard output, holding the lines unless
    --out takes them.
    """
    from realnet_edge.camera import Notifier, Supervision, run_line, stop_on_signals
    from realnet_edge.monitor import LineState

    sources = read_specs(specs)
    bundle = load_named(Workspace(workspace), category, backend, precision, bundle_folder, require_signature)
    bundles = [bundle, *load_fallbacks(fallback, bundle, require_signature)]
    state = LineState(bundle.manifest.category, list(sources))
    kept = kept_thresholds(web.threshold_file, bundles, threshold)
    engines = chain(bundles, threshold, threads, state.on_alarm, batch, kept.in_force)
    supervision = Supervision(Notifier.from_environment(), timeout)
    heard = _each(state.on_camera, supervision.on_camera)
    chosen = Outputs(**outputs)
    lines: list[dict[str, Any]] = []
    with ExitStack() as stack:
        opener = Parts(stack, parts, bundle.manifest.category, state.on_trigger)
        cameras = open_cameras(sources, timeout, regions, turns, heard, opener)
        stack.enter_context(engines)
        say_arithmetic(bundle, engines.arithmetic)
        opened = open_outputs(stack, chosen, cameras, bundle, lines if as_json else None, state)
        bar = _progress(stack, cameras, limit, to_terminal=chosen.out is None and not as_json)
        # Who waits for a part's result gets it last: then it is written.
        served = serve_state(stack, web, state, engines, kept)
        sinks: list[Sink] = [*opened, bar, supervision, *served, *opener.sinks]
        stop = stack.enter_context(stop_on_signals())
        stack.enter_context(supervision)
        started = _each(state.started, supervision.started)
        summary = run_line(engines, cameras, sinks, limit, stop, started, batch, batch_wait_ms / 1e3)
        arithmetic = engines.arithmetic
    if as_json:
        head = {
            "bundle": engines.bundle,
            "arithmetic": arithmetic,
            "source": cameras[0].source.name if len(cameras) == 1 else None,
            "threshold": engines.threshold,
        }
        print_json({**head, **summary.to_dict(), **({} if chosen.out else {"inspections": lines})})
    _say_summary(summary, chosen)
    _check_inspected(summary, ", ".join(camera.source.name for camera in cameras), strict)


def _each(*callbacks: Callable[..., None]) -> Callable[..., None]:
    """Calls all of them with what it is called with."""

    def call(*arguments: Any) -> None:
        for callback in callbacks:
            callback(*arguments)

    return call


def _progress(stack: ExitStack, cameras: list[Camera], limit: int | None, to_terminal: bool) -> Sink:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    # Nothing is drawn over result lines that a person is reading on the same terminal.
    hidden = not console.is_terminal or (to_terminal and sys.stdout.isatty())
    columns = (TextColumn("Inspecting"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    bar = stack.enter_context(Progress(*columns, console=console, transient=True, disable=hidden))
    lengths = [len(camera.source) for camera in cameras]
    # Nobody knows how many come where nobody knows it of one camera.
    frames = sum(lengths) if all(lengths) else 0
    expected = frames if limit is None else min(limit, frames)
    task = bar.add_task("Inspecting", total=expected or None)
    return lambda _: bar.advance(task)


def _say_summary(summary: Summary, outputs: Outputs) -> None:
    how = {"end": "", "limit": " (limit reached)", "stopped": " (stopped)"}[summary.ended]
    counts = f"{summary.good} good, {summary.defects} defect, {summary.not_inspected} not inspected"
    say(f"{summary.frames} frames{how}: {counts}")
    if summary.dropped:
        say(f"Dropped: {summary.dropped} frames came while the engine was busy, and were not inspected")
    if summary.reconnects:
        say(f"Reconnected: {summary.reconnects} times")
    for name, one in summary.cameras.items():
        say(
            f"Camera {name}: {one.frames} frames, {one.good} good, {one.defects} defect, "
            f"{one.not_inspected} not inspected, {one.dropped} dropped, {one.reconnects} times reconnected"
        )
    if summary.latency_ms:
        engine, total = summary.latency_ms["engine"], summary.latency_ms["total"]
        say(
            f"Latency p50/p90/p99: engine {engine['p50']:.1f}/{engine['p90']:.1f}/{engine['p99']:.1f} ms, "
            f"from the encoded frame {total['p50']:.1f}/{total['p90']:.1f}/{total['p99']:.1f} ms"
        )
    if summary.fps is not None:
        say(f"Throughput: {summary.fps:.1f} frames a second end to end")
    if outputs.out is not None:
        say(f"Results: {outputs.out}")
    if outputs.save is not None:
        nothing = outputs.save.is_dir() and not any(outputs.save.iterdir())
        said = "; none was written, for good frames get one with --save-all alone" if nothing else ""
        say(f"Overlays: {outputs.save}{said}")


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
