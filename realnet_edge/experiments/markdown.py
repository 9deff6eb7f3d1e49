"""An experiment's table in Markdown: our figures, what they stand beside, and what keeps them apart."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from realnet_edge.data import DATA_SETS
from realnet_edge.experiments.experiment import METRIC_LABELS
from realnet_edge.experiments.paper_figures import Figures, Published
from realnet_edge.experiments.plan import Plan
from realnet_edge.experiments.results import RunResult
from realnet_edge.experiments.settings import Settings
from realnet_edge.experiments.summary import Estimate, RowSummary, over_seeds, paired

SELECTION_NOTE = (
    "The paper chose its checkpoints on the test set. Ours were chosen on good images that had been set "
    "aside and on synthetic anomalies; no test image was looked at before the evaluation. That alone favours "
    "the paper's figures."
)
# Stands wherever figures of such checkpoints do, in text and picture.
TEST_SET_MARK = "CHECKPOINTS CHOSEN ON THE TEST SET"
# In place of the two others where checkpoints are chosen as the paper's were.
TEST_SET_NOTE = (
    "Our checkpoints were chosen on the test set, as the paper's were: of all validations the one with the "
    "best mean of image and pixel AUROC on the very images that the figures are of, as in the official code "
    "(there every 5 epochs of up to 1,000; of equals the last, here the first). Such figures are too good "
    "for parts that nobody has seen, and stand in no mean with others."
)
TEST_SET_SPLIT_NOTE = (
    "The paper trained on all good training images. Ours trained on about 70% of them, however the "
    "checkpoint is chosen: that difference remains, and favours the paper's figures."
)
SPLIT_NOTE = (
    "The paper trained on all good training images. Ours trained on about 70% of them: the others choose the "
    "checkpoint and are held out for a threshold."
)
# Above an experiment that is not the paper's, and in place of the notes that compare with it.
OWN_MARK = "Not an experiment of the paper: every figure here is this package's own."
OWN_SELECTION_NOTE = (
    "Checkpoints were chosen on good images that had been set aside and on synthetic anomalies; no test "
    "image was looked at before the evaluation."
)
PAIRED_NOTE = (
    "The difference is from the base row, in points, seed by seed: the mean over the seeds that both have, ± "
    "its sample standard deviation where they are several. Images of one category and few seeds tell small "
    "differences from chance badly: beside one compare the interval of image AUROC below."
)
_NONE = "-"
_DIFFERENCE = "difference from base"


def render(plan: Plan, summaries: Sequence[RowSummary], preset: str, failures: Sequence[str] = ()) -> str:
    """The whole document, ending with a newline.

    Args:
        preset: name of the preset that the settings started from.
        failures: runs that ended in an error, a sentence each.
    """
    experiment = plan.experiment
    parts = [f"# {experiment.title}: {experiment.caption}", _metrics_line(plan)]
    if plan.on_test_set:
        parts.insert(1, f"**{TEST_SET_MARK}, as the paper's were: not how new parts will fare.**")
    if experiment.base:
        parts.insert(1, f"**{OWN_MARK}**")
    parts += [bullet_list(notes(plan, summaries, preset)), _overview(plan, summaries)]
    if any(summary.results for summary in summaries):
        parts += ["## By category", *_by_category(plan, summaries)]
    for title, lines in (
        ("Not run yet", [run.title for summary in summaries for run in summary.pending]),
        ("Failed", failures),
        ("Left out", plan.skipped),
    ):
        if lines:
            parts += [f"## {title}", bullet_list(lines)]
    return "\n\n".join(parts) + "\n"


def notes(plan: Plan, summaries: Sequence[RowSummary], preset: str) -> tuple[str, ...]:
    """What a reader must know before comparing, a sentence or two each."""
    experiment = plan.experiment
    found = [*_choice(plan), _settings_line(plan.base, preset), *experiment.notes]
    if preset != "paper" and not experiment.base:
        found.append(f"Preset {preset} is another and smaller network than the paper's.")
    found += _coverage(plan, summaries)
    found += [gap for category in plan.compared for gap in category.gaps]
    return tuple(found)


def _choice(plan: Plan) -> list[str]:
    """How checkpoints were chosen, and how what is shown of them compares."""
    if plan.experiment.base:
        return [TEST_SET_NOTE if plan.on_test_set else OWN_SELECTION_NOTE, PAIRED_NOTE]
    return [TEST_SET_NOTE, TEST_SET_SPLIT_NOTE] if plan.on_test_set else [SELECTION_NOTE, SPLIT_NOTE]


def _coverage(plan: Plan, summaries: Sequence[RowSummary]) -> list[str]:
    """Over which categories the averages are."""
    data_set = DATA_SETS[plan.experiment.data_set]
    names = [category.name for category in plan.categories]
    found = []
    own = bool(plan.experiment.base)
    if plan.is_subset and not own:
        found.append(
            f"**A subset: ours is over {_listed(names)}, the paper's average over all "
            f"{len(data_set.categories)} categories of {data_set.title}. The two averages do not compare;** "
            "where the paper has figures of single categories, its mean over just these has its own column."
        )
    compared = {category.name for category in plan.compared}
    foreign = [name for name in names if name not in compared]
    if foreign and not own:
        found.append(f"Not of {data_set.title}, so without a figure of the paper: {', '.join(foreign)}.")
    covered = {tuple(sorted(summary.results)) for summary in summaries if summary.results}
    if len(covered) > 1:
        found.append("Rows are over different categories so far; their averages do not compare.")
    return found


def _settings_line(base: Settings, preset: str) -> str:
    model, train = base.model, base.train
    limit = f"at most {train.steps} steps" + (f" or {train.minutes:g} minutes" if train.minutes else "")
    limit += f", a validation every {train.validate_every}"
    return (
        f"Ours: preset {preset} ({model.backbone}, planes {_numbers(model.planes)}, {model.image_size}x"
        f"{model.image_size}{', parts aligned where images allow' if base.align else ''}), anomaly source "
        f"`{base.synthesis.source}`, {limit}, batch {train.batch}, "
        "unless the row says otherwise."
    )


def _metrics_line(plan: Plan) -> str:
    metrics = plan.experiment.metrics
    order = " / ".join(METRIC_LABELS[metric] for metric in metrics)
    regions = (
        "AU-PRO as MVTec AD defines it, up to a false-positive rate of 30%"
        if "au_pro" in metrics
        else "PRO as the official code computes it"
    )
    return (
        f"Figures: {order}; accuracy in percent, {regions}. Ours is the mean over "
        "categories and seeds, ± the sample standard deviation over seeds where there are several."
    )


def _overview(plan: Plan, summaries: Sequence[RowSummary]) -> str:
    title = DATA_SETS[plan.experiment.data_set].title
    count = len(DATA_SETS[plan.experiment.data_set].categories)
    own = bool(plan.experiment.base)
    beside = [_DIFFERENCE] if own else [f"paper, all {count} of {title}", "paper, same categories"]
    head = ["setting", *_ordered(own, beside, _ours(plan)), "categories", "seeds"]
    lines = []
    for summary in summaries:
        ours = _figures(summary.ours) if summary.results else _state(plan, summary)
        papers = [published_cells(summary.row.published), _cells(summary.same_categories)]
        lines.append(
            [
                summary.row.label,
                *_ordered(own, [_gains(summary.differences)] if own else papers, ours),
                ", ".join(summary.results) or _NONE,
                ", ".join(str(seed) for seed in summary.seeds) or _NONE,
            ]
        )
    return table(head, lines)


def _state(plan: Plan, summary: RowSummary) -> str:
    reason = plan.unavailable.get(summary.row.name)
    return f"not available: {reason}" if reason else "not run yet"


def _by_category(plan: Plan, summaries: Sequence[RowSummary]) -> list[str]:
    """A table a category: the paper's figures of it, ours, and how well its test images tell."""
    compared = {category.name for category in plan.compared}
    metrics = plan.experiment.metrics
    own = bool(plan.experiment.base)
    base = next((s.results for s in summaries if s.row.name == plan.experiment.base), {})
    parts = []
    for category in plan.categories:
        lines = []
        for summary in summaries:
            by_seed = summary.results.get(category.name)
            if not by_seed:
                continue
            paper = summary.row.published.by_category if category.name in compared else {}
            ours = [over_seeds(by_seed, metric) for metric in metrics]
            beside = _cells(paper.get(category.name, ()))
            if own:
                beside = _gains(_differences(summary, base, category.name, metrics))
            intervals = [
                f"{row.image_auroc_low:.1f} to {row.image_auroc_high:.1f}"
                for _, row in sorted(by_seed.items())
                if row.image_auroc_low is not None and row.image_auroc_high is not None
            ]
            lines.append(
                [
                    summary.row.label,
                    *_ordered(own, [beside], _figures(ours)),
                    "; ".join(intervals) or _NONE,
                    ", ".join(str(row.steps) for _, row in sorted(by_seed.items())),
                    ", ".join(f"{row.minutes:.1f}" for _, row in sorted(by_seed.items())),
                ]
            )
        if lines:
            columns = _ordered(own, [_DIFFERENCE if own else "paper"], _ours(plan))
            head = ["setting", *columns, "95% interval of image AUROC", "steps", "minutes"]
            parts += [f"### {category.name}", table(head, lines)]
    return parts


