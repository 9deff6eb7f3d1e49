"""Result rows of an experiment taken together: means over categories and seeds, and what they gain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, stdev

from realnet_edge.experiments.experiment import Row
from realnet_edge.experiments.paper_figures import Figures
from realnet_edge.experiments.plan import Plan, Run
from realnet_edge.experiments.results import RunResult, measured


@dataclass(frozen=True)
class Estimate:
    """A figure over runs.

    Attributes:
        mean: over seeds, each of them the mean over the categories.
        deviation: sample standard deviation over seeds; None where they are fewer than two.
    """

    mean: float
    deviation: float | None


@dataclass(frozen=True)
class RowSummary:
    """A row's own figures beside the paper's.

    Attributes:
        row: the setting.
        results: its result rows by category, then by seed; only what is done.
        ours: over these, one a metric of the experiment; None where nothing was measured.
        pending: its runs without a result.
        same_categories: mean of the paper's figures over just the categories of `results`; empty where the
            paper does not have all of them.
        differences: from the experiment's base row, one a metric, as `paired`; empty where there is none.
    """

    row: Row
    results: Mapping[str, Mapping[int, RunResult]]
    ours: tuple[Estimate | None, ...]
    pending: tuple[Run, ...]
    same_categories: Figures
    differences: tuple[Estimate | None, ...] = ()

    @property
    def seeds(self) -> tuple[int, ...]:
        """Seeds of which every category has a result."""
        each = [set(by_seed) for by_seed in self.results.values()]
        return tuple(sorted(set.intersection(*each))) if each else ()


def summarise(plan: Plan, results: Mapping[str, RunResult]) -> tuple[RowSummary, ...]:
    """A summary a row of the experiment, those that cannot be run included."""
    experiment = plan.experiment
    found = tuple(_summary(row, plan, results) for row in experiment.rows)
    base = next((summary for summary in found if summary.row.name == experiment.base), None)
    if base is None:
        return found
    return tuple(
        summary
        if summary is base
        else replace(
            summary,
            differences=tuple(paired(summary.results, base.results, metric) for metric in experiment.metrics),
        )
        for summary in found
    )


def paired(
    done: Mapping[str, Mapping[int, RunResult]], base: Mapping[str, Mapping[int, RunResult]], metric: str
) -> Estimate | None:
    """How much a setting gains over another one, seed by seed: what a seed does to both cancels out.

    Args:
        done, base: result rows of the two by category, then by seed.

    Returns:
        Over the seeds that both have in every category, each of them the mean over the categories, in points;
        None where there is none, or the categories are not the same.
    """
    if not done or set(done) != set(base):
        return None
    seeds = set.intersection(*(set(by_seed) for side in (done, base) for by_seed in side.values()))
    means = []
    for seed in sorted(seeds):
        ours = _mean([measured(by_seed[seed], metric) for by_seed in done.values()])
        theirs = _mean([measured(by_seed[seed], metric) for by_seed in base.values()])
        if ours is not None and theirs is not None:
            means.append(ours - theirs)
    return _estimate(means) if means else None


def over_seeds(results: Mapping[int, RunResult], metric: str) -> Estimate | None:
    """A metric of one setting and category; None where no seed measured it."""
    values = [value for row in results.values() if (value := measured(row, metric)) is not None]
    return _estimate(values) if values else None


def _summary(row: Row, plan: Plan, results: Mapping[str, RunResult]) -> RowSummary:
    runs = [run for run in plan.runs if run.row == row]
    done: dict[str, dict[int, RunResult]] = {}
    for run in runs:
        if run.key in results:
            for result in results[run.key].singles:
                done.setdefault(result.category, {})[run.seed] = result
    compared = {category.name for category in plan.compared}
    known = row.published.by_category
    same: Figures = ()
    if done and all(name in compared and name in known for name in done):
        cells = [known[name] for name in done]
        same = tuple(_mean(column) for column in zip(*cells, strict=True))
    return RowSummary(
        row=row,
        results=done,
        ours=tuple(_over_categories(done, metric) for metric in plan.experiment.metrics),
        pending=tuple(run for run in runs if run.key not in results),
        same_categories=same,
    )


def _over_categories(done: Mapping[str, Mapping[int, RunResult]], metric: str) -> Estimate | None:
    """Mean over categories and seeds; the deviation is of seeds that every category has."""
    each = [over_seeds(by_seed, metric) for by_seed in done.values()]
    means = [estimate.mean for estimate in each if estimate is not None]
    # A mean over some of the categories would stand for all of them.
    if not means or len(means) < len(each):
        return None
    seeds = set.intersection(*(set(by_seed) for by_seed in done.values()))
    columns = [[measured(by_seed[seed], metric) for by_seed in done.values()] for seed in sorted(seeds)]
    whole = [mean for column in columns if (mean := _mean(column)) is not None]
    return Estimate(fmean(means), stdev(whole) if len(whole) > 1 else None)


def _estimate(values: Sequence[float]) -> Estimate:
    return Estimate(fmean(values), stdev(values) if len(values) > 1 else None)


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known and len(known) == len(values) else None
