"""How far `realnet-edge train` is: a bar with an estimate."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress

from realnet_edge.cli.output import console
from realnet_edge.cli.pace import Pace
from realnet_edge.config import TrainConfig

if TYPE_CHECKING:
    from realnet_edge.training.state import Progress


def progress_bar(shown: bool) -> RichProgress:
    """A bar with an estimate of the time that is left; nothing where output is no terminal or is silenced."""
    return RichProgress(
        TextColumn("{task.description}"),
        BarColumn(),
        TimeElapsedColumn(),
        TextColumn("left:"),
        TimeRemainingColumn(),
        console=console,
        disable=not shown or not console.is_terminal or console.quiet,
    )


class TrainingBar:
    """Progress with an estimate on a terminal; elsewhere one line on the pace, and the milestones.

    Args:
        config: the limits.
        say: hears how fast it goes.
        shown: whether this process speaks.
    """

    def __init__(self, config: TrainConfig, say: Callable[[str], None], shown: bool) -> None:
        self._config = config
        self._pace = Pace(config, say if shown else lambda text: None)
        self._bar = progress_bar(shown)
        self._task = self._bar.add_task("training", total=1.0)

    def __enter__(self) -> TrainingBar:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def update(self, progress: Progress, reconstruction: float, segmentation: float) -> None:
        self._pace.update(progress)
        done = progress.step / self._config.steps
        if self._config.minutes > 0:
            done = max(done, progress.minutes / self._config.minutes)
        text = f"step {progress.step}  losses {reconstruction:.3f} {segmentation:.4f}"
        self._bar.update(self._task, completed=min(1.0, done), description=text)
