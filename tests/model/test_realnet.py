"""RealNet in mixed precision; its numbers in float32 are held by the golden tests."""

from __future__ import annotations

import torch

from realnet_edge.config import ModelConfig
from realnet_edge.model import RealNet


def test_residuals_are_float32_under_autocast() -> None:
    """Rounding the features' small difference to bf16 would drown it."""
    torch.manual_seed(0)
    config = ModelConfig(
        "resnet18", taps=(1, 2), planes=(16, 16), widths=(8, 8), rrs_max=4, rrs_mean=4, image_size=64
    )
    model = RealNet(config).eval()
    seen: list[torch.Tensor] = []
    model.rrs.register_forward_pre_hook(lambda _, inputs: seen.extend(inputs[0]))
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        output = model(torch.randn(2, 3, 64, 64))
    assert output.selected[0].dtype == torch.bfloat16
    for residual, s, r in zip(seen, output.selected, output.reconstructed, strict=True):
        assert residual.dtype == torch.float32
        assert torch.equal(residual, (s.float() - r.float()) ** 2)


def test_in_plane_order_swapped_ranks_change_nothing() -> None:
    torch.manual_seed(0)
    config = ModelConfig.for_backbone(
        "resnet18", taps=(1, 2), planes=(16, 16), rrs_max=6, rrs_mean=5, image_size=64, rrs_order="plane"
    )
    model = RealNet(config).eval()
    residuals = [torch.rand(2, 16, 16, 16), torch.rand(2, 16, 8, 8)]
    planes, indices = model.rrs(residuals)
    assert planes.shape == (2, 32, 16, 16)
    kept = planes.abs().amax(dim=(2, 3)) > 0
    for sample in range(2):
        assert set(kept[sample].nonzero()[:, 0].tolist()) == set(indices[sample].tolist())
    assert torch.equal(planes[:, :16][kept[:, :16]], residuals[0][kept[:, :16]])
    assert model.discriminator(planes).shape == (2, 2, 32, 32)
