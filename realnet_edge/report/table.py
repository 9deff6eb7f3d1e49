"""Result rows on a terminal: one line an engine where that fits, else one column an engine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich import box
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from realnet_edge.report import text
from realnet_edge.report.rows import ResultRow

_STYLES = {"pass": "bold green", "fail": "bold red", "reference": "dim", "unmeasured": "yellow"}


@dataclass(frozen=True)
class _Column:
    """One figure: its heading on one line (tall layout) and on two (wide layout), and its text."""

    name: str
    heading: str
    show: Callable[[ResultRow], str]
    left: bool = False
    # First of a group: the tall layout leaves a line free above it.
    group: bool = False


_FIGURES = (
    _Column("arithmetic", "arithmetic", lambda r: r.arithmetic, left=True),
    _Column("size (MB)", "size\nMB", lambda r: text.number(r.size_mb)),
    _Column("engine p50 (ms)", "engine ms\np50", lambda r: text.milliseconds(r.latency_ms_p50), group=True),
    _Column("engine p90 (ms)", "\np90", lambda r: text.milliseconds(r.latency_ms_p90)),
    _Column("engine p99 (ms)", "\np99", lambda r: text.milliseconds(r.latency_ms_p99)),
    _Column("engine FPS", "engine\nFPS", lambda r: text.rate(r.fps)),
    _Column("e2e p50 (ms)", "e2e ms\np50", lambda r: text.milliseconds(r.e2e_ms_p50)),
    _Column("e2e p90 (ms)", "\np90", lambda r: text.milliseconds(r.e2e_ms_p90)),
    _Column("e2e p99 (ms)", "\np99", lambda r: text.milliseconds(r.e2e_ms_p99)),
    _Column("e2e FPS", "e2e\nFPS", lambda r: text.rate(r.e2e_fps)),
    _Column("image AUROC (%)", "image\nAUROC", lambda r: text.number(r.image_auroc, 2), group=True),
    _Column("pixel AUROC (%)", "pixel\nAUROC", lambda r: text.number(r.pixel_auroc, 2)),
    _Column("AU-PRO (%)", "AU-PRO\n30%", lambda r: text.number(r.au_pro, 2)),
    _Column("PRO reference (%)", "PRO\nref.", lambda r: text.number(r.pro_reference, 2)),
    _Column(
        "drift image (pts)",
        "drift\nimage",
        lambda r: text.number(r.drift_image_auroc_points, 2, signed=True),
        group=True,
    ),
    _Column(
        "drift pixel (pts)",
        "\npixel",
        lambda r: text.number(r.drift_pixel_auroc_points, 2, signed=True),
    ),
    _Column("decisions flipped", "flips", lambda r: text.count(r.drift_decisions_flipped)),
)


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
        for column in _FIGURES:
            table.add_column(column.heading, justify="left" if column.left else "right", no_wrap=True)
        table.add_column("verdict", no_wrap=True)
        for row in self.rows:
            table.add_row(_name(self.rows, row), *(column.show(row) for column in _FIGURES), _verdict(row))
        return table

    def _tall(self, width: int) -> list[RenderableType]:
        first = max(len(column.name) for column in _FIGURES) + 1  # and a space between columns
        cells = max(
            len(words)
            for row in self.rows
            for words in (
                *_name(self.rows, row, "\n").split("\n"),
                str(_verdict(row)),
                *(c.show(row) for c in _FIGURES),
            )
        )
        across = max(1, (width - first) // (cells + 1))
        starts = range(0, len(self.rows), across)
        return [self._tall_part(self.rows[start : start + across]) for start in starts]

    def _tall_part(self, rows: Sequence[ResultRow]) -> Table:
        table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
        table.add_column("", no_wrap=True)
        for row in rows:
            table.add_column(_name(self.rows, row, "\n"), justify="right", overflow="fold")
        for column in _FIGURES:
            if column.group:
                table.add_row()
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


def _name(rows: Sequence[ResultRow], row: ResultRow, between: str = "-") -> str:
    """Backend and precision, and what else tells this row from the others."""
    name = f"{row.backend}{between}{row.precision}"
    if len({other.batch for other in rows}) > 1:
        name = f"{name} x{row.batch}"
    if len({other.category for other in rows}) > 1:
        name = f"{row.category}{between if between != '-' else ' '}{name}"
    return name


def _verdict(row: ResultRow) -> Text:
    budget = f" {100 * row.budget:g}%" if row.verdict in ("pass", "fail") and row.budget is not None else ""
    return Text(row.verdict + budget, style=_STYLES[row.verdict])
