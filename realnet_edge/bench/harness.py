"""The benchmark of a category: every bundle and FP32 PyTorch on the same images, a row each."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from realnet_edge.bench.accuracy import Accuracy, measure_accuracy
from realnet_edge.bench.assemble import Reference, Scene, assemble
from realnet_edge.bench.job import EngineFacts
from realnet_edge.bench.predictions import Predictions
from realnet_edge.bench.reference import ReferenceStore, recorded_accuracy, recorded_of_others
from realnet_edge.bench.rounds import Progress, Rounds, takes
from realnet_edge.bench.settings import BenchSettings
from realnet_edge.bench.subjects import PYTORCH, Subject, find_subjects, reference_missing
from realnet_edge.bench.testset import load_test_set, recorded_root, recorded_splits
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

    @property
    def budget_met(self) -> bool | None:
        """Whether every engine kept the budget; None where none failed but one or all were not judged."""
        verdicts = {row.verdict for row in self.rows} - {"reference"}
        if "fail" in verdicts:
            return False
        return True if verdicts == {"pass"} else None


def run_bench(
    workspace: Workspace,
    category: str,
    settings: BenchSettings | None = None,
    progress: Progress | None = None,
) -> BenchResult:
    """Measure accuracy, drift and speed of a category's engines.

    FP32 PyTorch runs beside the bundles where its checkpoint and torch are there. Where they are not,
    its answers of an earlier run on the same images are used, else the accuracy that a bundle's
    manifest records of the same images (see `record_accuracy`); a note says which. Nothing is written
    but PyTorch's answers, for the next time.

    Args:
        workspace: where the checkpoint and the bundles lie.
        category: whose engines.
        settings: options; the defaults if None.
        progress: is told of every step.

    Raises:
        BundleError: nothing to measure, a changed bundle, or bundles of another checkpoint.
        DataError: no test images, one that cannot be read, or one that the model was trained with.
        CheckpointError: a checkpoint that does not tell which images those are.
        ConfigError: an unknown name, or no batch size that any engine takes.
        BackendError: an engine failed.
    """
    settings = settings or BenchSettings()
    paths = workspace.category(category)
    subjects = find_subjects(
        workspace, category, settings.backends, settings.precisions, settings.require_signature
    )
    root = settings.data or recorded_root(paths.checkpoint)
    test = load_test_set(root, category, settings.images, recorded_splits(paths.checkpoint))
    digest = test.digest()
    store = ReferenceStore(paths.bench / "reference")
    threads = settings.threads or usable_cores()

    def known(subject: Subject, facts: EngineFacts) -> Predictions | None:
        return store.load(facts.checkpoint_sha256, digest) if subject.backend == PYTORCH else None

    with tempfile.TemporaryDirectory(prefix="realnet-edge-bench-") as folder:
        rounds = Rounds(test.paths, settings, threads, Path(folder), known, progress)
        measured = rounds.measure(subjects)
    if not measured:
        ranges = ", ".join(f"{name} takes {_range(facts)}" for name, facts in rounds.facts.items())
        raise ConfigError(f"no engine takes batches of {settings.batches}: {ranges} images at once.")

    checkpoint = measured[0].facts.checkpoint_sha256
    timed = (item.predictions for item in measured if item.subject.backend == PYTORCH)
    fresh = next(timed, rounds.reference)
    kept = store.load(checkpoint, digest)
    if kept is None and fresh is not None:
        store.store(checkpoint, digest, fresh)
        kept = fresh
    manifests = [item.subject.manifest for item in measured]
    recorded = next((r for m in manifests if (r := recorded_accuracy(m, digest)) is not None), None)
    scene = Scene(category, test, settings.budget, threads, describe_machine())
    reference = recorded
    if kept is not None:
        reference = measure_accuracy(
            test.labels, test.masks(measured[0].facts.input_size), kept, test.categories
        )
    evaluations = assemble(measured, scene, Reference(kept, reference))
    notes = [_left_out(rounds.facts, settings)]
    if fresh is None:
        why = f"FP32 PyTorch did not run: {reference_missing(workspace, category)}."
        others = any(recorded_of_others(manifest, digest) for manifest in manifests)
        notes.append(f"{why} {_instead(kept is not None, recorded is not None, others)}")
    return BenchResult(
        category=category,
        evaluations=tuple(evaluations),
        notes=tuple(note for note in notes if note),
        reference=reference if kept is not None else None,
        images_sha256=digest,
    )


def _left_out(facts: Mapping[str, EngineFacts], settings: BenchSettings) -> str:
    """Which batch sizes an engine could not take; empty where all took all."""
    gaps = [
        f"{name} takes {_range(known)} images at once, so it has no row "
        f"for {', '.join(str(b) for b in settings.batches if not takes(known, b))}"
        for name, known in facts.items()
        if not all(takes(known, batch) for batch in settings.batches)
    ]
    return f"{'; '.join(gaps)}." if gaps else ""


def _range(facts: EngineFacts) -> str:
    return f"{facts.batch_range[0]} to {facts.batch_range[1]}"


def _instead(stored: bool, recorded: bool, others: bool) -> str:
    """What the rows were compared with where FP32 PyTorch did not run.

    Args:
        stored: its answers on these images were.
        recorded: a bundle's manifest tells its accuracy on these images.
        others: a bundle's manifest tells its accuracy on other images.
    """
    if stored:
        return "Drift is against its stored answers on the same images."
    if recorded:
        return (
            "Drift in points and the verdict are against its accuracy as recorded in the bundle; "
            "maps and decisions could not be compared."
        )
    if others:
        return (
            "Its accuracy as recorded in the bundle is of other images, so there is nothing to compare with: "
            "drift and verdict are left out. Give the same test images, all of them."
        )
    return "There is nothing to compare with, so drift and verdict are left out."
