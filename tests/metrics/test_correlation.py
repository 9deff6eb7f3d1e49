from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import spearmanr

from realnet_edge.errors import DataError
from realnet_edge.metrics import spearman


@pytest.mark.parametrize("levels", [4, 10**6])
def test_equals_scipy_with_and_without_ties(levels: int) -> None:
    rng = np.random.default_rng(levels)
    a = rng.integers(0, levels, 200)
    b = a + rng.integers(0, levels, 200)
    assert spearman(a, b) == pytest.approx(spearmanr(a, b).statistic, abs=1e-12)


def test_only_the_order_matters() -> None:
    a = np.array([0.1, 0.5, 0.2, 0.9])
    assert spearman(a, np.exp(5 * a)) == pytest.approx(1.0)
    assert spearman(a, -a) == pytest.approx(-1.0)


def test_a_constant_has_no_rank_correlation() -> None:
    assert math.isnan(spearman([1.0, 1.0, 1.0], [1.0, 2.0, 3.0]))


@pytest.mark.parametrize(("a", "b"), [([1.0], [1.0]), ([1.0, 2.0], [1.0, 2.0, 3.0])])
def test_inputs_that_cannot_be_compared_are_refused(a: list[float], b: list[float]) -> None:
    with pytest.raises(DataError, match="rank correlation"):
        spearman(a, b)
