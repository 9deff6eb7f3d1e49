"""BatchNorm and standardisation are part of weights wherever a weight can take them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
import torch
from torch import nn

from realnet_edge.backbones import BACKBONES
from realnet_edge.config import ModelConfig
from realnet_edge.export import EngineGraph, ExportReport
from realnet_edge.export.onnx_export import PASSES, keep_engine_outputs, trace
from realnet_edge.export.passes import run_passes
from realnet_edge.model import RealNet
from realnet_edge.model.checkpoint import Checkpoint
from realnet_edge.model.unet import AttentionBlock

SMALL = {"planes": (8, 8, 8), "rrs_max": 4, "rrs_mean": 4, "image_size": 128, "taps": (1, 2, 3)}


def batchnorms(model: nn.Module) -> int:
    """Layers of BatchNorm; RRS's own is not among them, which has no weight before it."""
    return sum(isinstance(module, nn.BatchNorm2d) for module in model.modules()) - 1


def passed(config: ModelConfig) -> tuple[RealNet, ir.Model, dict[str, int]]:
    """An untrained network, its graph after all passes, and what each pass rewrote."""
    torch.manual_seed(0)
    model = RealNet(config).eval()
    images = np.random.default_rng(0).integers(0, 256, (2, *config.input_size, 3), dtype=np.uint8)
    program = trace(EngineGraph(model, config.score_rule, stages=True).eval(), images)
    keep_engine_outputs(program)
    reports = run_passes(program.model, PASSES, 1.0)
    return model, program.model, {report.name: report.rewrites for report in reports}


def test_every_batchnorm_of_the_export_is_folded_and_counted(
    exported: tuple[Path, ExportReport], checkpoint: Checkpoint
) -> None:
    path, report = exported
    (fold,) = [step for step in report.passes if step.name == "fold-batchnorm"]
    assert fold.rewrites == batchnorms(checkpoint.model) > 10
    assert fold.nodes_before - fold.nodes_after == fold.rewrites
    assert "BatchNormalization" not in {node.op_type for node in onnx.load(path).graph.node}


@pytest.mark.slow
@pytest.mark.parametrize("backbone", sorted(BACKBONES))
def test_no_batchnorm_is_left_whatever_the_backbone(backbone: str) -> None:
    config = ModelConfig.for_backbone(backbone, widths=(8, 8, 8), standardise=True, **SMALL)
    model, graph, rewrites = passed(config)
    assert rewrites["fold-batchnorm"] == batchnorms(model)
    assert "BatchNormalization" not in {node.op_type for node in graph.graph}
    # The last tap is read by AFS alone, so its channels are picked where they are made. Those before are read
    # by the next stage as well: folding them would take a second convolution.
    assert rewrites["fold-selection"] == 1
    attentions = sum(isinstance(module, AttentionBlock) for module in model.modules())
    assert rewrites["fuse-attention"] == attentions > 0
    assert rewrites["pool-residuals"] == 2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("blocks", "widths", "order", "tiles"),
    [
        ((), (8, 8, 8), "plane", (1, 1)),
        ((1, 2), (8, 8), "score", (1, 1)),
        ((3,), (8,), "plane", (1, 1)),
        ((), (8, 8, 8), "score", (1, 2)),
        ((), (8, 8, 8), "plane", (2, 1)),
    ],
)
def test_nor_whatever_the_blocks_the_order_and_the_tiles(
    blocks: tuple[int, ...], widths: tuple[int, ...], order: str, tiles: tuple[int, int]
) -> None:
    config = ModelConfig.for_backbone(
        "tf_efficientnet_lite0",
        blocks=blocks,
        widths=widths,
        rrs_order=order,
        tiles=tiles,
        tile_overlap=32 if tiles != (1, 1) else 0,
        **SMALL,
    )
    model, graph, rewrites = passed(config)
    kinds = Counter(node.op_type for node in graph.graph)
    assert rewrites["fold-batchnorm"] == batchnorms(model)
    assert kinds["BatchNormalization"] == 0
    assert rewrites["pool-residuals"] == 2
