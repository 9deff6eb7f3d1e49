"""`realnet-edge schema`: what a result line says."""

from __future__ import annotations

from importlib.resources import files

import click


@click.command("schema")
def command() -> None:
    """Print the JSON Schema (draft 2020-12) of the lines that `run` writes and sends, each key explained."""
    click.echo((files("realnet_edge.camera") / "result-line.schema.json").read_text("utf-8"), nl=False)
