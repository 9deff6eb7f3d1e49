"""AFS against its definition written out in float64 NumPy, and the statistics that standardise taps."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from realnet_edge.model.afs import FeatureSelection, channel_losses, channel_statistics, select_channels


class TwoTaps(nn.Module):
    """Features whose worth is known: the input's channels at two resolutions."""

    def forward(self, images: Tensor) -> list[Tensor]:
        return [images, nn.functional.avg_pool2d(images, 2)]


def definition(anomalous: np.ndarray, normal: np.ndarray, mask: np.ndarray) -> list[float]:
    """Paper eq. 4 with the official scaling, a channel at a time."""
    found = []
    step = mask.shape[-1] // anomalous.shape[-1]
    for channel in range(anomalous.shape[1]):
        difference = (anomalous[:, channel].astype(np.float64) - normal[:, channel]) ** 2
        scaled = (difference - difference.min()) / (difference.max() - difference.min() + 1e-4)
        found.append(float(((scaled - mask[:, 0, ::step, ::step]) ** 2).mean()))
    return found


def pairs(seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    rng = np.random.default_rng(seed)
    normal = rng.standard_normal((3, 6, 16, 16)).astype(np.float32)
    mask = np.zeros((3, 1, 16, 16), np.float32)
    mask[:, :, 4:10, 4:12] = 1
    anomalous = normal.copy()
    for channel in range(6):
        # The higher the channel, the more of its change lies outside the mask.
        anomalous[:, channel] += mask[:, 0] + 0.3 * channel * rng.standard_normal((3, 16, 16))
    return torch.from_numpy(anomalous), torch.from_numpy(normal), torch.from_numpy(mask)


def test_channel_losses_follow_the_definition() -> None:
    anomalous, normal, mask = pairs()
    for size in (16, 8):
        a, n = (nn.functional.adaptive_avg_pool2d(x, size) for x in (anomalous, normal))
        expected = definition(a.numpy(), n.numpy(), mask.numpy())
        np.testing.assert_allclose(channel_losses(a, n, mask).numpy(), expected, rtol=1e-5, atol=1e-8)


def test_selection_takes_the_channels_that_answer_inside_the_mask() -> None:
    chosen = select_channels(TwoTaps(), [pairs(0), pairs(1)], [3, 2])
    assert chosen[0].tolist() == [0, 1, 2]
    assert len(chosen[1]) == 2
    assert chosen[1].tolist() == sorted(chosen[1].tolist())


def drawn(projected: bool, seed: int) -> FeatureSelection:
    selection = FeatureSelection(12, 5, True, projected)
    selection.mean.copy_(torch.linspace(-1, 1, 12))
    selection.scale.copy_(torch.linspace(0.5, 2, 12))
    selection.draw(torch.Generator().manual_seed(seed))
    return selection


def test_random_channels_are_distinct_sorted_and_follow_the_seed() -> None:
    index = drawn(False, 1).index.tolist()
    assert len(set(index)) == 5
    assert index == sorted(index)
    assert index == drawn(False, 1).index.tolist()
    assert index != drawn(False, 2).index.tolist()


def test_a_projection_sums_standardised_channels() -> None:
    selection = drawn(True, 1)
    features = torch.randn(2, 12, 4, 3)
    standard = (features - selection.mean[:, None, None]) * selection.scale[:, None, None]
    expected = torch.einsum("mc,nchw->nmhw", selection.projection, standard)
    torch.testing.assert_close(selection(features), expected)
    assert not torch.equal(selection.projection, drawn(True, 2).projection)
    # Planes keep about the channels' variance.
    wide = FeatureSelection(4000, 30, False, True)
    wide.draw(torch.Generator().manual_seed(0))
    assert (wide.projection**2).sum(1).mean() == pytest.approx(1.0, abs=0.05)


def test_selection_averages_over_all_batches() -> None:
    good, other = pairs(0), pairs(1)
    flipped = (other[0].flip(1), other[1].flip(1), other[2])
    total = sum(np.array(definition(a.numpy(), n.numpy(), m.numpy())) for a, n, m in (good, flipped))
    (chosen, _) = select_channels(TwoTaps(), [good, flipped], [2, 1])
    assert chosen.tolist() == sorted(np.argsort(total)[:2].tolist())


def test_a_channel_that_is_not_a_number_is_taken_last() -> None:
    anomalous, normal, mask = pairs()
    anomalous[0, 0, 0, 0] = float("nan")
    (chosen, _) = select_channels(TwoTaps(), [(anomalous, normal, mask)], [5, 1])
    assert chosen.tolist() == [1, 2, 3, 4, 5]


def test_no_batches_is_an_error() -> None:
    with pytest.raises(ValueError, match="at least one batch"):
        select_channels(TwoTaps(), [], [1, 1])


def test_statistics_over_batches_equal_those_over_everything() -> None:
    images = torch.randn(10, 3, 8, 8) * torch.tensor([1.0, 10.0, 0.0])[None, :, None, None] + 300
    (mean, deviation), (coarse_mean, _) = channel_statistics(TwoTaps(), [images[:4], images[4:]])
    expected = images.double().transpose(0, 1).reshape(3, -1)
    np.testing.assert_allclose(mean, expected.mean(1), rtol=1e-6)
    np.testing.assert_allclose(deviation[:2], expected.std(1, correction=0)[:2], rtol=1e-4)
    np.testing.assert_allclose(coarse_mean, expected.mean(1), rtol=1e-6)
    # A channel that never moves must not be divided by nothing.
    assert 0 < deviation[2] < 1e-3


def test_selection_keeps_and_standardises_its_channels() -> None:
    features = torch.randn(2, 4, 3, 3)
    selection = FeatureSelection(4, 2, standardise=True)
    selection.index.copy_(torch.tensor([1, 3]))
    selection.mean.copy_(torch.tensor([0.0, 5.0, 0.0, -2.0]))
    selection.scale.copy_(torch.tensor([1.0, 2.0, 1.0, 0.5]))
    found = selection(features)
    torch.testing.assert_close(found[:, 0], (features[:, 1] - 5) * 2)
    torch.testing.assert_close(found[:, 1], (features[:, 3] + 2) * 0.5)
    plain = FeatureSelection(4, 4, standardise=False)
    torch.testing.assert_close(plain(features), features)


@pytest.mark.parametrize("trained", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize(("planes", "standardise"), [(5, True), (5, False), (12, True), (12, False)])
def test_fused_gives_the_same_numbers(
    planes: int, standardise: bool, layout: torch.memory_format, dtype: torch.dtype, trained: bool
) -> None:
    selection = FeatureSelection(12, planes, standardise)
    selection.draw(torch.Generator().manual_seed(3))
    selection.mean.copy_(torch.randn(12))
    selection.scale.copy_(torch.rand(12) + 0.5)
    features = torch.randn(2, 12, 4, 3).to(dtype).contiguous(memory_format=layout).requires_grad_(trained)
    expected = selection(features)
    selection.fused = True
    found = selection(features)
    assert found.dtype == expected.dtype
    torch.testing.assert_close(found, expected)
    assert found.requires_grad == trained
    assert found.is_contiguous(memory_format=layout)


def test_the_op_is_called_where_a_gradient_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    called = []
    monkeypatch.setattr(
        "realnet_edge.model.afs.afs_gather", lambda *given, **_: called.append(given[0].shape)
    )
    selection = FeatureSelection(4, 2, standardise=True)
    selection.fused = True
    selection(torch.zeros(1, 4, 5, 6))
    assert not called
    selection(torch.zeros(1, 4, 7, 8, requires_grad=True))
    assert called == [(1, 4, 7, 8)]


def test_a_projection_is_not_fused() -> None:
    selection = drawn(True, 1)
    features = torch.randn(2, 12, 4, 3)
    expected = selection(features)
    selection.fused = True
    assert torch.equal(selection(features), expected)
