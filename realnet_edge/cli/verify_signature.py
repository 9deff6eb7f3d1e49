"""`realnet-edge verify-signature`: who vouches for a bundle."""

from __future__ import annotations

from pathlib import Path

import click

from realnet_edge.cli.options import json_option
from realnet_edge.cli.output import print_json, say
from realnet_edge.errors import BundleError


@click.command("verify-signature")
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option(
    "--public-key",
    "key_files",
    type=click.Path(dir_okay=False, path_type=Path),
    multiple=True,
    required=True,
    help="Ed25519 public key (PEM file); repeatable, a signature by one of them suffices.",
)
@json_option
@click.pass_context
def command(context: click.Context, bundle: Path, key_files: tuple[Path, ...], as_json: bool) -> None:
    """Check that BUNDLE is signed by the public key, and that every file is as it was signed.

    Exits with 1 where it is not. That a bundle is the newest one no signature shows.
    """
    from realnet_edge.bundle import load_bundle

    try:
        loaded = load_bundle(bundle, key_files)
    except BundleError as error:
        say(f"FAILED {error}")
        if as_json:
            print_json({"ok": False, "bundle": str(bundle), "id": None, "key": None, "error": str(error)})
        context.exit(BundleError.exit_code)
    say(f"{loaded.id} ({bundle}): signed by {loaded.signed_by}, and every file is as it was signed.")
    if as_json:
        print_json(
            {"ok": True, "bundle": str(bundle), "id": loaded.id, "key": loaded.signed_by, "error": None}
        )
