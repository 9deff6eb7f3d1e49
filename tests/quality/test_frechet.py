from __future__ import annotations

import numpy as np
import pytest

from realnet_edge.errors import DataError
from realnet_edge.quality.frechet import frechet_distance


def exactly(rng: np.random.Generator, mean: np.ndarray, covariance: np.ndarray, count: int) -> np.ndarray:
    """Points whose own mean and covariance are just these."""
    points = rng.standard_normal((count, len(mean)))
    points -= points.mean(axis=0)
    points = points @ np.linalg.inv(np.linalg.cholesky(np.cov(points, rowvar=False))).T
    return np.asarray(points @ np.linalg.cholesky(covariance).T + mean)


def test_gaussians_with_a_closed_form() -> None:
    """Covariances that commute: the trace is the sum of the squared differences of their roots."""
    rng = np.random.default_rng(0)
    turn = np.linalg.qr(rng.standard_normal((6, 6)))[0]
    roots = np.array([[3.0, 2.0, 1.0, 0.5, 2.5, 0.1], [1.0, 2.0, 4.0, 0.5, 0.2, 3.0]])
    means = rng.standard_normal((2, 6))
    sets = [
        exactly(rng, mean, (turn * root**2) @ turn.T, 200) for mean, root in zip(means, roots, strict=True)
    ]
    expected = np.square(means[0] - means[1]).sum() + np.square(roots[0] - roots[1]).sum()
    assert frechet_distance(*sets) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("counts", [(50, 40), (5, 40), (6, 4)])
def test_it_is_the_trace_of_the_root_of_the_product(counts: tuple[int, int]) -> None:
    """Against eigenvalues of C1 C2, with covariances that do not commute and, of few points, are singular."""
    rng = np.random.default_rng(1)
    first, second = (
        rng.standard_normal((n, 8)) @ rng.standard_normal((8, 8)) + rng.uniform(-1, 1, 8) for n in counts
    )
    product = np.cov(first, rowvar=False) @ np.cov(second, rowvar=False)
    root = np.sqrt(np.linalg.eigvals(product).real.clip(0)).sum()
    spread = np.cov(first, rowvar=False).trace() + np.cov(second, rowvar=False).trace() - 2 * root
    expected = np.square(first.mean(axis=0) - second.mean(axis=0)).sum() + spread
    assert frechet_distance(first, second) == pytest.approx(expected, rel=1e-5)
    assert frechet_distance(second, first) == pytest.approx(expected, rel=1e-5)


def test_a_set_is_no_distance_from_itself_in_any_order() -> None:
    features = np.random.default_rng(2).standard_normal((30, 12))
    assert frechet_distance(features, features[::-1]) == pytest.approx(0.0, abs=1e-9)


def test_features_that_cannot_be_are_refused() -> None:
    good = np.ones((4, 3))
    with pytest.raises(DataError, match="at least two"):
        frechet_distance(good[:1], good)
    with pytest.raises(DataError, match="no finite"):
        frechet_distance(good * np.nan, good)
    with pytest.raises(DataError, match="3 and 2"):
        frechet_distance(good, good[:, :2])
