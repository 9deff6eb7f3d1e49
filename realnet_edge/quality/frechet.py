"""The Frechet distance between the Gaussians of two sets of features (Heusel et al., NeurIPS 2017)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from realnet_edge.errors import DataError

Features = npt.NDArray[np.float64] | npt.NDArray[np.float32]


def frechet_distance(first: Features, second: Features) -> float:
    """|m1 - m2|^2 + Tr(C1 + C2 - 2 (C1 C2)^(1/2)) of the sets' means and covariances.

    With A_i = the centred features of set i over sqrt(n_i - 1), C_i = A_i^T A_i, and the trace of
    (C1 C2)^(1/2) is the sum of the singular values of A1 A2^T. That is exact also where there are fewer
    images than features and the covariances are singular, and no root of a matrix has to be taken.

    A set's distance from another draw of itself is not 0 but shrinks with its size: compare only sets of
    the same number of images.

    Args:
        first, second: (N, D) and (M, D), at least two rows each.

    Returns:
        The distance, at least 0.

    Raises:
        DataError: another shape, fewer than two rows, or a value that is no finite number.
    """
    mean_1, root_1 = _gaussian(first)
    mean_2, root_2 = _gaussian(second)
    if len(mean_1) != len(mean_2):
        raise DataError(f"features of {len(mean_1)} and {len(mean_2)} values do not compare.")
    shared = np.linalg.svd(root_1 @ root_2.T, compute_uv=False).sum()
    spread = np.square(root_1).sum() + np.square(root_2).sum() - 2.0 * shared
    return max(0.0, float(np.square(mean_1 - mean_2).sum() + spread))


def _gaussian(features: Features) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """The mean, and a matrix whose Gram matrix is the covariance, of at most as many rows as columns."""
    if features.ndim != 2 or len(features) < 2:
        raise DataError(
            f"a Frechet distance needs features of at least two images, (N, D), got {features.shape}."
        )
    values = features.astype(np.float64)
    if not np.isfinite(values).all():
        raise DataError("features hold values that are no finite numbers. Check the network's weights.")
    mean = values.mean(axis=0)
    root = (values - mean) / np.sqrt(len(values) - 1)
    if len(root) > root.shape[1]:
        root = np.linalg.qr(root, mode="r")
    return mean, root
