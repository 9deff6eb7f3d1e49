"""The plain RRS functions against loops over samples and planes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from realnet_edge.kernels.rrs_reference import choose_planes, mask_planes, stack_planes, take_planes


@pytest.mark.parametrize(("k_max", "k_mean"), [(3, 4), (0, 5), (7, 0), (7, 7)])
def test_selection_is_sorted_by_each_score(k_max: int, k_mean: int) -> None:
    planes = torch.randn(3, 7, 5, 4)
    found = choose_planes(planes, k_max, k_mean).numpy()
    values = planes.numpy()
    for sample in range(3):
        by_max = np.argsort(-values[sample].max((1, 2)))[:k_max]
        by_mean = np.argsort(-values[sample].mean((1, 2)))[:k_mean]
        np.testing.assert_array_equal(found[sample], np.concatenate([by_max, by_mean]))


def test_gather_takes_each_samples_own_planes() -> None:
    planes = torch.randn(2, 6, 3, 3)
    indices = torch.tensor([[5, 0, 5], [1, 2, 3]])
    found = take_planes(planes, indices)
    for sample in range(2):
        for place, channel in enumerate(indices[sample].tolist()):
            assert torch.equal(found[sample, place], planes[sample, channel])


def test_mask_keeps_chosen_planes_in_their_places() -> None:
    planes = torch.randn(2, 6, 3, 3)
    indices = torch.tensor([[5, 0, 5], [1, 2, 3]])
    found = mask_planes(planes, indices)
    for sample, chosen in enumerate(indices.tolist()):
        for channel in range(6):
            expected = planes[sample, channel] if channel in chosen else torch.zeros(3, 3)
            assert torch.equal(found[sample, channel], expected)


def test_stacking_keeps_corners_in_place() -> None:
    """align_corners=True: the corner values of a coarse plane are those of its upsampled form."""
    fine, coarse = torch.randn(1, 2, 8, 8), torch.randn(1, 3, 2, 4)
    stacked = stack_planes([fine, coarse])
    assert stacked.shape == (1, 5, 8, 8)
    torch.testing.assert_close(stacked[:, :2], fine)
    for row in (0, -1):
        for column in (0, -1):
            torch.testing.assert_close(stacked[:, 2:, row, column], coarse[:, :, row, column])
