"""The compiled kernels on a GPU against the references on the CPU."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
import torch

from realnet_edge.config import ModelConfig
from realnet_edge.kernels.afs import afs_gather
from realnet_edge.kernels.afs_reference import afs_gather_reference
from realnet_edge.kernels.ahead_of_time import compile_kernels
from realnet_edge.kernels.catalogue import EPS, find_kernels
from realnet_edge.kernels.kernel_set import KernelSet, load_kernel_set
from realnet_edge.kernels.rrs import rrs_gather, rrs_moments, rrs_select
from realnet_edge.kernels.rrs_call import RrsCall
from realnet_edge.kernels.rrs_plan import RrsLayout, RrsSizes, plan_rrs
from realnet_edge.kernels.rrs_reference import (
    mask_planes,
    residual_planes,
    rrs_gather_reference,
    rrs_scores_reference,
    take_planes,
)
from realnet_edge.kernels.targets import find_target
from realnet_edge.model import RealNet
from realnet_edge.runtime.cuda.kernels import DriverLauncher

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU"),
]
SHAPES = {
    "default": [(256, 64, 64), (512, 32, 32), (512, 16, 16), (256, 8, 8)],
    "non-dividing": [(17, 30, 45), (70, 13, 9), (5, 1, 1)],
}
LAYOUTS = [torch.contiguous_format, torch.channels_last]
DTYPES = [torch.float32, torch.float16, torch.bfloat16]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shapes", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("samples", [1, 5])
def test_rrs(
    samples: int, shapes: list[tuple[int, int, int]], dtype: torch.dtype, layout: torch.memory_format
) -> None:
    selected, reconstructed = (
        [torch.randn(samples, *shape, device="cuda").to(dtype, memory_format=layout) for shape in shapes]
        for _ in range(2)
    )
    planes = sum(shape[0] for shape in shapes)
    mean, variance = torch.rand(planes, device="cuda"), torch.rand(planes, device="cuda") + 0.5
    count = planes // 3
    indices = rrs_select(selected, reconstructed, mean, variance, 1e-5, count, count)
    exact = ([block.double() for block in blocks] for blocks in (selected, reconstructed))
    scores = rrs_scores_reference(*exact, mean.double(), variance.double(), 1e-5)
    for mode, found in enumerate(indices.split(count, dim=1)):
        # In the order of the exact scores, but for scores closer than rounding.
        expected = scores[mode].topk(count, dim=1).values
        torch.testing.assert_close(scores[mode].gather(1, found), expected, rtol=1e-5, atol=1e-5)
        assert all(len(set(row)) == count for row in found.tolist())
    source = torch.cat([indices, torch.full_like(indices[:, :1], -1)], dim=1)
    for channels_last in (False, True):
        out = rrs_gather(selected, reconstructed, source, channels_last=channels_last)
        expected = rrs_gather_reference(selected, reconstructed, source)
        torch.testing.assert_close(out, expected, rtol=1e-5, atol=1e-5)
    moments = rrs_moments(selected, reconstructed)
    full = residual_planes(selected, reconstructed).double()
    torch.testing.assert_close(moments[0].double(), full.mean(dim=(0, 2, 3)), rtol=1e-4, atol=1e-5)
    exact_variance = full.var(dim=(0, 2, 3), unbiased=False)
    torch.testing.assert_close(moments[1].double(), exact_variance, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_afs(dtype: torch.dtype, layout: torch.memory_format) -> None:
    features = torch.randn(2, 300, 9, 7, device="cuda").to(dtype, memory_format=layout)
    index = torch.randperm(300, device="cuda")[:77]
    mean, scale = torch.randn(300, device="cuda"), torch.rand(300, device="cuda") + 0.5
    found = afs_gather(features, index, mean, scale, channels_last=True, dtype=torch.float32)
    expected = afs_gather_reference(features.float(), index, mean, scale)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)


def test_a_training_step_gives_the_gradients_of_the_plain_path() -> None:
    torch.manual_seed(0)
    config = ModelConfig.for_backbone("resnet18", image_size=128)
    model = RealNet(config).cuda().train()
    images = torch.randn(4, 3, 128, 128, device="cuda")
    found = []
    for enabled in (False, True):
        model.use_kernels(enabled)
        model.rrs.norm.reset_running_stats()
        model.zero_grad()
        model(images).logits.square().mean().backward()
        found.append([p.grad.clone() for p in model.reconstruction.parameters() if p.grad is not None])
    for plain, fused in zip(*found, strict=True):
        torch.testing.assert_close(fused, plain, rtol=1e-3, atol=1e-5)


@pytest.fixture(scope="module")
def compiled_here(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., KernelSet]:
    """Kernels compiled ahead of time for this GPU, as a bundle's engine carries them."""
    folder = tmp_path_factory.mktemp("kernels")
    major, minor = torch.cuda.get_device_capability()
    sm = 10 * major + minor

    def make(names: Sequence[str]) -> KernelSet:
        (result,) = compile_kernels(find_kernels(names), [find_target(sm)], folder)
        assert result.error is None
        return load_kernel_set(folder, sm, names)

    return make


@pytest.mark.parametrize("all_planes", [False, True])
@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize(("read", "written"), [("f32", "f32"), ("f16", "f16")])
@pytest.mark.parametrize("samples", [1, 3])
def test_compiled_kernels_compute_rrs_as_the_plugin_launches_them(
    samples: int,
    read: str,
    written: str,
    last: bool,
    all_planes: bool,
    compiled_here: Callable[..., KernelSet],
) -> None:
    shapes, kept = SHAPES["non-dividing"], (11, 13)
    dtypes = {"f32": torch.float32, "f16": torch.float16}
    memory = torch.channels_last if last else torch.contiguous_format
    sides = [
        [
            torch.randn(samples, *shape, device="cuda").to(dtypes[read], memory_format=memory)
            for shape in shapes
        ]
        for _ in range(2)
    ]
    planes = sum(shape[0] for shape in shapes)
    mean, variance = torch.rand(planes, device="cuda"), torch.rand(planes, device="cuda") + 0.5
    layout = RrsLayout(len(shapes), read, written, last, all_planes)
    sizes = RrsSizes(samples, tuple(shapes), *kept)
    places = planes if all_planes else sum(kept)
    out = torch.full((samples, places, *shapes[0][1:]), torch.nan, device="cuda", dtype=dtypes[written])
    out = out.contiguous(memory_format=memory)
    indices = torch.full((samples, sum(kept)), -7, device="cuda")
    workspace = torch.full((plan_rrs(layout, sizes).workspace,), 255, device="cuda", dtype=torch.uint8)
    call = RrsCall(layout, sizes, compiled_here(layout.kernels), DriverLauncher())
    inputs = [t.data_ptr() for t in (*sides[0], *sides[1], mean, variance)]
    stream = torch.cuda.current_stream().cuda_stream
    call.run(inputs, [out.data_ptr(), indices.data_ptr()], workspace.data_ptr(), stream)
    expected = rrs_select(*sides, mean, variance, EPS, *kept)
    assert torch.equal(indices, expected)
    hand_on = mask_planes if all_planes else take_planes
    tolerance = 2e-3 if written == "f16" else 1e-5
    torch.testing.assert_close(
        out.float(), hand_on(residual_planes(*sides), indices), rtol=tolerance, atol=tolerance
    )
