"""The averaged BatchNorm statistics against the definition, and all that must not change."""

from __future__ import annotations

import torch
from torch import Tensor

from realnet_edge.config import ModelConfig, SynthesisConfig
from realnet_edge.data import CategoryData
from realnet_edge.kernels.rrs_reference import stack_planes
from realnet_edge.model import RealNet
from realnet_edge.synthesis import ForegroundRule
from realnet_edge.training.samples import AnomalyDataset, batches
from realnet_edge.training.statistics import _FIRST, refresh_statistics

CONFIG = ModelConfig.for_backbone(
    "tf_efficientnet_lite0", image_size=64, planes=(8, 16, 16), widths=(8, 8, 24), rrs_max=8, rrs_mean=8
)


def residual_means(model: RealNet, dataset: AnomalyDataset, count: int) -> Tensor:
    """Channel means of the residual planes over the batches that the refresh uses, by hand."""
    means = []
    for part in batches(dataset, _FIRST, _FIRST + 4 * count, 4, workers=0):
        images = part.normal.clone()
        images[part.carries] = part.anomalous
        with torch.no_grad():
            output = model(model.inputs(images))
        residuals = [(s - r) ** 2 for s, r in zip(output.selected, output.reconstructed, strict=True)]
        means.append(stack_planes(residuals).mean(dim=(0, 2, 3)))
    return torch.stack(means).mean(0)


def test_statistics_are_the_average_over_all_batches(category: CategoryData) -> None:
    torch.manual_seed(0)
    model = RealNet(CONFIG).eval()
    dataset = AnomalyDataset(category.train[:8], 64, SynthesisConfig(), ForegroundRule.parse("whole"), seed=1)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    refresh_statistics(model, dataset, 0, 4)
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    refresh_statistics(model, dataset, 3, 4)
    torch.testing.assert_close(model.rrs.norm.running_mean, residual_means(model, dataset, 3))
    assert model.rrs.norm.momentum == 0.9
    assert not model.training
    changed = {k for k, v in model.state_dict().items() if not torch.equal(v, before[k])}
    assert all(k.startswith(("rrs.norm.", "discriminator.reduce.1.")) for k in changed)
    assert {"rrs.norm.running_var", "discriminator.reduce.1.running_mean"} <= changed
