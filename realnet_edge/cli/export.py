"""`realnet-edge export`: a checkpoint to one ONNX graph, checked against PyTorch."""

from __future__ import annotations

from pathlib import Path

import click

from realnet_edge.cli.options import (
    category_option,
    json_option,
    tolerance_option,
    trained_data_option,
    workspace_option,
)


@click.command("export")
@category_option
@workspace_option
@trained_data_option
@tolerance_option
@json_option
def command(category: str, workspace: Path, data: Path | None, tolerance: float, as_json: bool) -> None:
    """Export a checkpoint to one ONNX graph with a dynamic batch.

    The graph takes uint8 RGB images and gives anomaly map and image score. It is run on real images and
    compared with PyTorch before it is written; where they part, the stage is named.
    """
    from realnet_edge.cli.output import console, print_json, say
    from realnet_edge.cli.training_packages import need_training_packages
    from realnet_edge.workspace import Workspace, require_checkpoint

    need_training_packages("export")
    place = Workspace(workspace)
    require_checkpoint(place, category)
    from realnet_edge.calibrate import ensure_onnx, open_sources
    from realnet_edge.export.passes import describe_pass

    with console.status("Exporting, then checking on real images ..."):
        sources = open_sources(place, category, data)
        path, report, _ = ensure_onnx(sources, tolerance, force=True)
    weights = "weights in a file beside it" if report.external_data else "one file"
    say(f"{path}: {report.parameters / 1e6:.1f} M numbers, {weights}, ONNX opset {report.opset}")
    for step in report.passes:
        say(describe_pass(step))
    for found in report.parity:
        say(
            f"batch {found.batch}: map differs from PyTorch by at most {found.map_max_abs:.1e} "
            f"({tolerance:.0e} allowed), score by {found.score_max_abs:.1e}, "
            f"{found.rank_swaps} planes in another order, over {report.images} images"
        )
    if as_json:
        print_json({"path": str(path), **report.to_dict()})
