"""`realnet-edge sign`: vouch for a bundle."""

from __future__ import annotations

from pathlib import Path

import click

from realnet_edge.cli.options import json_option
from realnet_edge.cli.output import print_json, say


@click.command("sign")
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option(
    "--key",
    "key_file",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="Ed25519 private key (PEM file), as `keygen` or OpenSSL makes it.",
)
@json_option
def command(bundle: Path, key_file: Path, as_json: bool) -> None:
    """Sign BUNDLE's manifest, which lists the hash of every file, after verifying them all.

    The signature goes into the bundle's folder, as manifest.sig; signatures of other keys in it stay. It is
    of this manifest alone: a bundle that is built again, or gets its accuracy recorded, has to be signed
    again. A key that is encrypted is opened with the passphrase in REALNET_EDGE_KEY_PASSPHRASE.
    """
    from realnet_edge.bundle import sign_bundle
    from realnet_edge.bundle.keys import read_private_key

    key = read_private_key(key_file)
    signed = sign_bundle(bundle, key)
    say(f"{signed.id} ({bundle}): signed by {key.id}")
    if as_json:
        print_json({"bundle": str(bundle), "id": signed.id, "key": key.id})
