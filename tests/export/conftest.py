"""A small RealNet on real images: quick to export, and no layer of it is idle."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor, nn

from realnet_edge.calibrate import quantise_onnx
from realnet_edge.calibrate.build import BuildOptions, quantised
from realnet_edge.config import ModelConfig
from realnet_edge.data import load_category
from realnet_edge.export import ExportReport, onnx_from_checkpoint
from realnet_edge.export.cast_fp16 import cast_fp16
from realnet_edge.export.onnx_export import PASSES, trace
from realnet_edge.export.passes import run_passes
from realnet_edge.export.rrs_function import RrsNode, gather_rrs
from realnet_edge.imaging import load_batch
from realnet_edge.model import RealNet
from realnet_edge.model.afs import channel_statistics
from realnet_edge.model.backbone import load_pretrained
from realnet_edge.model.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from realnet_edge.model.rrs import Discriminator, ResidualSelection
from realnet_edge.training.fixture import fit_alignment

SIZE = 128
SMALL = 32
# Channels of each block: one with more, so that not both are cut alike.
CHANNELS = (8, 24)
K_MAX, K_MEAN = 3, 5
PRECISIONS = ("fp32", "fp16", "int8")


@pytest.fixture(scope="session")
def images(mvtec_root: Path) -> npt.NDArray[np.uint8]:
    """Six real screws, two of them damaged, uint8 (6, 128, 128, 3)."""
    category = load_category(mvtec_root, "screw")
    defects = [sample.path for sample in category.defects[:60:30]]
    return load_batch([*category.train[:4], *defects], (SIZE, SIZE))


@pytest.fixture(scope="session")
def checkpoint(images: npt.NDArray[np.uint8], tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    """Two blocks; EfficientNet-Lite0 with ImageNet's weights, statistics of real images, the rest random."""
    config = ModelConfig.for_backbone(
        "tf_efficientnet_lite0",
        image_size=SIZE,
        taps=(1, 2),
        planes=(16, 32),
        widths=(16, 16),
        match_exposure=True,
    )
    return _settled(config, images, tmp_path_factory.mktemp("two"))


@pytest.fixture(scope="session")
def slim(images: npt.NDArray[np.uint8], tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    """The same taps in one block, and RRS by one mode alone, for what needs an export of its own."""
    config = ModelConfig.for_backbone(
        "tf_efficientnet_lite0",
        image_size=SIZE,
        taps=(1, 2),
        planes=(16, 16),
        blocks=(2,),
        rrs_max=0,
        rrs_mean=10,
    )
    return _settled(config, images, tmp_path_factory.mktemp("one"))


@pytest.fixture(scope="session")
def exported(
    checkpoint: Checkpoint, images: npt.NDArray[np.uint8], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, ExportReport]:
    """The ONNX graph of `checkpoint`, and what its export found."""
    path = tmp_path_factory.mktemp("export") / "onnx" / "model.onnx"
    return path, onnx_from_checkpoint(checkpoint, path, images)


@pytest.fixture(scope="session")
def tensorrt_graphs(
    exported: tuple[Path, ExportReport],
    mvtec_root: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, Path]:
    """Precision -> the graph of `checkpoint` that TensorRT reads; int8 spares what a build spares."""
    folder = tmp_path_factory.mktemp("tensorrt")
    calibration = load_batch(load_category(mvtec_root, "screw").train[40:46], (SIZE, SIZE))
    quantised(exported[0], folder / "int8" / "model.onnx", calibration, "tensorrt", BuildOptions())
    half, whole = folder / "fp16", folder / "int8-fp16"
    cast_fp16(exported[0], half / "model.onnx")
    cast_fp16(folder / "int8" / "model.onnx", whole / "model.onnx")
    return {"fp32": exported[0], "fp16": half / "model.onnx", "int8": whole / "model.onnx"}


@pytest.fixture(scope="session")
def settle() -> Callable[[ModelConfig, npt.NDArray[np.uint8], Path], Checkpoint]:
    """`settle(config, images, folder)`: see `_settled`."""
    return _settled


class SmallEngine(nn.Module):
    """An engine graph in little: real RRS and a real discriminator between a few convolutions."""

    stage_names = ()

    def __init__(self, order: str) -> None:
        super().__init__()
        strides, planes = (4, 8), sum(CHANNELS)
        self.selected = nn.ModuleList(nn.Conv2d(3, c, s, s) for c, s in zip(CHANNELS, strides, strict=True))
        self.rebuilt = nn.ModuleList(nn.Conv2d(c, c, 3, padding=1) for c in CHANNELS)
        self.rrs = ResidualSelection(planes, K_MAX, K_MEAN, order)
        self.discriminator = Discriminator(self.rrs.outputs)
        self.rrs.norm.get_buffer("running_mean").uniform_(0.0, 0.5)
        self.rrs.norm.get_buffer("running_var").uniform_(0.5, 2.0)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        pixels = image.float().permute(0, 3, 1, 2) / 64.0
        selected = [layer(pixels) for layer in self.selected]
        rebuilt = [layer(block) for layer, block in zip(self.rebuilt, selected, strict=True)]
        planes, indices = self.rrs(selected, rebuilt)
        logits = self.discriminator(planes)
        maps = (logits[:, 1] - logits[:, 0]).sigmoid()
        return maps, maps.amax(dim=(1, 2)), indices.to(torch.int32)


@dataclass(frozen=True)
class Small:
    """A small engine graph in one precision.

    Attributes:
        plain: with RRS in its operators.
        gathered: with RRS as one node.
        node: what that node is.
    """

    plain: Path
    gathered: Path
    node: RrsNode


@pytest.fixture(scope="session")
def small_images() -> npt.NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (6, SMALL, SMALL, 3), dtype=np.uint8)


