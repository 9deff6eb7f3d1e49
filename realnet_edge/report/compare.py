"""Comparisons of evaluations: the ROC of one, and the drift between two on the same images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from realnet_edge.errors import DataError
from realnet_edge.report.evaluation import Evaluation

Values = npt.NDArray[np.floating[Any]]


def find_reference(evaluations: Sequence[Evaluation]) -> Evaluation | None:
    """The evaluation that drift is measured against: FP32 PyTorch's, if it is there."""
    return next((item for item in evaluations if item.row.verdict == "reference"), None)


def roc_points(evaluation: Evaluation) -> tuple[Values, Values]:
    """False and true positive rates in percent at every distinct score, from (0, 0) to (100, 100).

    Raises:
        DataError: good or defect images are missing.
    """
    positives = int(evaluation.is_defect.sum())
    negatives = len(evaluation.labels) - positives
    if not positives or not negatives:
        raise DataError(f"a ROC needs good and defect images; got {negatives} good and {positives} defect.")
    order = np.argsort(-evaluation.scores, kind="stable")
    hits = np.cumsum(evaluation.is_defect[order])
    # Tied scores are one step of the curve.
    last = np.append(np.flatnonzero(np.diff(evaluation.scores[order])), len(order) - 1)
    found, alarms = hits[last], last + 1 - hits[last]
    return np.append(0.0, 100.0 * alarms / negatives), np.append(0.0, 100.0 * found / positives)


def map_differences(reference: Evaluation, engine: Evaluation) -> npt.NDArray[np.float32]:
    """(N,) float32: largest absolute anomaly map difference of each image, in [0, 1].

    Raises:
        DataError: the engine saw other images than the reference, or at another size.
    """
    check_same_images(reference, engine)
    if reference.maps.shape != engine.maps.shape:
        raise DataError(
            f"maps of {reference.row.label} are {reference.maps.shape}, "
            f"of {engine.row.label} {engine.maps.shape}; "
            "drift needs the same size. Run the benchmark again for all engines."
        )
    pairs = zip(reference.maps, engine.maps, strict=True)
    return np.array([np.abs(a.astype(np.float32) - b.astype(np.float32)).max() for a, b in pairs], np.float32)


def check_same_images(reference: Evaluation, engine: Evaluation) -> None:
    """Raise DataError unless both evaluations hold the same images in the same order."""
    if reference.paths != engine.paths:
        raise DataError(
            f"{reference.row.label} and {engine.row.label} were measured on other images; "
            "drift is defined on the same ones. Run the benchmark again for all engines."
        )
