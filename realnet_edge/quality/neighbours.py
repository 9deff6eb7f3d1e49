"""What nearest neighbours tell of a set of samples: precision, recall, and whether samples are copies."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from realnet_edge.errors import DataError

Matrix = npt.NDArray[np.float64]
# Kynkaanniemi et al. take the third neighbour.
NEIGHBOURS = 3
# Training images as near to each other as this share of them are count as pairs of the same.
SAME_QUANTILE = 0.01


def euclidean(first: npt.NDArray[np.float64], second: npt.NDArray[np.float64]) -> Matrix:
    """Distances between the rows of (N, D) and (M, D), (N, M)."""
    squares = np.square(first).sum(axis=1)[:, None] + np.square(second).sum(axis=1)[None, :]
    distances: Matrix = np.sqrt(np.maximum(squares - 2.0 * first @ second.T, 0.0))
    return distances


def precision_recall(
    real: npt.NDArray[np.float64], samples: npt.NDArray[np.float64], neighbours: int = NEIGHBOURS
) -> tuple[float, float]:
    """Improved precision and recall (Kynkaanniemi et al., NeurIPS 2019).

    A set's manifold is the union of balls about its members, each reaching to the member's k-th nearest
    neighbour in the set. Precision is the share of samples within the real manifold (how real they are),
    recall that of real images within the samples' (how much of the real variety they have).

    Args:
        real, samples: features, (N, D) and (M, D).
        neighbours: k.

    Raises:
        DataError: a set has no k-th neighbour.
    """
    if min(len(real), len(samples)) <= neighbours:
        raise DataError(
            f"precision and recall by the {neighbours}th neighbour need more than {neighbours} images on "
            f"either side, got {len(real)} real ones and {len(samples)} samples."
        )
    across = euclidean(real, samples)
    precision = (across <= _radii(real, neighbours)[:, None]).any(axis=0).mean()
    recall = (across <= _radii(samples, neighbours)[None, :]).any(axis=1).mean()
    return float(precision), float(recall)


def _radii(members: npt.NDArray[np.float64], neighbours: int) -> npt.NDArray[np.float64]:
    """Distance from each member to its k-th nearest neighbour among the others."""
    within = euclidean(members, members)
    np.fill_diagonal(within, np.inf)
    radii: npt.NDArray[np.float64] = np.partition(within, neighbours - 1, axis=1)[:, neighbours - 1]
    return radii


@dataclass(frozen=True)
class Copies:
    """How near samples are to training images.

    Attributes:
        nearest: (N,) int64, the nearest training image of each sample.
        distances: (N,) float64, how far it is.
        median: of these.
        training_median: median distance from a training image to the nearest other one.
        limit: the 1% quantile of those distances.
        share: of samples nearer to a training image than the limit, 0 to 1.
    """

    nearest: npt.NDArray[np.int64]
    distances: npt.NDArray[np.float64]
    median: float
    training_median: float
    limit: float
    share: float


def find_copies(to_training: Matrix, within_training: Matrix) -> Copies:
    """Tell samples that are training images again from those that are not.

    Args:
        to_training: (N, T) distances from samples to training images.
        within_training: (T, T) distances among the training images.

    Raises:
        DataError: there are fewer than two training images, or no sample.
    """
    if len(within_training) < 2 or not len(to_training):
        raise DataError("a search for copies needs a sample and at least two training images.")
    others = within_training.copy()
    np.fill_diagonal(others, np.inf)
    apart = others.min(axis=1)
    nearest = to_training.argmin(axis=1)
    distances = to_training[np.arange(len(to_training)), nearest]
    limit = float(np.quantile(apart, SAME_QUANTILE))
    return Copies(
        nearest=nearest,
        distances=distances,
        median=float(np.median(distances)),
        training_median=float(np.median(apart)),
        limit=limit,
        share=float((distances < limit).mean()),
    )


def clustered_diversity(to_real: Matrix, within_samples: Matrix) -> float | None:
    """Mean distance among samples that resemble the same real image: cluster-based LPIPS.

    Every sample joins the real image it is nearest to; a group's diversity is the mean distance over the
    pairs in it, and the groups' mean is returned (RealNet paper, appendix C.6, after Ojha et al., CVPR 2021).
    Groups of fewer than two samples have no pair and do not count.

    Args:
        to_real: (N, R) distances from samples to real images.
        within_samples: (N, N) distances among samples.

    Returns:
        None where no group has a pair.
    """
    groups = to_real.argmin(axis=1)
    means = []
    for group in np.unique(groups):
        members = np.flatnonzero(groups == group)
        if len(members) > 1:
            pairs = within_samples[np.ix_(members, members)][np.triu_indices(len(members), 1)]
            means.append(float(pairs.mean()))
    return float(np.mean(means)) if means else None
