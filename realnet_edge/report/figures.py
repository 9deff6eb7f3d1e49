"""Figures of a benchmark as SVG or PNG bytes: latency, ROC, scores, drift.

Figures are drawn on their own canvases, without pyplot and its global state, on a transparent
ground. Colours keep 3:1 contrast on white and on near-black and stay apart for colour-blind
readers; every series also has a line style or a marker of its own.
"""

from __future__ import annotations

import io
import itertools
import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from realnet_edge.errors import DataError
from realnet_edge.report import text
from realnet_edge.report.compare import Values, check_same_images, find_reference, map_differences, roc_points
from realnet_edge.report.evaluation import Evaluation

Format = Literal["svg", "png"]

# Text and grid have colours of their own, so that a page can replace them by its theme's.
INK = "#1b1e23"
GRID = "#c9ccd1"
GOOD = "#2b7bba"
DEFECT = "#d55e00"
REFERENCE = "#7f7f7f"
_SERIES = ("#2b7bba", "#d55e00", "#009e73", "#a65fa8", "#a67c00", "#0092b3")
_DASHES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1.5, 1.5)), (0, (6, 2, 1.5, 2)), (0, (3, 1)), (0, (8, 3)))
_STYLE: dict[Any, Any] = {
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "svg.fonttype": "none",
    "svg.hashsalt": "realnet-edge",
    "font.family": "sans-serif",
    "font.size": 9.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.7,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.linewidth": 0.5,
    "grid.color": GRID,
    "legend.frameon": False,
    "legend.fontsize": 8.0,
    "legend.handlelength": 2.6,
    **dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), INK),
}
_WIDTH = 5.2


def latency_figure(evaluations: Sequence[Evaluation], fmt: Format = "svg") -> bytes:
    """Latency distribution of every engine, alone and end to end, one lane each.

    Ticks are the 2nd to 98th percentile in steps of 2; the dot is the median, its figure beside it.

    Raises:
        DataError: no evaluation was given.
    """
    _need(evaluations)
    with rc_context(_STYLE):
        figure = Figure(figsize=(_WIDTH, 0.9 + 0.5 * len(evaluations)), layout="constrained")
        axes = figure.add_subplot()
        for lane, evaluation in enumerate(evaluations):
            _latency_lane(axes, lane - 0.17, evaluation.engine_ms, GOOD, "o")
            _latency_lane(axes, lane + 0.21, evaluation.end_to_end_ms, DEFECT, "s")
        axes.plot([], [], color=GOOD, marker="o", ls="none", ms=5, label="engine alone")
        axes.plot([], [], color=DEFECT, marker="s", ls="none", ms=5, label="end to end")
        axes.set_yticks(range(len(evaluations)), [_name(e).replace("-", "\n", 1) for e in evaluations])
        axes.set_ylim(len(evaluations) - 0.4, -0.6)
        axes.grid(visible=False, axis="y")
        values = np.concatenate([np.append(e.engine_ms, e.end_to_end_ms) for e in evaluations])
        _latency_scale(axes, values)
        figure.legend(loc="outside upper right", ncols=2)
        return _save(figure, fmt)


def roc_figure(evaluations: Sequence[Evaluation], fmt: Format = "svg") -> bytes:
    """Image-level ROC of every engine; the marker is where its threshold puts it.

    Raises:
        DataError: no evaluation was given, or one without both good and defect images.
    """
    _need(evaluations)
    with rc_context(_STYLE):
        figure = Figure(figsize=(_WIDTH, 3.9), layout="constrained")
        axes = figure.add_subplot()
        axes.plot([0, 100], [0, 100], color=GRID, lw=1, ls=(0, (2, 2)))
        for evaluation, (colour, dashes) in zip(evaluations, _series(evaluations), strict=True):
            false_positive, true_positive = roc_points(evaluation)
            auroc = evaluation.row.image_auroc
            label = _name(evaluation) + (f"  {auroc:.2f}%" if auroc is not None else "")
            axes.plot(false_positive, true_positive, color=colour, ls=dashes, lw=1.6, label=label)
            called = evaluation.called_defect
            if called is not None:
                x = 100 * called[~evaluation.is_defect].mean()
                y = 100 * called[evaluation.is_defect].mean()
                axes.plot(x, y, "o", color=colour, ms=7, mec=INK, mew=0.8, clip_on=False, zorder=5)
        axes.set_xlim(0, 100)
        axes.set_ylim(0, 101)
        axes.set_xlabel("good images called defects (%)")
        axes.set_ylabel("defects found (%)")
        axes.legend(loc="lower right", title="engine, image AUROC", title_fontsize=8)
        return _save(figure, fmt)


