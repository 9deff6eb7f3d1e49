"""Table S6 in Markdown and JSON: the paper's figures of image quality, and ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from realnet_edge.data import DATA_SETS
from realnet_edge.experiments.experiment import Row
from realnet_edge.experiments.image_runs import ImagePlan, ImageResult
from realnet_edge.experiments.markdown import bullet_list, published_cells, table
from realnet_edge.files import atomic_path
from realnet_edge.quality.measure import Networks

_FIGURES = ("frechet", "cluster_lpips", "precision", "recall", "copies")
_NONE = "-"


def write_table(
    folder: Path, plan: ImagePlan, networks: Networks, results: Mapping[str, ImageResult]
) -> tuple[str, Path]:
    """Write `<experiment>.md`, aside and then renamed; the text and the file."""
    text = render(plan, networks, results)
    path = folder / f"{plan.experiment.name}.md"
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return text, path


def render(plan: ImagePlan, networks: Networks, results: Mapping[str, ImageResult]) -> str:
    """The whole document, ending with a newline."""
    frechet = "FID" if networks.pooled_official else "Frechet distance (no FID)"
    lpips = "cluster LPIPS" if networks.vectors.official else "cluster diversity (no LPIPS)"
    head = ["source", "paper: FID / LPIPS", frechet, lpips, "precision", "recall", "copies"]
    lines = []
    for row in plan.experiment.rows:
        own = _results(plan, row, networks, results)
        reason = plan.unavailable.get(row.name)
        states = [f"not available: {reason}" if reason else "not run yet", *[_NONE] * (len(_FIGURES) - 1)]
        cells = [_cell(own, name) for name in _FIGURES] if own else states
        lines.append(
            [
                row.label,
                published_cells(row.published),
                *cells,
                ", ".join(dict.fromkeys(result.category for result in own)) or _NONE,
                ", ".join(dict.fromkeys(str(result.seed) for result in own)) or _NONE,
                ", ".join(dict.fromkeys(str(result.samples) for result in own)) or _NONE,
            ]
        )
    parts = [
        f"# {plan.experiment.title}: {plan.experiment.caption}",
        bullet_list(notes(plan, networks)),
        table([*head, "categories", "seeds", "images"], lines),
    ]
    if plan.skipped:
        parts += ["## Left out", bullet_list(plan.skipped)]
    return "\n\n".join(parts) + "\n"


def notes(plan: ImagePlan, networks: Networks) -> tuple[str, ...]:
    """What a reader must know before comparing, a sentence or two each."""
    found = [
        f"Frechet distance, precision and recall: {networks.pooled_label}. Diversity: "
        f"{networks.vectors.label}. All of them against the categories' real defects.",
        "Ours is the mean over categories and seeds, ± the sample standard deviation over seeds where there "
        "are several. Lower distance and higher diversity are better.",
        "Copies are images nearer to a training image than all but 1% of the training images are to each "
        "other. Sources that put an anomaly on a training image make such images by design; SIA images are "
        "measured as they lie in their folder.",
        "The paper takes 1,000 images a source. A Frechet distance falls with their number.",
    ]
    if not (networks.pooled_official and networks.vectors.official):
        found.append(
            "**Figures of a stand-in do not compare with the paper's**, only sources among each other. Give "
            "the official weights with --inception, --lpips and --lpips-network."
        )
    title = DATA_SETS[plan.experiment.data_set].title
    count = len(DATA_SETS[plan.experiment.data_set].categories)
    if len(plan.categories) < count:
        names = ", ".join(category.name for category in plan.categories)
        found.append(
            f"**A subset: ours is over {names}, the paper's over all {count} categories of {title}.**"
        )
    return tuple(found)


def document(plan: ImagePlan, networks: Networks, results: Mapping[str, ImageResult]) -> dict[str, Any]:
    """The table as JSON values."""
    return {
        "experiment": plan.experiment.name,
        "title": plan.experiment.title,
        "features": networks.pooled_label,
        "official_frechet": networks.pooled_official,
        "perceptual": networks.vectors.label,
        "official_lpips": networks.vectors.official,
        "categories": [category.name for category in plan.categories],
        "notes": list(notes(plan, networks)),
        "rows": [
            {
                "name": row.name,
                "label": row.label,
                "not_available": plan.unavailable.get(row.name),
                "paper": dict(zip(plan.experiment.metrics, row.published.average, strict=True)),
                "results": [asdict(result) for result in _results(plan, row, networks, results)],
            }
            for row in plan.experiment.rows
        ],
        "skipped": list(plan.skipped),
    }


def _results(
    plan: ImagePlan, row: Row, networks: Networks, results: Mapping[str, ImageResult]
) -> list[ImageResult]:
    keys = (run.key(networks) for run in plan.runs if run.row == row)
    return [results[key] for key in keys if key in results]


def _cell(results: Sequence[ImageResult], name: str) -> str:
    """Mean over categories and seeds, and how far the seeds lie apart."""
    values: dict[int, list[float]] = {}
    for result in results:
        value = getattr(result, name)
        if value is None:
            return _NONE
        values.setdefault(result.seed, []).append(value)
    means = [fmean(column) for column in values.values()]
    digits = 3 if max(map(abs, means)) < 10 else 2
    spread = f" ± {stdev(means):.{digits}f}" if len(means) > 1 else ""
    return f"{fmean(means):.{digits}f}{spread}"
