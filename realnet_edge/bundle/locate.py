"""Finding a category's bundles in a workspace."""

from __future__ import annotations

import shlex
from pathlib import Path

from realnet_edge.bundle.manifest import BACKENDS, MANIFEST_NAME, PRECISIONS
from realnet_edge.errors import BundleError
from realnet_edge.workspace import DEFAULT_WORKSPACE, Workspace


def list_bundles(workspace: Workspace, category: str) -> list[tuple[str, str]]:
    """(backend, precision) of every bundle folder of a category, best backend and coarsest precision first.

    The order is that of `BACKENDS`, and INT8, FP16, FP32 within each. Nothing is verified.
    """
    folder = workspace.category(category)
    return [
        (backend, precision)
        for backend in BACKENDS
        for precision in ("int8", "fp16", "fp32")
        if (folder.bundle(backend, precision) / MANIFEST_NAME).is_file()
    ]


def find_bundles(
    workspace: Workspace, category: str, backend: str | None = None, precision: str | None = None
) -> list[tuple[str, str]]:
    """Those of `list_bundles` that fit; None fits any.

    Raises:
        BundleError: an unknown name, or none fits; the message says which bundles exist and which command
            builds what was asked for.
    """
    _check_name("backend", backend, BACKENDS)
    _check_name("precision", precision, PRECISIONS)
    present = list_bundles(workspace, category)
    fitting = [b for b in present if backend in (None, b[0]) and precision in (None, b[1])]
    if not fitting:
        raise BundleError(_absent(workspace, category, backend, precision, present))
    return fitting


def bundle_path(workspace: Workspace, category: str, backend: str, precision: str) -> Path:
    """The folder of an existing bundle.

    Raises:
        BundleError: there is none; the message says which exist and which command builds it.
    """
    find_bundles(workspace, category, backend, precision)
    return workspace.category(category).bundle(backend, precision)


def _check_name(what: str, name: str | None, valid: tuple[str, ...]) -> None:
    if name is not None and name not in valid:
        raise BundleError(f"{what} {name!r} is unknown: use {', '.join(valid)}.")


def build_command(workspace: Workspace, category: str, precision: str, backend: str | None = None) -> str:
    """The command line that builds a bundle, quoted for a shell."""
    words = ["realnet-edge", "build", "--category", category, "--precision", precision]
    words += ["--backend", backend] if backend else []
    words += ["--workspace", str(workspace.root)] if workspace.root != DEFAULT_WORKSPACE else []
    return shlex.join(words)


def _absent(
    workspace: Workspace,
    category: str,
    backend: str | None,
    precision: str | None,
    present: list[tuple[str, str]],
) -> str:
    wanted = "-".join(name for name in (backend, precision) if name)
    command = build_command(workspace, category, precision or "int8", backend)
    names = ", ".join("-".join(names) for names in present)
    exist = f"It has {names}." if names else "It has none yet."
    what = f"no {wanted} bundle" if wanted else "no bundle"
    return f"category {category!r} has {what} in {workspace.root}. {exist} Build it with: {command}"