def score_figure(evaluation: Evaluation, fmt: Format = "svg") -> bytes:
    """Histogram of image scores, good and defect, with the threshold."""
    good = evaluation.scores[~evaluation.is_defect]
    defect = evaluation.scores[evaluation.is_defect]
    with rc_context(_STYLE):
        figure = Figure(figsize=(_WIDTH, 3.2), layout="constrained")
        axes = figure.add_subplot()
        edges = _score_axis(axes, evaluation.scores, "x")
        bins, ends = list(edges), (edges[0], edges[-1])
        axes.hist(np.clip(good, *ends), bins, color=GOOD, alpha=0.55, label=f"good ({len(good)})")
        axes.hist(
            np.clip(defect, *ends),
            bins,
            histtype="step",
            color=DEFECT,
            lw=1.6,
            hatch="////",
            label=f"defect ({len(defect)})",
        )
        if evaluation.row.threshold is not None:
            label = f"threshold {text.small(evaluation.row.threshold)}"
            axes.axvline(
                max(evaluation.row.threshold, edges[0]), color=INK, lw=1.3, ls=(0, (4, 2)), label=label
            )
        axes.set_xlabel("image score")
        axes.set_ylabel("images")
        figure.legend(loc="outside upper right", ncols=3)
        return _save(figure, fmt)


def drift_figure(reference: Evaluation, engines: Sequence[Evaluation], fmt: Format = "svg") -> bytes:
    """Each engine's image scores against the reference's; off the diagonal is drift.

    The shaded quadrants are where the engine decides otherwise at its threshold; images there are
    drawn as crosses.

    Raises:
        DataError: no engine was given, or one that saw other images than the reference.
    """
    _need(engines)
    columns = min(2, len(engines))
    lines = math.ceil(len(engines) / columns)
    with rc_context(_STYLE):
        figure = Figure(figsize=(_WIDTH, (2.75 if columns == 2 else 4.2) * lines + 0.3), layout="constrained")
        for index, engine in enumerate(engines):
            check_same_images(reference, engine)
            axes = figure.add_subplot(lines, columns, index + 1)
            _drift_panel(axes, reference, engine)
        handles, labels = figure.axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=3)
        figure.supxlabel("image score of FP32 PyTorch", fontsize=9)
        figure.supylabel("image score of the engine", fontsize=9)
        return _save(figure, fmt)


def map_difference_figure(reference: Evaluation, engines: Sequence[Evaluation], fmt: Format = "svg") -> bytes:
    """Histogram over images of the largest anomaly map difference against the reference.

    Raises:
        DataError: no engine was given, or one that saw other images than the reference.
    """
    _need(engines)
    differences = [map_differences(reference, engine) for engine in engines]
    # Zero has no place on a logarithmic axis: all below the floor falls into the first bin.
    floor = _map_floor([reference, *engines])
    top = max(float(values.max()) for values in differences)
    edges = np.geomspace(floor, max(top, 10 * floor) * 1.05, 37)
    with rc_context(_STYLE):
        figure = Figure(figsize=(_WIDTH, 3.2), layout="constrained")
        axes = figure.add_subplot()
        for engine, values, (colour, dashes) in zip(engines, differences, _series(engines), strict=True):
            clipped = np.clip(values, floor, None)
            axes.hist(
                clipped, list(edges), histtype="step", color=colour, ls=dashes, lw=1.6, label=_name(engine)
            )
        axes.set_xscale("log")
        axes.set_xlabel(f"largest map difference in the image (log scale; first bin: {floor:.1g} or less)")
        axes.set_ylabel("images")
        figure.legend(loc="outside upper center", ncols=2)
        return _save(figure, fmt)


def _latency_lane(axes: Axes, y: float, values: Values, colour: str, marker: str) -> None:
    if not len(values):
        return
    marks = np.quantile(values, np.linspace(0.02, 0.98, 49))
    median = float(np.median(values))
    axes.plot(marks[[0, -1]], [y, y], color=colour, lw=0.8)
    axes.plot(marks, np.full(len(marks), y), "|", color=colour, ms=6, alpha=0.6)
    axes.plot(median, y, marker, color=colour, ms=5, mec=INK, mew=0.6, zorder=4)
    words = text.milliseconds(median)
    axes.annotate(words, (marks[-1], y), (5, 0), textcoords="offset points", va="center", fontsize=8)


