"""How far `realnet-edge train` is: a bar with an estimate."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress

from realnet_edge.cli.output import console

if TYPE_CHECKING:
    from realnet_edge.training.state import Progress


class TrainingBar:
    """Progress with an estimate on a terminal; nothing elsewhere, where the milestones are enough."""

    def __init__(self, steps: int, minutes: float, shown: bool) -> None:
        self._steps = steps
        self._minutes = minutes
        self._bar = RichProgress(
            TextColumn("{task.description}"),
            BarColumn(),
            TimeElapsedColumn(),
            TextColumn("left:"),
            TimeRemainingColumn(),
            console=console,
            disable=not shown or not console.is_terminal or console.quiet,
        )
        self._task = self._bar.add_task("training", total=1.0)

    def __enter__(self) -> TrainingBar:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def update(self, progress: Progress, reconstruction: float, segmentation: float) -> None:
        done = progress.step / self._steps
        if self._minutes > 0:
            done = max(done, progress.minutes / self._minutes)
        text = f"step {progress.step}  losses {reconstruction:.3f} {segmentation:.4f}"
        self._bar.update(self._task, completed=min(1.0, done), description=text)
