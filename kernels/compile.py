"""`python -m realnet_edge.kernels.compile`: the Triton kernels as PTX and cubin, without a GPU."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from realnet_edge.errors import ConfigError, KernelError, RealnetEdgeError
from realnet_edge.kernels import catalogue
from realnet_edge.kernels.ahead_of_time import Report, TargetResult, compile_kernels
from realnet_edge.kernels.catalogue import find_kernels
from realnet_edge.kernels.compiled import CUBIN, INDEX, KINDS, PTX, CompiledKernel
from realnet_edge.kernels.spec import KernelSpec
from realnet_edge.kernels.targets import TARGETS, Target, dotted, find_target

# Columns of the table where no terminal sets a limit.
_FILE_WIDTH = 140
_HELP = {"help_option_names": ["-h", "--help"]}


class _Command(click.Command):
    """A command that turns our own errors into their message, as `realnet-edge` does."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except RealnetEdgeError as error:
            if ctx.params.get("debug"):
                raise
            click.echo(f"Error: {error}", err=True)
            raise click.exceptions.Exit(error.exit_code) from error


@click.command("compile", cls=_Command, context_settings=_HELP)
@click.option(
    "--sm",
    "sms",
    type=int,
    multiple=True,
    metavar="NUMBER",
    help="Compute capability to compile for, 87 for 8.7; repeatable.  [default: all]",
)
@click.option("--kernel", "names", multiple=True, metavar="NAME", help="Kernel; repeatable.  [default: all]")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="Folder that takes the files.")
@click.option("--ptx", is_flag=True, help="Write PTX; together with --cubin both.  [default: both]")
@click.option("--cubin", is_flag=True, help="Write cubins.")
@click.option(
    "--ptx-version",
    type=int,
    metavar="NUMBER",
    help="For all targets, 85 for 8.5: what the device's driver loads (CUDA 12.6: 85, 13.0: 90, 13.2: 92).  "
    "[default: the oldest that the target and CUDA 12.6 know]",
)
@click.option("--force", is_flag=True, help="Compile what is up to date, too.")
@click.option("--list", "only_list", is_flag=True, help="Show kernels and targets, and compile nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document to standard output.")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.pass_context
def command(
    context: click.Context,
    sms: tuple[int, ...],
    names: tuple[str, ...],
    out: Path | None,
    ptx: bool,
    cubin: bool,
    ptx_version: int | None,
    force: bool,
    only_list: bool,
    as_json: bool,
    debug: bool,
) -> None:
    """Compile kernels ahead of time, one folder a target: OUT/sm_87/NAME.ptx, NAME.cubin, NAME.json.

    No GPU is needed. NAME.json says how to launch the kernel, OUT/index.json holds all of them. Files that
    are up to date with the kernels' source are left alone; a folder never mixes two versions of it.
    """
    del debug  # the command reads it from the context when it fails
    wanted = find_kernels(names)
    targets = [find_target(sm) for sm in dict.fromkeys(sms)] or list(TARGETS)
    if only_list:
        _list(wanted, targets, as_json)
        return
    if out is None:
        raise ConfigError("--out is missing: give a folder for the files, or --list to see what there is.")
    kinds = [kind for kind, asked in ((PTX, ptx), (CUBIN, cubin)) if asked] or KINDS
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    if not console.is_terminal:
        console.width = _FILE_WIDTH
    with _progress(console, len(targets) * len(wanted)) as report:
        results = compile_kernels(
            (*catalogue.CATALOGUE, *catalogue.OTHERS),
            targets,
            out,
            names=[spec.name for spec in wanted],
            ptx_version=ptx_version,
            kinds=kinds,
            force=force,
            report=report,
        )
    if as_json:
        click.echo(json.dumps(_document(out, results), indent=2, allow_nan=False))
    else:
        _show(console, out, results)
    failed = [result for result in results if result.error]
    for result in failed:
        click.echo(f"Error: {result.error}", err=True)
    context.exit(KernelError.exit_code if failed else 0)


@contextmanager
def _progress(console: Console, total: int) -> Iterator[Report]:
    """A bar over all kernels of all targets; nothing where standard error is no terminal."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("reading the kernels", total=total)

        def report(target: str, kernel: str) -> None:
            bar.update(task, advance=1, description=f"{target} {kernel}")

        yield report


def _document(out: Path, results: Sequence[TargetResult]) -> dict[str, Any]:
    return {
        "out": str(out),
        "ok": not any(result.error for result in results),
        "targets": [
            {
                "target": result.target.name,
                "ptx_version": result.ptx_version,
                "compiled": list(result.compiled),
                "error": str(result.error) if result.error else None,
                "kernels": [kernel.to_dict() for kernel in result.kernels],
            }
            for result in results
        ],
    }


def _show(console: Console, out: Path, results: Sequence[TargetResult]) -> None:
    table = Table("target", "PTX", "kernel", "registers", "shared", "stack", "spills", "threads", "")
    for column in table.columns:
        column.no_wrap = True
    for result in results:
        for kernel in result.kernels:
            table.add_row(*_row(kernel), "compiled" if kernel.name in result.compiled else "up to date")
    console.print(table)
    kernels = [kernel for result in results for kernel in result.kernels]
    console.print(
        "shared: bytes a block, static and dynamic; stack and spills (stored + loaded): bytes a thread.",
        markup=False,
    )
    if spilling := sum(kernel.resources.spills for kernel in kernels):
        text = f"{spilling} of {len(kernels)} spill registers: slower than they need be."
        console.print(text, style="yellow")
    console.print(f"All of it: {out / INDEX}", markup=False)


def _row(kernel: CompiledKernel) -> list[str]:
    needs = kernel.resources
    spills = f"{needs.spill_stores} + {needs.spill_loads}"
    return [
        f"sm_{kernel.sm}",
        dotted(kernel.ptx_version),
        kernel.name,
        str(needs.registers),
        str(needs.static_shared + kernel.dynamic_shared),
        str(needs.stack),
        f"[bold red]{spills} SPILLS[/]" if needs.spills else "0",
        str(kernel.threads_per_block),
    ]


def _list(specs: Sequence[KernelSpec], targets: Sequence[Target], as_json: bool) -> None:
    """Print kernels and targets: here they are the result, so they go to standard output."""
    if as_json:
        document = {
            "kernels": [spec.to_dict() for spec in specs],
            "targets": [
                {"sm": t.sm, "boards": t.boards, "minimum_ptx": t.minimum_ptx, "default_ptx": t.default_ptx}
                for t in targets
            ],
        }
        click.echo(json.dumps(document, indent=2, allow_nan=False))
        return
    click.echo("Kernels")
    for spec in specs:
        takes = ", ".join(f"{p.name} {p.type}" for p in spec.parameters)
        click.echo(f"  {spec.name}: {takes}; {spec.num_warps} warps")
    click.echo("Targets (PTX version written, and the oldest that works)")
    for target in targets:
        click.echo(f"  {target.sm}: {target.boards} ({target.default_ptx}, {target.minimum_ptx})")


def main() -> None:
    """Run the command line and exit: 0 good, 1 a kernel failed, 2 usage."""
    command(prog_name="python -m realnet_edge.kernels.compile")


if __name__ == "__main__":
    main()
