"""Figure 5 as a picture: each metric over the retention ratio, a line a mode of RRS."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from realnet_edge.experiments.experiment import METRIC_LABELS
from realnet_edge.experiments.markdown import TEST_SET_MARK
from realnet_edge.experiments.plan import Plan
from realnet_edge.experiments.summary import RowSummary
from realnet_edge.files import atomic_path

# Colour, marker and words of a mode: none of them alone tells it.
_MODES = {
    "max": ("#0072b2", "o", "Max"),
    "mean": ("#009e73", "s", "Avg"),
    "both": ("#d55e00", "^", "Max&Avg"),
}


def write_picture(path: Path, plan: Plan, summaries: Sequence[RowSummary]) -> bool:
    """Write the curves as a PNG, all or nothing; error bars are the deviation over seeds.

    The paper's own point stands beside ours where the categories are the same.

    Returns:
        Whether there was anything to draw; nothing is written otherwise.
    """
    if not any(any(summary.ours) for summary in summaries):
        return False
    whose = f"ours, {TEST_SET_MARK}" if plan.on_test_set else "ours"
    figure = Figure(figsize=(12, 3.8), layout="constrained")
    panels = figure.subplots(1, len(plan.experiment.metrics), squeeze=False)[0]
    for place, (axes, metric) in enumerate(zip(panels, plan.experiment.metrics, strict=True)):
        for mode in _MODES:
            _draw_mode(axes, place, mode, summaries, whose)
        _draw_paper(axes, place, summaries)
        axes.set(title=METRIC_LABELS[metric], xlabel="share of the residual planes kept", ylabel="percent")
        axes.grid(alpha=0.3)
    panels[0].legend()
    names = ", ".join(category.name for category in plan.categories)
    figure.suptitle(f"{plan.experiment.title}: {plan.experiment.caption}; {whose}, over {names}", fontsize=10)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=110)
    return True


def _draw_mode(axes: Axes, place: int, mode: str, summaries: Sequence[RowSummary], whose: str) -> None:
    points = sorted(
        (summary.row.change.retention, estimate.mean, estimate.deviation or 0.0)
        for summary in summaries
        if summary.row.change is not None and summary.row.change.rrs == mode
        if (estimate := summary.ours[place]) is not None
    )
    if points:
        x, y, deviation = (list(column) for column in zip(*points, strict=True))
        colour, marker, label = _MODES[mode]
        label = f"{label} ({whose})"
        axes.errorbar(x, y, yerr=deviation, color=colour, marker=marker, capsize=3, label=label)


def _draw_paper(axes: Axes, place: int, summaries: Sequence[RowSummary]) -> None:
    points = [
        (summary.row.change.retention, value)
        for summary in summaries
        if summary.row.change is not None and summary.same_categories
        if (value := summary.same_categories[place]) is not None
    ]
    if points:
        x, y = (list(column) for column in zip(*points, strict=True))
        axes.plot(x, y, "*", color="#1b1e23", markersize=11, label="paper, same categories")
