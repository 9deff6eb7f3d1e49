"""What the reconstruction U-Net lets one choose: how wide its norms' groups are and where it attends."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from realnet_edge.config import ModelConfig
from realnet_edge.errors import ConfigError
from realnet_edge.model import RealNet
from realnet_edge.model.unet import AttentionBlock, ReconstructionUNet, group_norm


def norms(module: nn.Module) -> list[nn.GroupNorm]:
    return [m for m in module.modules() if isinstance(m, nn.GroupNorm)]


def test_published_groups_are_32_wherever_32_divides_the_channels() -> None:
    assert {n.num_groups for n in norms(ReconstructionUNet(32, 32))} == {32}


@pytest.mark.parametrize(("channels", "width", "groups"), [(16, 4, 4), (200, 12, 8), (24, 4, 2), (8, 32, 1)])
def test_no_group_is_narrower_than_asked_for_unless_there_are_fewer_channels(
    channels: int, width: int, groups: int
) -> None:
    norm = group_norm(channels, width)
    assert norm.num_groups == groups
    assert channels // norm.num_groups >= min(width, channels)


@pytest.mark.parametrize("width", [3, 4, 7, 12])
def test_groups_divide_the_channels_of_every_layer(width: int) -> None:
    for base in (8, 24, 40, 56):
        unet = ReconstructionUNet(8, base, width)
        assert all(n.num_channels % n.num_groups == 0 for n in norms(unet))
        assert all(n.num_channels // n.num_groups >= min(width, n.num_channels) for n in norms(unet))


def test_wide_groups_keep_how_strongly_channels_answer() -> None:
    """Twice as strong an answer in one channel: lost in groups of one, kept in groups of four."""
    x = torch.randn(1, 16, 8, 8, generator=torch.Generator().manual_seed(0))
    stronger = x.clone()
    stronger[:, 3] *= 2
    assert torch.allclose(group_norm(16, 1)(stronger), group_norm(16, 1)(x), atol=1e-4)
    assert not torch.allclose(group_norm(16, 4)(stronger), group_norm(16, 4)(x), atol=0.1)


def test_the_setting_reaches_every_unet_and_is_checked() -> None:
    sizes = {"image_size": 64, "planes": (8, 16, 16), "widths": (16, 32, 32), "rrs_max": 4, "rrs_mean": 4}
    config = ModelConfig.for_backbone("tf_efficientnet_lite0", group_width=4, **sizes)
    for unet in RealNet(config).reconstruction:
        assert all(n.num_channels // n.num_groups >= 4 for n in norms(unet))
    whole = ModelConfig.for_backbone("tf_efficientnet_lite0", group_width=0, **sizes)
    assert all(n.num_groups == 1 for n in norms(RealNet(whole).reconstruction))
    with pytest.raises(ConfigError, match="group_width is 33"):
        ModelConfig.for_backbone("tf_efficientnet_lite0", group_width=33, **sizes)


@pytest.mark.parametrize(
    ("limit", "attending"), [(0, [11, 11, 11]), (64, [11, 11, 11]), (16, [6, 11, 11]), (4, [0, 6, 11])]
)
def test_attention_stops_where_there_are_too_many_positions(limit: int, attending: list[int]) -> None:
    """Strides of 4, 8 and 16 at 64 pixels: planes of 16, 8 and 4, halved twice."""
    sizes = {"planes": (8, 16, 16), "widths": (16, 32, 32), "rrs_max": 4, "rrs_mean": 4}
    config = ModelConfig.for_backbone("tf_efficientnet_lite0", image_size=64, attention_limit=limit, **sizes)
    model = RealNet(config).eval()
    blocks = [[m for m in unet.modules() if isinstance(m, AttentionBlock)] for unet in model.reconstruction]
    assert [len(found) for found in blocks] == attending
    assert model(torch.randn(1, 3, 64, 64)).logits.shape == (1, 2, 32, 32)


@pytest.mark.parametrize(
    ("size", "width", "group_width"), [(64, 24, 1), (64, 16, 2), (64, 8, 0), (128, 8, 1), (128, 16, 1)]
)
def test_the_smallest_settings_that_are_accepted_take_a_single_image(
    size: int, width: int, group_width: int
) -> None:
    """A group of one value would be refused by PyTorch; at 64 pixels a stride of 16 leaves one pixel."""
    config = ModelConfig.for_backbone(
        "tf_efficientnet_lite0",
        taps=(3,),
        planes=(8,),
        widths=(width,),
        image_size=size,
        group_width=group_width,
    )
    (unet,) = RealNet(config).unets()
    features = torch.randn(1, 8, size // 16, size // 16)
    assert unet(features).shape == features.shape


def test_settings_that_would_leave_one_value_a_group_fail_where_they_are_not_refused() -> None:
    with pytest.raises(ConfigError, match="128 or more"):
        ModelConfig.for_backbone(
            "tf_efficientnet_lite0", taps=(3,), planes=(8,), widths=(16,), image_size=64, rrs_max=4
        )
    with pytest.raises(ValueError, match="more than 1 value"):
        ReconstructionUNet(8, 16)(torch.randn(1, 8, 4, 4))
