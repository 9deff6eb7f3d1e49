"""The benchmark of a category: every bundle and FP32 PyTorch on the same images, a row each."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from realnet_edge.bench.assemble import Reference, Scene, assemble
from realnet_edge.bench.drift import Accuracy, measure_accuracy
from realnet_edge.bench.job import EngineFacts
from realnet_edge.bench.predictions import Predictions
from realnet_edge.bench.reference import ReferenceStore, recorded_accuracy
from realnet_edge.bench.rounds import Measured, Progress, Rounds, takes
from realnet_edge.bench.settings import BenchSettings
from realnet_edge.bench.subjects import PYTORCH, Subject, find_subjects, reference_missing
from realnet_edge.bench.testset import load_test_set, recorded_root
from realnet_edge.errors import ConfigError
from realnet_edge.report.evaluation import Evaluation
from realnet_edge.report.rows import ResultRow
from realnet_edge.runtime.machine import describe_machine, usable_cores
from realnet_edge.workspace import Workspace


@dataclass(frozen=True)
class BenchResult:
    """What a benchmark found.

    Attributes:
        category: whose engines were measured.
        evaluations: the answers and the row of each engine: FP32 PyTorch first where it ran, then the
            bundles, a row each batch size. Maps are in float16; every figure comes from float32.
        notes: what the reader must know beside the figures, a sentence each.
        reference: FP32 PyTorch's accuracy on these images; None where its answers were not at hand.
        images_sha256: over the contents of the test images, in their order.
    """

    category: str
    evaluations: tuple[Evaluation, ...]
    notes: tuple[str, ...]
    reference: Accuracy | None
    images_sha256: str

    @property
    def rows(self) -> tuple[ResultRow, ...]:
        """The row of each evaluation."""
        return tuple(evaluation.row for evaluation in self.evaluations)

    @property
    def failed(self) -> tuple[ResultRow, ...]:
        """Rows that did not keep the budget."""
        return tuple(row for row in self.rows if row.verdict == "fail")


def run_bench(
    workspace: Workspace,
    category: str,
    settings: BenchSettings | None = None,
    progress: Progress | None = None,
) -> BenchResult:
    """Measure accuracy, drift and speed of a category's engines.

    FP32 PyTorch runs beside the bundles where its checkpoint and torch are there. Where they are not,
    its answers of an earlier run on the same images are used, else the accuracy that a bundle's
    manifest records (see `record_accuracy`); a note says which. Nothing is written but PyTorch's
    answers, for the next time.

    Args:
        workspace: where the checkpoint and the bundles lie.
        category: whose engines.
        settings: options; the defaults if None.
        progress: is told of every step.

    Raises:
        BundleError: nothing to measure, a changed bundle, or bundles of another checkpoint.
        DataError: no test images, or one that cannot be read.
        ConfigError: an unknown name, or no batch size that any engine takes.
        BackendError: an engine failed.
    """
    settings = settings or BenchSettings()
    paths = workspace.category(category)
    subjects = find_subjects(workspace, category, settings.backends, settings.precisions)
    test = load_test_set(settings.data or recorded_root(paths.checkpoint), category, settings.images)
    digest = test.digest()
    store = ReferenceStore(paths.bench / "reference")
    threads = settings.threads or usable_cores()

    def known(subject: Subject, facts: EngineFacts) -> Predictions | None:
        return store.load(facts.checkpoint_sha256, digest) if subject.backend == PYTORCH else None

    with tempfile.TemporaryDirectory(prefix="realnet-edge-bench-") as folder:
        measured = Rounds(test.paths, settings, threads, Path(folder), known, progress).measure(subjects)
    if not measured:
        ranges = ", ".join(f"{s.name} {s.manifest.batch}" for s in subjects if s.manifest)
        raise ConfigError(f"no engine takes batches of {settings.batches}; they take {ranges}.")

    checkpoint = measured[0].facts.checkpoint_sha256
    fresh = next((item.predictions for item in measured if item.subject.backend == PYTORCH), None)
    kept = store.load(checkpoint, digest)
    if kept is None and fresh is not None:
        store.store(checkpoint, digest, fresh)
        kept = fresh
    recorded = next((r for r in (recorded_accuracy(item.subject.manifest) for item in measured) if r), None)
    scene = Scene(category, test, settings.budget, threads, describe_machine())
    reference = recorded
    if kept is not None:
        reference = measure_accuracy(test.labels, test.masks(measured[0].facts.input_size), kept)
    evaluations = assemble(measured, scene, Reference(kept, reference))
    notes = [_left_out(measured, settings)]
    if fresh is None:
        notes.append(_without_reference(workspace, category, kept is not None, recorded is not None))
    return BenchResult(
        category=category,
        evaluations=tuple(evaluations),
        notes=tuple(note for note in notes if note),
        reference=reference if kept is not None else None,
        images_sha256=digest,
    )


def _left_out(measured: Sequence[Measured], settings: BenchSettings) -> str:
    """Which batch sizes an engine could not take; empty where all took all."""
    facts = {item.subject.name: item.facts for item in measured}
    gaps = [
        f"{name} takes {known.batch_range[0]} to {known.batch_range[1]} images at once, so it has no row "
        f"for {', '.join(str(b) for b in settings.batches if not takes(known, b))}"
        for name, known in facts.items()
        if not all(takes(known, batch) for batch in settings.batches)
    ]
    return f"{'; '.join(gaps)}." if gaps else ""


def _without_reference(workspace: Workspace, category: str, stored: bool, recorded: bool) -> str:
    """What the rows were compared with where FP32 PyTorch did not run."""
    why = f"FP32 PyTorch did not run: {reference_missing(workspace, category)}."
    if stored:
        return f"{why} Drift is against its stored answers on the same images."
    if recorded:
        return (
            f"{why} Drift in points and the verdict are against its accuracy as recorded in the bundle; "
            "maps and decisions could not be compared."
        )
    return f"{why} There is nothing to compare with, so drift and verdict are left out."
