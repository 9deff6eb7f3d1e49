"""Result rows on a terminal: one line an engine where that fits, else one column an engine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich import box
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from realnet_edge.report.columns import COLUMNS, verdict
from realnet_edge.report.rows import ResultRow

_STYLES = {"pass": "bold green", "fail": "bold red", "reference": "dim", "unmeasured": "yellow"}


_FIGURES = tuple((column, column.heading) for column in COLUMNS if column.heading is not None)


@dataclass(frozen=True)
class ResultTable:
    """A rich renderable of result rows; print it with any `rich.console.Console`.

    The wide layout, one line an engine, is used where the console is wide enough for it. Otherwise
    figures run down and engines across, in as many tables as needed: nothing is ever cut off.
    """

    rows: Sequence[ResultRow]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if not self.rows:
            yield Text("No results yet.", style="yellow")
            return
        yield Text(_title(self.rows), style="bold")
        wide = self._wide()
        if Measurement.get(console, options.update(width=10_000), wide).maximum <= options.max_width:
            yield wide
        else:
            yield from self._tall(options.max_width)
        yield Text(_NOTE, style="dim")

    def _wide(self) -> Table:
        table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
        table.add_column("engine", no_wrap=True, style="bold")
        for column, heading in _FIGURES:
            table.add_column(heading, justify="left" if column.words else "right", no_wrap=True)
        table.add_column("verdict", no_wrap=True)
        for row in self.rows:
            table.add_row(_name(self.rows, row), *(column.show(row) for column, _ in _FIGURES), _verdict(row))
        return table

    def _tall(self, width: int) -> list[RenderableType]:
        first = max(len(column.name) for column, _ in _FIGURES) + 1  # and a space between columns
        cells = max(
            len(words)
            for row in self.rows
            for words in (
                *_name(self.rows, row, lines=True).split("\n"),
                str(_verdict(row)),
                *(column.show(row) for column, _ in _FIGURES),
            )
        )
        across = max(1, (width - first) // (cells + 1))
        starts = range(0, len(self.rows), across)
        return [self._tall_part(self.rows[start : start + across]) for start in starts]

    def _tall_part(self, rows: Sequence[ResultRow]) -> Table:
        table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
        table.add_column("", no_wrap=True)
        for row in rows:
            table.add_column(_name(self.rows, row, lines=True), justify="right", overflow="fold")
        group = _FIGURES[0][0].group
        for column, _ in _FIGURES:
            if column.group != group:
                table.add_row()
            group = column.group
            table.add_row(column.name, *(column.show(row) for row in rows))
        table.add_row("verdict", *(_verdict(row) for row in rows))
        return table


_NOTE = (
    "Milliseconds a call: half of the calls were as fast as p50, 99 in 100 as fast as p99. e2e is end to "
    "end, from the encoded frame to the decision. Drift is in percentage points of AUROC against FP32 "
    "PyTorch on the same images; flips are images that got the other decision."
)


def _title(rows: Sequence[ResultRow]) -> str:
    """What all rows share."""
    parts = []
    for values, words in (
        ({row.category for row in rows}, "{}"),
        ({row.images for row in rows}, "{} test images"),
        ({row.batch for row in rows}, "batch {}"),
        ({row.device for row in rows}, "{}"),
    ):
        if len(values) == 1:
            parts.append(words.format(next(iter(values))))
    return ", ".join(parts)


def _name(rows: Sequence[ResultRow], row: ResultRow, lines: bool = False) -> str:
    """The row's name, on two lines if wanted, after its category where there are several."""
    name = row.label.replace("-", "\n", 1) if lines else row.label
    several = len({other.category for other in rows}) > 1
    return f"{row.category}{chr(10) if lines else ' '}{name}" if several else name


def _verdict(row: ResultRow) -> Text:
    return Text(verdict(row), style=_STYLES[row.verdict])
