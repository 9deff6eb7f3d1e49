"""`realnet-edge verify`: compare every file of a bundle with its manifest."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from realnet_edge.cli.options import json_option, workspace_option
from realnet_edge.cli.output import console, print_json, say
from realnet_edge.errors import BundleError, ConfigError
from realnet_edge.workspace import Workspace

if TYPE_CHECKING:
    from realnet_edge.bundle import FileCheck


@click.command("verify")
@click.argument("bundle", type=click.Path(path_type=Path), required=False)
@click.option("--category", metavar="NAME", help="Verify this category's bundles in the workspace.")
@click.option("--backend", help="With --category: only this backend's.")
@click.option("--precision", help="With --category: only those of this precision.")
@workspace_option
@json_option
@click.pass_context
def command(
    context: click.Context,
    bundle: Path | None,
    category: str | None,
    backend: str | None,
    precision: str | None,
    workspace: Path,
    as_json: bool,
) -> None:
    """Check the SHA-256 of every file in BUNDLE, or in a category's bundles; exit with 1 on a mismatch.

    This finds damage and files that do not belong; who made the bundle is what `verify-signature` shows.
    """
    reports = [_verify(path) for path in _folders(bundle, category, backend, precision, workspace)]
    good = all(report["ok"] for report in reports)
    if as_json:
        print_json({"ok": good, "bundles": reports})
    else:
        for report in reports:
            _show(report)
    context.exit(0 if good else BundleError.exit_code)


def _folders(
    bundle: Path | None, category: str | None, backend: str | None, precision: str | None, workspace: Path
) -> list[Path]:
    from realnet_edge.bundle import find_bundles

    if (bundle is None) == (category is None):
        raise ConfigError("give either a bundle's folder or --category NAME.")
    if category is None:
        if backend or precision:
            raise ConfigError("--backend and --precision choose among --category's bundles; give that, too.")
        return [bundle] if bundle else []
    place = Workspace(workspace)
    found = find_bundles(place, category, backend, precision)
    return [place.category(category).bundle(*names) for names in found]


def _verify(path: Path) -> dict[str, Any]:
    from realnet_edge.bundle import check_files, read_manifest

    try:
        manifest, digest, _ = read_manifest(path)
    except BundleError as error:
        failed = {"bundle": str(path), "ok": False, "error": str(error), "prepared": False}
        return {**failed, "manifest_sha256": None, "files": []}
    checks = check_files(path, manifest)
    return {
        "bundle": str(path),
        "ok": all(check.good for check in checks),
        "error": None,
        "prepared": manifest.preparation is not None,
        "manifest_sha256": digest,
        "files": [_file(check) for check in checks],
    }


def _file(check: FileCheck) -> dict[str, Any]:
    return {"name": check.name, "status": check.status, "expected": check.expected, "found": check.found}


def _show(report: dict[str, Any]) -> None:
    from rich.table import Table
    from rich.text import Text

    if report["error"]:
        say(f"FAILED {report['error']}")
        return
    table = Table("File", "Status", "SHA-256 expected", "SHA-256 found", title=report["bundle"])
    for file in report["files"]:
        colour = "green" if file["status"] == "ok" else "red"
        short = [(file[key] or "-")[:16] for key in ("expected", "found")]
        table.add_row(Text(file["name"]), Text(file["status"], style=colour), *short)
    console.print(table)
    if not report["ok"]:
        say("FAILED: do not run this bundle.")
        return
    say("Every file is what the manifest says.")
    if report["prepared"]:
        say(f"No engine yet. Build it here with: realnet-edge build --on-target {report['bundle']}")
