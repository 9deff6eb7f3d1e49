"""Writes measured accuracy into the bundles, so that it travels to machines without torch or test images."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from realnet_edge.bench.accuracy import Accuracy
from realnet_edge.bench.harness import BenchResult
from realnet_edge.bundle import Bundle, bundle_path, load_bundle, write_bundle
from realnet_edge.errors import ConfigError
from realnet_edge.report.rows import ResultRow
from realnet_edge.workspace import Workspace


def record_accuracy(
    workspace: Workspace, result: BenchResult, require_signature: Sequence[Path] | None = None
) -> list[Bundle]:
    """Write each measured bundle again with the accuracy of its engine and of FP32 PyTorch.

    Where an engine has rows of several batch sizes the smallest counts. The engine itself stays as it
    is; the manifest, and with it the bundle's identity, is new: a signature of the old one would not fit, and
    is not kept.

    Args:
        workspace: where the bundles lie.
        result: of a run in which FP32 PyTorch's answers on the same images were known.
        require_signature: files of public keys, one of which has to have signed each bundle as it was.

    Raises:
        ConfigError: they were not known, so there is nothing to record beside the engine's own.
        BundleError: a bundle was changed or removed since.
    """
    if result.reference is None:
        raise ConfigError(
            "accuracy is recorded beside FP32 PyTorch's on the same images, which is not known here: run the "
            "benchmark where the checkpoint and torch are."
        )
    rows: dict[tuple[str, str], ResultRow] = {}
    for row in sorted(result.rows, key=lambda row: row.batch):
        if row.verdict != "reference":
            rows.setdefault((row.backend, row.precision), row)
    return [_record(workspace, result, row, result.reference, require_signature) for row in rows.values()]


def _record(
    workspace: Workspace,
    result: BenchResult,
    row: ResultRow,
    reference: Accuracy,
    keys: Sequence[Path] | None,
) -> Bundle:
    bundle = load_bundle(bundle_path(workspace, result.category, row.backend, row.precision), keys)
    names = Accuracy(None).to_dict()
    accuracy = {
        "engine": {name: getattr(row, name) for name in names},
        "reference": reference.to_dict(),
        "images": row.images,
        "images_sha256": result.images_sha256,
    }
    files = {name: bundle.file(name) for name in bundle.manifest.files}
    return write_bundle(bundle.path, files, dataclasses.replace(bundle.manifest, accuracy=accuracy))
