"""`realnet-edge bench`: measure every bundle of a category."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from realnet_edge.cli.options import (
    FiniteRange,
    category_option,
    json_option,
    signature_option,
    trained_data_option,
    workspace_option,
)


@click.command("bench")
@category_option
@workspace_option
@trained_data_option
@click.option("--backend", "backends", multiple=True, metavar="NAME", help="Only these bundles; repeatable.")
@click.option("--precision", "precisions", multiple=True, metavar="NAME", help="Only these; repeatable.")
@click.option(
    "--batch",
    "batches",
    type=click.IntRange(min=1),
    multiple=True,
    help="Images at once; repeatable, a row each.  [default: 1, or the fewest that an engine takes]",
)
@click.option("--images", type=click.IntRange(min=2), help="At most that many test images, evenly spread.")
@click.option(
    "--budget",
    type=FiniteRange(0, 1, min_open=True),
    default=0.99,
    show_default=True,
    help="Share of FP32 PyTorch's accuracy that every metric must keep.",
)
@click.option(
    "--runs", type=click.IntRange(min=1), default=50, show_default=True, help="Timed calls of each engine."
)
@click.option("--threads", type=click.IntRange(min=1), help="Processor threads an engine.  [default: all]")
@click.option("--sequential", is_flag=True, help="Load one engine at a time: less memory, noisier ratios.")
@click.option("--csv", "csv_file", type=click.Path(dir_okay=False, path_type=Path), help="Rows also here.")
@click.option(
    "--html", "html_file", type=click.Path(dir_okay=False, path_type=Path), help="Report also here."
)
@click.option("--save-images", type=click.IntRange(min=0), default=0, help="Overlays to save, each engine.")
@click.option("--record", is_flag=True, help="Write the measured accuracy into the bundles' manifests.")
@signature_option
@json_option
def command(
    category: str,
    workspace: Path,
    data: Path | None,
    backends: tuple[str, ...],
    precisions: tuple[str, ...],
    batches: tuple[int, ...],
    images: int | None,
    budget: float,
    runs: int,
    threads: int | None,
    sequential: bool,
    csv_file: Path | None,
    html_file: Path | None,
    save_images: int,
    record: bool,
    require_signature: tuple[Path, ...] | None,
    as_json: bool,
) -> None:
    """Measure every bundle: accuracy, drift and speed in one row.

    FP32 PyTorch runs beside the bundles where it can, each engine in a process of its own and in turns.
    Results go to bench/latest in the category's folder: rows.json, rows.csv and report.html. The exit
    status is 3 when an engine does not keep the budget; engines without anything to compare with do not
    fail it. --record gives a bundle's manifest its accuracy on all test images, so that machines without
    torch have something to compare with on the same images.
    """
    from realnet_edge.bench import BenchSettings, document, record_accuracy, run_bench, write_bench
    from realnet_edge.cli.output import console, print_json, say
    from realnet_edge.errors import ConfigError, GateError
    from realnet_edge.report.html import write_report
    from realnet_edge.report.rows import write_csv
    from realnet_edge.report.table import ResultTable
    from realnet_edge.workspace import Workspace

    if record and images is not None:
        raise ConfigError(
            f"--record and --images {images} cannot go together: the bundles are to tell the accuracy on all "
            "test images. Leave one of the two out."
        )
    settings = BenchSettings(
        data=data,
        backends=backends,
        precisions=precisions,
        batches=batches,
        images=images,
        budget=budget,
        runs=runs,
        threads=threads,
        sequential=sequential,
        require_signature=require_signature,
    )
    place = Workspace(workspace)
    with _progress() as progress:
        result = run_bench(place, category, settings, progress)
    folder = place.category(category).bench / "latest"
    write_bench(folder, result, save_images)
    if csv_file is not None:
        write_csv(csv_file, result.rows)
    if html_file is not None:
        write_report(html_file, result.rows, result.evaluations, notes=result.notes)
    console.print(ResultTable(result.rows))
    for note in result.notes:
        say(note)
    say(f"Report: {folder / 'report.html'}")
    if as_json:
        print_json(document(result) | {"folder": str(folder)})
    # Last, for it may fail: what was measured is out by now.
    if record:
        for bundle in record_accuracy(place, result, require_signature):
            say(f"{bundle.path}: has a new manifest; if it was signed, sign it again with realnet-edge sign")
    if result.failed:
        names = ", ".join(f"{row.name} (batch {row.batch})" for row in result.failed)
        raise GateError(
            f"{names} kept less than {100 * budget:g}% of FP32 PyTorch's accuracy. Keep more of the network "
            "in higher precision, calibrate on more images, or lower --budget."
        )


@contextmanager
def _progress() -> Iterator[Callable[[int, int, str], None]]:
    """A progress bar with an estimate; nothing where standard error is no terminal."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from realnet_edge.cli.output import console

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("starting", total=None)
        yield lambda done, total, what: bar.update(task, completed=done, total=total, description=what)
