"""RealNet in mixed precision; its numbers in float32 are held by the golden tests."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from realnet_edge.config import ModelConfig
from realnet_edge.kernels.rrs_reference import residual_planes, take_planes
from realnet_edge.model import RealNet


class Counted(TorchDispatchMode):
    """Which operators ran."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Any] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        self.seen.append(func)
        return func(*args, **(kwargs or {}))


def test_residuals_are_float32_under_autocast() -> None:
    """Rounding the features' small difference to bf16 would drown it."""
    torch.manual_seed(0)
    config = ModelConfig(
        "resnet18", taps=(1, 2), planes=(16, 16), widths=(8, 8), rrs_max=4, rrs_mean=4, image_size=64
    )
    model = RealNet(config).eval()
    inputs: list[torch.Tensor] = []
    model.discriminator.register_forward_pre_hook(lambda _, seen: inputs.extend(seen))
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        output = model(torch.randn(2, 3, 64, 64))
    assert output.selected[0].dtype == torch.bfloat16
    planes = residual_planes(output.selected, output.reconstructed)
    assert planes.dtype == torch.float32
    assert torch.equal(inputs[0], take_planes(planes, output.rrs_indices))


def test_in_plane_order_swapped_ranks_change_nothing() -> None:
    torch.manual_seed(0)
    config = ModelConfig.for_backbone(
        "resnet18", taps=(1, 2), planes=(16, 16), rrs_max=6, rrs_mean=5, image_size=64, rrs_order="plane"
    )
    model = RealNet(config).eval()
    residuals = [torch.rand(2, 16, 16, 16), torch.rand(2, 16, 8, 8)]
    planes, indices = model.rrs([r.sqrt() for r in residuals], [torch.zeros_like(r) for r in residuals])
    assert planes.shape == (2, 32, 16, 16)
    kept = planes.abs().amax(dim=(2, 3)) > 0
    for sample in range(2):
        assert set(kept[sample].nonzero()[:, 0].tolist()) == set(indices[sample].tolist())
    torch.testing.assert_close(planes[:, :16][kept[:, :16]], residuals[0][kept[:, :16]])
    assert model.discriminator(planes).shape == (2, 2, 32, 32)


@pytest.mark.parametrize("order", ["score", "plane"])
def test_kernels_can_be_switched_on_off_and_past_an_export(order: str) -> None:
    torch.manual_seed(0)
    config = ModelConfig.for_backbone(
        "resnet18",
        taps=(1, 2),
        planes=(16, 16),
        rrs_max=6,
        rrs_mean=5,
        rrs_order=order,
        image_size=64,
        standardise=True,
    )
    model = RealNet(config).eval()
    images = torch.randn(2, 3, 64, 64)
    with Counted() as steps:
        plain = model(images)
    model.use_kernels(True)
    with Counted() as ops:
        fused = model(images)
    # Each tap is centred and scaled at once: on a CPU, by normalisation.
    centred = torch.ops.aten.sub.Tensor
    assert steps.seen.count(centred) - ops.seen.count(centred) >= 2
    assert ops.seen.count(torch.ops.realnet_edge.rrs_select.default) == 1
    assert ops.seen.count(torch.ops.realnet_edge.rrs_gather.default) == 1
    assert torch.equal(plain.rrs_indices, fused.rrs_indices)
    torch.testing.assert_close(plain.logits, fused.logits)
    exported = torch.export.export(model, (images,))
    assert not any("realnet_edge" in str(node.target) for node in exported.graph.nodes)
    model.use_kernels(False)
    assert torch.equal(model(images).logits, plain.logits)


def test_small_networks_take_the_plain_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """The 32 planes of 16 x 16 of two images are 2^14 values."""
    config = ModelConfig.for_backbone(
        "resnet18", taps=(1, 2), planes=(16, 16), rrs_max=6, rrs_mean=5, image_size=64
    )
    model = RealNet(config).eval()
    model.use_kernels(True)
    for least, calls in ((2**14, 1), (2**14 + 1, 0)):
        monkeypatch.setattr("realnet_edge.model.rrs.LEAST_ON_CPU", least)
        with Counted() as ops:
            model(torch.randn(2, 3, 64, 64))
        assert ops.seen.count(torch.ops.realnet_edge.rrs_select.default) == calls


@pytest.mark.parametrize("momentum", [0.9, None])
def test_kernels_follow_the_statistics_of_training(momentum: float | None) -> None:
    """`None` is the plain average over batches, which validation takes."""
    torch.manual_seed(0)
    config = ModelConfig.for_backbone(
        "resnet18", taps=(1, 2), planes=(16, 16), rrs_max=6, rrs_mean=5, image_size=64
    )
    plain = RealNet(config).train()
    plain.rrs.norm.momentum = momentum
    fused = copy.deepcopy(plain)
    fused.use_kernels(True)
    for _ in range(3):
        images = torch.randn(2, 3, 64, 64)
        assert torch.equal(plain(images).rrs_indices, fused(images).rrs_indices)
    for (name, ours), theirs in zip(
        fused.rrs.norm.state_dict().items(), plain.rrs.norm.state_dict().values(), strict=True
    ):
        torch.testing.assert_close(ours, theirs, msg=name)


def test_a_network_in_half_precision_decides_in_float32() -> None:
    """Both paths hand the discriminator what it computes in, in the layout that the features have."""
    torch.manual_seed(0)
    config = ModelConfig.for_backbone(
        "resnet18", taps=(1, 2), planes=(16, 16), rrs_max=6, rrs_mean=5, image_size=64
    )
    model = RealNet(config).eval()
    images = torch.randn(2, 3, 64, 64)
    expected = model(images)
    half = copy.deepcopy(model).half().to(memory_format=torch.channels_last)
    half.rrs.float()
    inputs: list[torch.Tensor] = []
    half.discriminator.register_forward_pre_hook(lambda _, seen: inputs.extend(seen))
    for enabled in (False, True):
        half.use_kernels(enabled)
        found = half(images.half().contiguous(memory_format=torch.channels_last))
        assert torch.equal(found.rrs_indices.sort(1).values, expected.rrs_indices.sort(1).values)
        torch.testing.assert_close(found.logits.float(), expected.logits, rtol=2e-2, atol=2e-2)
    assert all(planes.dtype == torch.float16 for planes in inputs)
    assert inputs[1].is_contiguous(memory_format=torch.channels_last)
