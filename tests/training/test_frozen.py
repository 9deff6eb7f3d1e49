"""The training step's copy of the backbone: same features, and the model that is saved stays as it is."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from realnet_edge.config import ModelConfig
from realnet_edge.model import RealNet
from realnet_edge.model.backbone import load_pretrained
from realnet_edge.training.frozen import FrozenFeatures, folded


@pytest.mark.parametrize("backbone", ["tf_efficientnet_lite0", "resnet18"])
def test_a_folded_backbone_gives_the_same_features(backbone: str) -> None:
    torch.manual_seed(0)
    config = ModelConfig.for_backbone(backbone, image_size=64, taps=(0, 1), widths=(8, 8))
    model = RealNet(config).eval()
    if "lite" in backbone:
        load_pretrained(model.backbone, config)
    for norm in model.backbone.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.running_mean = torch.rand(norm.num_features) - 0.5
    before = {key: value.clone() for key, value in model.state_dict().items()}
    # More than go through at once.
    images = torch.randn(6, 3, 64, 64)
    for found, expected in zip(FrozenFeatures(model)(images), model.select(images), strict=True):
        assert float((found - expected).abs().max()) < 1e-4 * float(expected.abs().max())
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded(model.backbone).modules())
    torch.testing.assert_close(model.state_dict(), before, rtol=0, atol=0)
