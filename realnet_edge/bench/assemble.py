"""From measured times and answers to result rows: accuracy, drift and speed come together here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from realnet_edge.bench.accuracy import Accuracy, Evidence, measure_accuracy
from realnet_edge.bench.drift import Drift, measure_drift, points, verdict
from realnet_edge.bench.measure import percentiles, throughput
from realnet_edge.bench.predictions import Predictions
from realnet_edge.bench.rounds import Measured
from realnet_edge.bench.subjects import PYTORCH
from realnet_edge.bench.testset import TestSet
from realnet_edge.bundle import GPU_BACKENDS
from realnet_edge.report.evaluation import Evaluation
from realnet_edge.report.rows import ResultRow
from realnet_edge.runtime.machine import Machine


@dataclass(frozen=True)
class Scene:
    """What all rows of one run share.

    Attributes:
        category: whose engines.
        test: the images.
        budget: share of the reference's accuracy to keep, in (0, 1].
        threads: processor threads of each engine.
        machine: where it ran.
    """

    category: str
    test: TestSet
    budget: float
    threads: int
    machine: Machine

    def device(self, backend: str) -> str:
        """The processor or accelerator that computed, in words."""
        if backend in GPU_BACKENDS and self.machine.gpus:
            return self.machine.gpus[0].name
        return f"{self.machine.cpu}, {self.threads} thread{'s' if self.threads > 1 else ''}"


@dataclass(frozen=True)
class Reference:
    """What FP32 PyTorch did, as far as it is known.

    Attributes:
        predictions: its answers on the same images; None where they are not at hand.
        accuracy: on the same images, from these answers or as the bundles record it; None if unknown.
    """

    predictions: Predictions | None
    accuracy: Accuracy | None


def assemble(measured: Sequence[Measured], scene: Scene, reference: Reference) -> list[Evaluation]:
    """A row and its evidence for each engine and batch size, in the order given.

    Raises:
        DataError: an answer is not finite, or an engine's maps are of another size than the reference's.
    """
    masks = scene.test.masks(measured[0].facts.input_size)
    labels = scene.test.labels
    expected = reference.accuracy
    theirs = None
    if reference.predictions is not None and any(item.subject.backend != PYTORCH for item in measured):
        theirs = Evidence.of(labels, masks, reference.predictions, scene.test.categories)
    evaluations = []
    for item in measured:
        is_reference = item.subject.backend == PYTORCH
        accuracy = measure_accuracy(labels, masks, item.predictions, scene.test.categories)
        drift = None
        if reference.predictions is not None and not is_reference:
            drift = measure_drift(item.predictions, reference.predictions, item.subject.threshold)
        ends: dict[str, float] = {}
        if (evidence := Evidence.of(labels, masks, item.predictions, scene.test.categories)) is not None:
            ends = evidence.intervals()
            if drift is not None and theirs is not None:
                ends |= evidence.drift_intervals(theirs)
        row = _row(item, scene, accuracy, None if is_reference else expected, drift, ends)
        evaluations.append(_evaluation(item, scene.test, labels, masks, row))
    return evaluations


def _row(
    item: Measured,
    scene: Scene,
    accuracy: Accuracy,
    expected: Accuracy | None,
    drift: Drift | None,
    intervals: dict[str, float],
) -> ResultRow:
    engine, whole = item.timing.engine_ms, item.timing.end_to_end_ms
    batch, subject = item.timing.batch, item.subject
    p50, p90, p99 = percentiles(engine)
    whole_p50, whole_p90, whole_p99 = percentiles(whole)
    judged = "reference" if subject.backend == PYTORCH else "unmeasured"
    if expected is not None:
        judged = verdict(accuracy, expected, scene.budget)
    else:
        expected = Accuracy(None)
    return ResultRow(
        category=scene.category,
        backend=subject.backend,
        precision=subject.precision,
        arithmetic=item.facts.arithmetic,
        device=scene.device(subject.backend),
        versions=item.facts.versions,
        batch=batch,
        images=len(scene.test.samples),
        latency_ms_p50=p50,
        latency_ms_p90=p90,
        latency_ms_p99=p99,
        fps=throughput(engine, batch),
        e2e_ms_p50=whole_p50,
        e2e_ms_p90=whole_p90,
        e2e_ms_p99=whole_p99,
        e2e_fps=throughput(whole, batch),
        peak_memory_mb=item.peak_memory_mb,
        **accuracy.to_dict(),
        **intervals,
        drift_image_auroc_points=points(accuracy.image_auroc, expected.image_auroc),
        drift_pixel_auroc_points=points(accuracy.pixel_auroc, expected.pixel_auroc),
        drift_au_pro_points=points(accuracy.au_pro, expected.au_pro),
        drift_map_max_abs=drift.map_max_abs if drift else None,
        drift_map_mean_abs=drift.map_mean_abs if drift else None,
        drift_score_spearman=drift.score_spearman if drift else None,
        drift_decisions_flipped=drift.decisions_flipped if drift else None,
        drift_rrs_rank_swaps=drift.rrs_rank_swaps if drift else None,
        drift_rrs_exchanged=drift.rrs_exchanged if drift else None,
        threshold=subject.threshold,
        budget=scene.budget,
        verdict=judged,
        size_mb=subject.size_mb,
    )


def _evaluation(
    item: Measured,
    test: TestSet,
    labels: npt.NDArray[np.int64],
    masks: npt.NDArray[np.bool_] | None,
    row: ResultRow,
) -> Evaluation:
    return Evaluation(
        row=row,
        paths=test.paths,
        names=test.names,
        labels=labels,
        scores=item.predictions.scores,
        maps=item.predictions.maps.astype(np.float16),
        masks=masks,
        engine_ms=item.timing.engine_ms,
        end_to_end_ms=item.timing.end_to_end_ms,
    )
