"""`realnet-edge keygen`: a pair of keys."""

from __future__ import annotations

from pathlib import Path

import click

from realnet_edge.cli.options import json_option
from realnet_edge.cli.output import print_json, say


@click.command("keygen")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@json_option
def command(file: Path, as_json: bool) -> None:
    """Make an Ed25519 key: the private half in FILE, the public one in FILE.pub, both PEM.

    Keep FILE where bundles are signed, readable by nobody else; give FILE.pub to the machines that run them.
    With a passphrase in REALNET_EDGE_KEY_PASSPHRASE the private half is encrypted.
    """
    from realnet_edge.bundle.keys import write_new_key

    key, public = write_new_key(file)
    say(f"Key {key}: private half {file}, public half {public}")
    if as_json:
        print_json({"key": key, "private": str(file), "public": str(public)})
