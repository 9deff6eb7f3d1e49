"""Options that several commands share, so that they read the same everywhere."""

from __future__ import annotations

from pathlib import Path

import click

from realnet_edge.workspace import DEFAULT_WORKSPACE, WORKSPACE_VARIABLE

workspace_option = click.option(
    "--workspace",
    type=click.Path(file_okay=False, path_type=Path),
    default=DEFAULT_WORKSPACE,
    envvar=WORKSPACE_VARIABLE,
    show_envvar=True,
    show_default=True,
    help="Folder that holds checkpoints, bundles and reports, one folder a category.",
)

category_option = click.option(
    "--category", required=True, metavar="NAME", help="Name of the part that is inspected."
)

data_option = click.option(
    "--data",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    required=True,
    help="Folder that holds the category's images.",
)

trained_data_option = click.option(
    "--data",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder that holds the category's images.  [default: the one it was trained on]",
)

tolerance_option = click.option(
    "--tolerance",
    type=click.FloatRange(0, 1, min_open=True),
    default=1e-4,
    show_default=True,
    help="Largest difference of the exported graph's anomaly map from PyTorch.",
)

json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON document to standard output."
)
