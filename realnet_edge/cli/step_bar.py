"""The progress bar of commands that work in steps of known length."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def step_bar() -> Iterator[Callable[[str, int, int], None]]:
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
