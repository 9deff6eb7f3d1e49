"""Which engines of a category are measured: its bundles, and FP32 PyTorch where it can run."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from realnet_edge.bundle import BACKENDS, PRECISIONS, Manifest, build_command, list_bundles, read_manifest
from realnet_edge.errors import BundleError, ConfigError
from realnet_edge.workspace import Workspace

PYTORCH = "pytorch"


@dataclass(frozen=True)
class Subject:
    """One engine to be measured.

    Attributes:
        backend: "pytorch" or a bundle's backend.
        precision: "fp32", "fp16" or "int8".
        path: the checkpoint's or the bundle's folder.
        manifest: the bundle's, not verified yet; None for PyTorch.
        rebuild: the command that builds the bundle again; empty for PyTorch.
    """

    backend: str
    precision: str
    path: Path
    manifest: Manifest | None
    rebuild: str = ""

    @property
    def name(self) -> str:
        return f"{self.backend}-{self.precision}"

    @property
    def threshold(self) -> float | None:
        """Image score above which a part is a defect, as the bundle states it."""
        stated = self.manifest.threshold if self.manifest else None
        return stated.value if stated else None

    @property
    def size_mb(self) -> float:
        """What it takes on disk, megabytes of 10^6 bytes."""
        return sum(file.stat().st_size for file in self.path.rglob("*") if file.is_file()) / 1e6


def find_subjects(
    workspace: Workspace,
    category: str,
    backends: Sequence[str] = (),
    precisions: Sequence[str] = (),
    require_signature: Sequence[Path] | None = None,
) -> list[Subject]:
    """FP32 PyTorch first where it can run, then the bundles.

    Args:
        workspace: where to look.
        category: whose engines.
        backends: bundles of these only; empty takes all, "pytorch" alone takes none.
        precisions: bundles of these only; empty takes all.
        require_signature: files of public keys, one of which has to have signed each bundle; None for any.

    PyTorch is there whatever was chosen, for the drift of every other row is measured against it.

    Raises:
        ConfigError: an unknown backend or precision, or a file that holds no public key.
        BundleError: there is nothing to measure, or no bundle fits what was chosen.
    """
    _check("backend", backends, (PYTORCH, *BACKENDS))
    _check("precision", precisions, PRECISIONS)
    found = [
        _bundle(workspace, category, backend, precision, require_signature)
        for backend, precision in list_bundles(workspace, category)
        if backend in (backends or BACKENDS) and precision in (precisions or PRECISIONS)
    ]
    reference = None
    if reference_missing(workspace, category) is None:
        reference = Subject(PYTORCH, "fp32", workspace.category(category).checkpoint, None)
    bundles_wanted = bool(precisions or set(backends) - {PYTORCH})
    if not found and (bundles_wanted or reference is None):
        raise BundleError(_nothing_fits(workspace, category, backends, precisions))
    return [reference, *found] if reference is not None else found


def reference_missing(workspace: Workspace, category: str) -> str | None:
    """Why FP32 PyTorch cannot run here, as a clause; None where it can. torch is not imported for this."""
    checkpoint = workspace.category(category).checkpoint
    if not checkpoint.is_dir():
        return f"there is no checkpoint in {checkpoint}"
    if importlib.util.find_spec("torch") is None:
        return "torch is not installed (pip install 'realnet-edge[train]')"
    return None


def _bundle(
    workspace: Workspace, category: str, backend: str, precision: str, keys: Sequence[Path] | None
) -> Subject:
    path = workspace.category(category).bundle(backend, precision)
    rebuild = build_command(workspace, category, precision, backend)
    return Subject(backend, precision, path, read_manifest(path, keys).manifest, rebuild)


def _check(what: str, names: Sequence[str], valid: Sequence[str]) -> None:
    unknown = [name for name in names if name not in valid]
    if unknown:
        raise ConfigError(f"{what} {', '.join(unknown)} is unknown: use {', '.join(valid)}.")


def _nothing_fits(
    workspace: Workspace, category: str, backends: Sequence[str], precisions: Sequence[str]
) -> str:
    there = ", ".join("-".join(names) for names in list_bundles(workspace, category)) or "none"
    chosen = " and ".join("/".join(names) for names in (backends, precisions) if names)
    engine = next((backend for backend in backends if backend != PYTORCH), None)
    command = build_command(workspace, category, [*precisions, "int8"][0], engine)
    return (
        f"category {category!r} has no bundle{f' of {chosen}' if chosen else ''} in {workspace.root}; "
        f"there: {there}. Build one with: {command}"
    )
