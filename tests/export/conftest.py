"""A small RealNet on real images: quick to export, and no layer of it is idle."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch

from realnet_edge.calibrate import quantise_onnx
from realnet_edge.calibrate.build import SPARED
from realnet_edge.config import ModelConfig
from realnet_edge.data import load_category
from realnet_edge.export import ExportReport, onnx_from_checkpoint
from realnet_edge.export.cast_fp16 import cast_fp16
from realnet_edge.imaging import load_batch
from realnet_edge.model import RealNet
from realnet_edge.model.afs import channel_statistics
from realnet_edge.model.backbone import load_pretrained
from realnet_edge.model.checkpoint import Checkpoint, load_checkpoint, save_checkpoint

SIZE = 128


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
    """The same taps in one block, for what needs an export of its own."""
    config = ModelConfig.for_backbone(
        "tf_efficientnet_lite0", image_size=SIZE, taps=(1, 2), planes=(16, 16), blocks=(2,)
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
    quantise_onnx(exported[0], folder / "int8" / "model.onnx", calibration, exclude=SPARED["tensorrt"])
    half, whole = folder / "fp16", folder / "int8-fp16"
    cast_fp16(exported[0], half / "model.onnx")
    cast_fp16(folder / "int8" / "model.onnx", whole / "model.onnx")
    return {"fp32": exported[0], "fp16": half / "model.onnx", "int8": whole / "model.onnx"}


def _settled(config: ModelConfig, images: npt.NDArray[np.uint8], folder: Path) -> Checkpoint:
    """A checkpoint in which no layer is idle and every statistic is one of real images."""
    torch.manual_seed(0)
    model = RealNet(config).eval()
    load_pretrained(model.backbone, config)
    model.inputs.reference.fill_(float(images.mean()))
    batch = model.inputs(torch.from_numpy(images))
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