def _latency_scale(axes: Axes, values: Values) -> None:
    low, high = float(values.min()), float(values.max())
    if low > 0 and high / low > 6:
        axes.set_xscale("log")
        axes.set_xlim(low / 1.3, high * 1.8)
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_xlabel("milliseconds a call (log scale)")
    else:
        axes.set_xlim(0, high * 1.2)
        axes.set_xlabel("milliseconds a call")


def _drift_panel(axes: Axes, reference: Evaluation, engine: Evaluation) -> None:
    both = np.append(reference.scores, engine.scores)
    _score_axis(axes, both, "x")
    edges = _score_axis(axes, both, "y")
    low, high = edges[0], edges[-1]
    x, y = np.clip(reference.scores, low, high), np.clip(engine.scores, low, high)
    axes.plot([low, high], [low, high], color=INK, lw=0.8)
    flipped = np.zeros(len(x), dtype=np.bool_)
    threshold = engine.row.threshold
    if threshold is not None:
        flipped = (reference.scores > threshold) != (engine.scores > threshold)
        cut = float(np.clip(threshold, low, high))
        axes.axvline(cut, color=INK, lw=0.7, ls=(0, (4, 2)))
        axes.axhline(cut, color=INK, lw=0.7, ls=(0, (4, 2)))
        axes.fill_between([low, cut], cut, high, color=DEFECT, alpha=0.13, lw=0)
        axes.fill_between([cut, high], low, cut, color=DEFECT, alpha=0.13, lw=0)
    for defect, colour, words in ((False, GOOD, "good"), (True, DEFECT, "defect")):
        kind = engine.is_defect == defect
        chosen, crossed = kind & ~flipped, kind & flipped
        axes.plot(x[chosen], y[chosen], "o", color=colour, ms=3, alpha=0.7, mew=0, label=words)
        axes.plot(x[crossed], y[crossed], "X", color=colour, ms=6.5, mec=INK, mew=0.6, zorder=5)
    axes.plot([], [], "X", color="none", ms=6.5, mec=INK, mew=0.8, label="other decision")
    axes.set_aspect("equal", adjustable="box")
    axes.set_title(f"{_name(engine)}: {int(flipped.sum())} of {len(x)} flipped", fontsize=8.5)


def _score_axis(axes: Axes, scores: Values, which: Literal["x", "y"]) -> Values:
    """Scale one axis for scores and return bin edges: logarithmic where most scores crowd near 0."""
    high = max(float(scores.max()), 1e-6)
    if float(np.median(scores)) < 0.04 * high:
        low = max(float(np.quantile(scores, 0.01)) / 1.5, high * 1e-6)
        getattr(axes, f"set_{which}scale")("log")
        edges = np.geomspace(low, min(high * 1.1, 1.0) if high < 1 else high, 37)
    else:
        edges = np.linspace(0.0, high * 1.02, 37)
    getattr(axes, f"set_{which}lim")(edges[0], edges[-1])
    return edges


def _map_floor(evaluations: Sequence[Evaluation]) -> float:
    """The smallest map difference worth showing: float16 maps differ by that much from rounding alone."""
    rounded = any(item.maps.dtype == np.float16 for item in evaluations)
    return 2.0**-11 if rounded else 1e-7


def _series(evaluations: Sequence[Evaluation]) -> list[tuple[str, Any]]:
    """Colour and dashes of each; an engine looks the same in every figure, the reference is grey."""
    styles = iter(zip(itertools.cycle(_SERIES), itertools.cycle(_DASHES), strict=False))
    reference = find_reference(evaluations)
    return [(REFERENCE, "-") if item is reference else next(styles) for item in evaluations]


def _name(evaluation: Evaluation) -> str:
    return evaluation.row.label


def _need(evaluations: Sequence[Evaluation]) -> None:
    if not evaluations:
        raise DataError("a figure needs at least one evaluation; got none.")


def _save(figure: Figure, fmt: Format) -> bytes:
    """Bytes of a figure; the same figure gives the same bytes."""
    stream = io.BytesIO()
    if fmt == "svg":
        silent = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        FigureCanvasSVG(figure)
        figure.savefig(stream, format="svg", metadata=silent)
    elif fmt == "png":
        FigureCanvasAgg(figure)
        figure.savefig(stream, format="png", dpi=150)
    else:
        raise DataError(f"figure format {fmt!r}; it is 'svg' or 'png'.")
    return stream.getvalue()
