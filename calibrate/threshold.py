"""The decision threshold: split conformal prediction on scores of held-out good parts.

The rule (Vovk, Gammerman and Shafer 2005; Lei et al. 2018, "split conformal"): of n exchangeable scores
of good parts, take the k-th smallest with k = ceil((n + 1)(1 - a)). A further good part exceeds it with
a probability of at most 1 - k / (n + 1) <= a. The guarantee is over the draw of the held-out parts, and
asks for exchangeable ones: neighbouring frames of a video are not.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from realnet_edge.bundle import Threshold
from realnet_edge.errors import ConfigError, DataError

METHOD = "split-conformal"


def conformal_threshold(
    scores: Sequence[float] | npt.NDArray[np.float32] | npt.NDArray[np.float64], target_fpr: float
) -> Threshold:
    """The threshold that keeps the false-positive rate of exchangeable good parts at or below a target.

    A part is called defective where its score is above the threshold (not equal to it).

    Args:
        scores: image scores of held-out good parts from the engine that will be deployed, n of them.
        target_fpr: wanted false-positive rate a, within (0, 1).

    Returns:
        The threshold. Its `attainable_fpr` is the smallest rate that n parts can guarantee, 1 / (n + 1).
        Where that is above the target (n < 1/a - 1), the value is the largest score, the best there is,
        and `shortfall` says how many good parts the target needs.

    Raises:
        ConfigError: the target is not within (0, 1).
        DataError: no scores, or a score that is not a finite number.
    """
    wanted = _fraction(target_fpr)
    values = np.sort(np.asarray(scores, dtype=np.float64).ravel())
    count = int(values.size)
    if count == 0:
        raise DataError("a threshold needs scores of held-out good parts, got none: add good images.")
    if not np.isfinite(values).all():
        bad = int(count - np.isfinite(values).sum())
        raise DataError(f"{bad} of {count} held-out scores are not finite: the engine's output is broken.")
    # ceil((n+1)(1-a)) = n + 1 - floor((n+1)a), exactly: in floats, 100 * (1 - 0.07) is not 93.
    rank = min(count + 1 - int((count + 1) * wanted), count)
    return Threshold(
        value=float(values[rank - 1]),
        target_fpr=float(target_fpr),
        attainable_fpr=float(Fraction(1, count + 1)),
        normals=count,
        method=METHOD,
    )


def normals_needed(target_fpr: float) -> int:
    """The fewest held-out good parts with which the rule can guarantee `target_fpr`: ceil(1/a - 1)."""
    return math.ceil(1 / _fraction(target_fpr) - 1)


def shortfall(threshold: Threshold) -> str | None:
    """What to tell the user when there were too few good parts for the wanted rate, else None."""
    if threshold.attainable_fpr <= threshold.target_fpr:
        return None
    return (
        f"{threshold.normals} held-out good images cannot guarantee a false-positive rate of "
        f"{threshold.target_fpr:.3%}: the threshold is their largest score, which guarantees "
        f"{threshold.attainable_fpr:.3%}. The wanted rate needs {normals_needed(threshold.target_fpr)} "
        "held-out good images: add good images and train again, or ask for a higher --fpr."
    )


def _fraction(rate: float) -> Fraction:
    """The rate as the decimal number that the user wrote."""
    if not 0.0 < rate < 1.0:
        raise ConfigError(f"false-positive rate {rate!r}: give a number between 0 and 1, such as 0.02.")
    return Fraction(repr(float(rate)))