@pytest.fixture(scope="session")
def small_engines(
    small_images: npt.NDArray[np.uint8], tmp_path_factory: pytest.TempPathFactory
) -> dict[tuple[str, str], Small]:
    """(order of the planes, precision) -> graph, as TensorRT reads it."""
    return {
        (order, precision): Small(graph, target, gather_rrs(graph, target))
        for order in ("score", "plane")
        for precision, graph in _small_graphs(order, small_images, tmp_path_factory.mktemp(order)).items()
        for target in [graph.parent / "gathered" / "model.onnx"]
    }


def _small_graphs(order: str, images: npt.NDArray[np.uint8], folder: Path) -> dict[str, Path]:
    torch.manual_seed(0)
    plain = folder / "fp32" / "model.onnx"
    plain.parent.mkdir()
    program = trace(SmallEngine(order).eval(), images[:2])  # type: ignore[arg-type]  # as an EngineGraph
    run_passes(program.model, PASSES, tolerance=1e-4)
    program.save(plain)
    cast_fp16(plain, folder / "fp16" / "model.onnx")
    quantise_onnx(plain, folder / "quantised" / "model.onnx", images)
    cast_fp16(folder / "quantised" / "model.onnx", folder / "int8" / "model.onnx")
    return {precision: folder / precision / "model.onnx" for precision in ("fp32", "fp16", "int8")}


def _settled(config: ModelConfig, images: npt.NDArray[np.uint8], folder: Path) -> Checkpoint:
    """A checkpoint in which no layer is idle and every statistic is one of real images or their strips."""
    torch.manual_seed(0)
    model = RealNet(config).eval()
    load_pretrained(model.backbone, config)
    seen = torch.from_numpy(images)
    if model.alignment is not None:
        fit_alignment(model.alignment, [images])
        seen = model.alignment(seen, model.alignment.pose(seen))
    model.inputs.reference.fill_(float(seen.double().mean()))
    batch = model.inputs(seen)
    for afs, (mean, deviation) in zip(model.afs, channel_statistics(model.backbone, [batch]), strict=True):
        afs.mean.copy_(mean)
        afs.scale.copy_(1.0 / deviation)
    for parameter in model.reconstruction.parameters():
        # Output layers start at zero, which would hide everything before them.
        if not parameter.detach().any():
            torch.nn.init.normal_(parameter, std=0.05)
    with torch.no_grad():
        model.train()
        for _ in range(20):
            model(batch)
        model.eval()
    splits = {"train": [], "held_out": [], "calibration": [], "seed": 0}
    data = {"root": "unused", "layout": "mvtec"}
    save_checkpoint(folder / "checkpoint", Checkpoint(model, config, "screw", splits, data, {}))
    return load_checkpoint(folder / "checkpoint")
