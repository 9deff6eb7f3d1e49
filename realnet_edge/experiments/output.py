"""What an experiment leaves behind: one JSON document, a Markdown table, for curves a picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from realnet_edge.experiments.markdown import notes, render
from realnet_edge.experiments.paper_figures import Figures
from realnet_edge.experiments.picture import write_picture
from realnet_edge.experiments.plan import Plan, Run
from realnet_edge.experiments.results import RunResult
from realnet_edge.experiments.summary import RowSummary, summarise
from realnet_edge.files import atomic_path


def write_experiment(
    folder: Path, plan: Plan, results: dict[str, RunResult], preset: str, failures: Sequence[str]
) -> tuple[str, tuple[Path, ...]]:
    """Write `<experiment>-<preset>.md`, and the picture where there is one, each aside and then renamed.

    Where checkpoints are chosen on the test set the name says so: `<experiment>-<preset>-test-set.md`.

    Returns:
        The Markdown text and the files written.
    """
    summaries = summarise(plan, results)
    name = f"{plan.experiment.name}-{preset}" + (f"-{plan.checkpoint_by}" if plan.on_test_set else "")
    text = render(plan, summaries, preset, failures)
    files = [folder / f"{name}.md"]
    with atomic_path(files[0]) as temporary:
        temporary.write_text(text, encoding="utf-8")
    if plan.experiment.curves and write_picture(folder / f"{name}.png", plan, summaries):
        files.append(folder / f"{name}.png")
    return text, tuple(files)


def document(
    plan: Plan, results: dict[str, RunResult], preset: str, failures: Sequence[str]
) -> dict[str, Any]:
    """The experiment as JSON values: the settings, each row with its figures and those it stands beside."""
    experiment = plan.experiment
    summaries = summarise(plan, results)
    return {
        "experiment": experiment.name,
        "title": experiment.title,
        "caption": experiment.caption,
        "data_set": experiment.data_set,
        "preset": preset,
        "checkpoint_by": plan.checkpoint_by,
        "settings": plan.base.to_dict(),
        "base": experiment.base or None,
        "metrics": list(experiment.metrics),
        "categories": [category.name for category in plan.categories],
        "subset": plan.is_subset,
        "seeds": list(plan.seeds),
        "notes": list(notes(plan, summaries, preset)),
        "rows": [_row(plan, summary) for summary in summaries],
        "skipped": list(plan.skipped),
        "failed": list(failures),
    }


def _row(plan: Plan, summary: RowSummary) -> dict[str, Any]:
    row, metrics = summary.row, plan.experiment.metrics

    def named(figures: Figures) -> dict[str, float | None]:
        return dict(zip(metrics, figures, strict=False))

    return {
        "name": row.name,
        "label": row.label,
        "not_available": plan.unavailable.get(row.name),
        "paper": named(row.published.average),
        "paper_deviation": named(row.published.deviation),
        "paper_by_category": {name: named(cells) for name, cells in row.published.by_category.items()},
        "paper_same_categories": named(summary.same_categories),
        "ours": {
            metric: asdict(estimate) if estimate else None
            for metric, estimate in zip(metrics, summary.ours, strict=True)
        },
        "differences": {
            metric: asdict(estimate) if estimate else None
            for metric, estimate in zip(metrics, summary.differences, strict=False)
        },
        "results": [asdict(result) for by_seed in summary.results.values() for result in by_seed.values()],
        "pending": [_pending(run) for run in summary.pending],
    }


def _pending(run: Run) -> dict[str, Any]:
    return {"category": run.category.name, "seed": run.seed, "key": run.key}