def _differences(
    summary: RowSummary,
    base: Mapping[str, Mapping[int, RunResult]],
    category: str,
    metrics: Sequence[str],
) -> list[Estimate | None]:
    """A row's differences from the base in one category; none of the base from itself."""
    if not summary.differences or category not in base:
        return []
    done, other = {category: summary.results[category]}, {category: base[category]}
    return [paired(done, other, metric) for metric in metrics]


def _ordered(own: bool, beside: Sequence[str], ours: str) -> list[str]:
    """What is compared with stands before ours, what follows from ours behind."""
    return [ours, *beside] if own else [*beside, ours]


def _ours(plan: Plan) -> str:
    """Heading of our figures; it says how checkpoints were chosen where that makes figures too good."""
    return f"ours, {TEST_SET_MARK}" if plan.on_test_set else "ours"


def published_cells(published: Published) -> str:
    """A setting's averages as printed, with their deviations where there are some."""
    if not published.deviation:
        return _cells(published.average)
    pairs = zip(published.average, published.deviation, strict=True)
    return " / ".join(f"{_cell(value)} ± {_cell(deviation)}" for value, deviation in pairs)


def _cells(figures: Figures) -> str:
    return " / ".join(_cell(value) for value in figures) or _NONE


def _cell(value: float | None) -> str:
    return _NONE if value is None else f"{value:.2f}"


def _figures(estimates: Iterable[Estimate | None]) -> str:
    return " / ".join(_estimate(estimate) for estimate in estimates)


def _gains(differences: Sequence[Estimate | None]) -> str:
    """Differences with their signs; nothing where there is nothing to compare."""
    if all(estimate is None for estimate in differences):
        return _NONE
    return " / ".join(_estimate(estimate, "+") for estimate in differences)


def _estimate(estimate: Estimate | None, sign: str = "") -> str:
    if estimate is None:
        return _NONE
    return f"{estimate.mean:{sign}.2f}" + (
        "" if estimate.deviation is None else f" ± {estimate.deviation:.2f}"
    )


def table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    rows = [list(head), ["---"] * len(head), *lines]
    return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in rows)


def bullet_list(lines: Iterable[str]) -> str:
    """A Markdown list, an item each."""
    # A message of several lines must not end the list.
    return "\n".join(f"- {' '.join(line.split())}" for line in lines)


def _numbers(values: Sequence[int]) -> str:
    return "{" + ", ".join(str(value) for value in values) + "}"


def _listed(names: Sequence[str]) -> str:
    return f"{len(names)} ({', '.join(names)})"
