"""The part of `realnet-edge reproduce` that measures images and trains nothing: Table S6."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from realnet_edge.experiments.experiment import Experiment
    from realnet_edge.experiments.plan import Request

STAND_IN = "tf_efficientnet_lite0"


def reproduce_images(
    experiment: Experiment,
    request: Request,
    place: Path,
    *,
    count: int,
    files: dict[str, Path | None],
    only_list: bool,
) -> dict[str, Any]:
    """Make and measure what is not measured yet, and write the table.

    Args:
        experiment: one whose `of_images` is set.
        request: as for trainings; of its settings the sources, the foreground and the image size count.
        place: folder of the results and the table.
        count: images a source, category and seed.
        files: the official networks' weights, `inception`, `lpips` and `lpips_network`, as
            `realnet_edge.quality.measure.load_networks` takes them.
        only_list: say what would be run, and run nothing.

    Returns:
        The table as JSON values.
    """
    from realnet_edge.cli.output import say
    from realnet_edge.cli.training_packages import need_training_packages

    need_training_packages("reproduce")
    from realnet_edge.experiments.image_runs import image_results, measure_images, plan_images
    from realnet_edge.experiments.image_table import document, write_table
    from realnet_edge.quality.measure import load_networks
    from realnet_edge.training.compute import choose_compute

    plan = plan_images(experiment, request, count)
    networks = load_networks(STAND_IN, choose_compute(request.base.train).device, **files)
    results = image_results(place)
    for sentence in plan.skipped:
        say(f"Left out: {sentence}")
    if only_list:
        done = results.rows()
        for run in plan.to_run:
            say(f"{'done ' if run.key(networks) in done else 'to do'}  {run.title}")
        labels = {row.name: row.label for row in experiment.rows}
        for name, reason in plan.unavailable.items():
            if name in plan.wanted:
                say(f"not available  {labels[name]}: {reason}")
        return document(plan, networks, done)
    for run, row in measure_images(plan, networks, results):
        say(f"{run.title}: Frechet distance {row.frechet:.4g}")
    text, file = write_table(place, plan, networks, results.rows())
    say(f"\n{text}")
    say(f"Wrote {file}")
    return {**document(plan, networks, results.rows()), "files": [str(file)]}
