"""Noise on the ranks of residual planes: which are exchanged, when, and that their values stay."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from realnet_edge.model import rrs as rrs_module
from realnet_edge.model.rrs import ResidualSelection
from realnet_edge.training.rank_noise import noisy_ranks, rank_factors

PLANES = 12


@pytest.fixture
def blocks() -> tuple[list[Tensor], list[Tensor]]:
    """Two blocks of 6 planes each, selected and reconstructed."""
    torch.manual_seed(0)
    shapes = [(3, 6, 16, 16), (3, 6, 8, 8)]
    return [torch.randn(s) for s in shapes], [torch.randn(s) for s in shapes]


def selection(order: str = "plane") -> ResidualSelection:
    return ResidualSelection(PLANES, 3, 3, order).train()


def test_factors_are_of_a_seed_and_a_step() -> None:
    assert torch.equal(rank_factors(1, 5, PLANES, 0.1), rank_factors(1, 5, PLANES, 0.1))
    assert not torch.equal(rank_factors(1, 5, PLANES, 0.1), rank_factors(1, 6, PLANES, 0.1))
    assert not torch.equal(rank_factors(1, 5, PLANES, 0.1), rank_factors(2, 5, PLANES, 0.1))
    logarithms = rank_factors(0, 0, 100_000, 0.2).log()
    assert logarithms.std().item() == pytest.approx(0.2, rel=0.01)
    assert logarithms.mean().item() == pytest.approx(0.0, abs=0.005)


@pytest.mark.parametrize("order", ["plane", "score"])
def test_the_kernels_exchange_the_same_planes(
    blocks: tuple[list[Tensor], list[Tensor]], order: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rrs_module, "LEAST_ON_CPU", 0)
    plain, fused = selection(order), selection(order)
    fused.fused = True
    quiet = plain(*blocks)[1]
    changed = 0
    for step in range(8):
        with noisy_ranks(plain, 0, step, 0.5), noisy_ranks(fused, 0, step, 0.5):
            (kept, chosen), (same_kept, same) = plain(*blocks), fused(*blocks)
        assert torch.equal(chosen, same)
        torch.testing.assert_close(kept, same_kept)
        changed += not torch.equal(chosen, quiet)
    assert changed > 4


def test_a_plane_that_counts_ten_times_is_chosen_and_keeps_its_values(
    blocks: tuple[list[Tensor], list[Tensor]],
) -> None:
    module = selection()
    kept, chosen = module(*blocks)
    (left,) = [sorted(set(range(PLANES)) - set(row.tolist()))[:1] for row in chosen[:1]]
    factors = torch.ones(PLANES)
    factors[left] = 10.0
    module.rank_factors = factors
    noisy, found = module(*blocks)
    assert found[0, 0].item() == left[0]
    both = (kept[0].flatten(1).any(1)) & (noisy[0].flatten(1).any(1))
    assert both.sum() >= 2
    assert torch.equal(kept[0][both], noisy[0][both])


def test_nothing_is_exchanged_but_in_training_steps(blocks: tuple[list[Tensor], list[Tensor]]) -> None:
    module = selection()
    with noisy_ranks(module, 0, 0, 0.0):
        assert module.rank_factors is None
    with noisy_ranks(module, 0, 0, 0.5):
        assert module.rank_factors is not None
        judged = module.eval()(*blocks)[1]
    assert module.rank_factors is None
    assert torch.equal(judged, module(*blocks)[1])
