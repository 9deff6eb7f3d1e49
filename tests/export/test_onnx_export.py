from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest
import torch
from onnx import numpy_helper
from torch import nn

from realnet_edge.config import ModelConfig
from realnet_edge.errors import ExportError
from realnet_edge.export import EngineGraph, ExportReport, onnx_from_checkpoint
from realnet_edge.export.parity import check_parity, first_apart, stage_differences
from realnet_edge.export.passes import describe_pass
from realnet_edge.export.report import read_report
from realnet_edge.model.checkpoint import Checkpoint

Images = npt.NDArray[np.uint8]
Settle = Callable[[ModelConfig, Images, Path], Checkpoint]
SIZE = 128


def test_parity_holds_on_real_images_alone_and_in_a_batch(
    exported: tuple[Path, ExportReport], images: Images
) -> None:
    _, report = exported
    assert [found.batch for found in report.parity] == [1, len(images)]
    assert all(0 < found.map_max_abs <= 1e-4 for found in report.parity)


@pytest.mark.parametrize(("by_max", "by_mean"), [(6, 0), (0, 6)])
def test_rrs_by_one_mode_alone(
    by_max: int, by_mean: int, images: Images, settle: Settle, tmp_path: Path
) -> None:
    """As the paper compares them (Figure 5); `slim` is exported so."""
    model = settle(one_block(by_max, by_mean), images, tmp_path).model
    with torch.no_grad():
        output = model(model.inputs(torch.from_numpy(images)))
        residual = model.rrs.norm((output.selected[0] - output.reconstructed[0]).square())
    strength = residual.amax(dim=(2, 3)) if by_max else residual.mean(dim=(2, 3))
    chosen = strength.topk(6, dim=1).indices
    assert torch.equal(output.rrs_indices.sort(dim=1).values, chosen.sort(dim=1).values)


def one_block(by_max: int, by_mean: int) -> ModelConfig:
    return ModelConfig.for_backbone(
        "tf_efficientnet_lite0",
        image_size=SIZE,
        taps=(1,),
        planes=(16,),
        widths=(16,),
        rrs_max=by_max,
        rrs_mean=by_mean,
    )


def test_maps_of_the_fixture_are_not_flat(checkpoint: Checkpoint, images: Images) -> None:
    maps = EngineGraph(checkpoint.model, "avgpool16").eval()(torch.from_numpy(images))[0].detach()
    assert float(maps.std()) > 0.005
    assert float(maps.min()) >= 0.0
    assert float(maps.max()) <= 1.0


def test_the_contract_of_the_graph(exported: tuple[Path, ExportReport], images: Images) -> None:
    path, report = exported
    model = onnx.load(path)
    inputs = {i.name: i.type.tensor_type.elem_type for i in model.graph.input}
    outputs = {o.name: o.type.tensor_type.elem_type for o in model.graph.output}
    float32, int32 = onnx.TensorProto.FLOAT, onnx.TensorProto.INT32
    assert inputs == {"image": onnx.TensorProto.UINT8}
    assert outputs == {"anomaly_map": float32, "score": float32, "rrs_indices": int32}
    assert model.opset_import[0].version == 18
    stated = {entry.key: entry.value for entry in model.metadata_props}
    assert stated["checkpoint_sha256"] == report.checkpoint_sha256
    session = onnxruntime.InferenceSession(str(path))
    for batch in (1, 2, 5):
        maps, scores, planes = session.run(None, {"image": images[:batch]})
        assert maps.shape == (batch, 128, 128)
        assert scores.shape == (batch,)
        assert planes.shape == (batch, 16)


def test_no_trace_of_the_exporting_machine(exported: tuple[Path, ExportReport], repository: Path) -> None:
    path, _ = exported
    content = path.read_bytes()
    assert str(repository).encode() not in content
    assert b"stack_trace" not in content


def test_report_lies_beside_the_graph(exported: tuple[Path, ExportReport]) -> None:
    path, report = exported
    assert read_report(path.parent) == report
    assert report.files.keys() == {"model.onnx"}
    assert not report.external_data


def test_the_last_taps_channels_are_selected_by_the_layer_that_makes_them(
    exported: tuple[Path, ExportReport], checkpoint: Checkpoint
) -> None:
    path, report = exported
    (fold,) = [step for step in report.passes if step.name == "fold-selection"]
    assert fold.rewrites == 1
    assert fold.nodes_after < fold.nodes_before
    assert fold.max_abs is not None
    assert fold.max_abs <= 1e-4
    graph = onnx.load(path).graph
    weights = {t.name: t.dims[0] for t in graph.initializer if t.name.startswith("model.backbone")}
    assert list(weights.values())[-1] == checkpoint.config.planes[1]
    # Every layer is named for its module still.
    names = [node.name for node in graph.node if node.op_type == "Conv"]
    assert sum(name.startswith("backbone.features.blocks.2") for name in names) > 0
    assert not [name for name in names if name.startswith("node_")]


def test_every_layer_is_named_for_its_module(
    exported: tuple[Path, ExportReport], checkpoint: Checkpoint
) -> None:
    """Those of attention, too, whose weights are reshaped on their way."""
    graph = onnx.load(exported[0], load_external_data=False).graph
    names = [node.name for node in graph.node if node.op_type in ("Conv", "ConvTranspose")]
    modules = dict(checkpoint.model.named_modules())
    assert len(set(names)) == len(names)
    assert set(names) <= set(modules)
    attention = {name for name, module in modules.items() if isinstance(module, nn.Conv1d)}
    assert attention <= set(names)
    assert {name.rpartition(".")[2] for name in attention} == {"qkv", "proj"}


def test_every_pass_has_something_to_do_and_says_what(exported: tuple[Path, ExportReport]) -> None:
    _, report = exported
    assert [step.name for step in report.passes] == [
        "fold-batchnorm",
        "fold-selection",
        "fuse-attention",
        "pool-residuals",
    ]
    for step in report.passes:
        assert step.rewrites > 0
        assert step.max_abs is not None
        assert step.max_abs <= 1e-4
        told = describe_pass(step)
        assert told.startswith(f"{step.name}: {step.rewrites} place")
        assert f"{step.nodes_before} -> {step.nodes_after} nodes, map changed by at most" in told
    idle = dataclasses.replace(report.passes[0], rewrites=0)
    assert describe_pass(idle) == "fold-batchnorm: nothing to rewrite"


def test_weights_over_the_limit_lie_beside_the_graph(
    slim: Checkpoint, images: Images, tmp_path: Path
) -> None:
    path = tmp_path / "onnx" / "model.onnx"
    report = onnx_from_checkpoint(slim, path, images, single_file_limit=1000)
    assert report.external_data
    # Not compared pass by pass: parity with PyTorch is the check.
    assert {found.max_abs for found in report.passes} == {None}
    assert report.files.keys() == {"model.onnx", "model.onnx.data"}
    assert path.with_name("model.onnx.data").stat().st_size > path.stat().st_size
    assert onnxruntime.InferenceSession(str(path)).run(None, {"image": images})[0].std() > 0


@pytest.mark.parametrize(
    ("weight", "stage"),
    [
        ("model.backbone.features.blocks.1.0", "tap0"),
        ("model.reconstruction.1.middle_block.0.conv.weight", "block1_reconstructed"),
        ("model.rrs.norm.running_mean", "residual_max"),
        ("model.discriminator.head.2.weight", "logits"),
    ],
)
def test_a_broken_graph_is_refused_and_the_stage_named(
    weight: str,
    stage: str,
    checkpoint: Checkpoint,
    images: Images,
    exported: tuple[Path, ExportReport],
    tmp_path: Path,
) -> None:
    model = onnx.load(exported[0])
    tensor = next(t for t in model.graph.initializer if t.name.startswith(weight) and len(t.dims))
    values = numpy_helper.to_array(tensor)
    values = np.ascontiguousarray(values.ravel()[::-1].reshape(values.shape))
    tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    broken = tmp_path / "broken.onnx"
    onnx.save(model, broken)
    graph = EngineGraph(checkpoint.model, checkpoint.score_rule).eval()
    with pytest.raises(ExportError, match=f"part at stage {stage}:"):
        check_parity(graph, broken, images, 1e-4)
    assert [file.name for file in tmp_path.iterdir()] == ["broken.onnx"]


def test_every_stage_is_found_again_in_the_file(
    checkpoint: Checkpoint, images: Images, exported: tuple[Path, ExportReport]
) -> None:
    graph = EngineGraph(checkpoint.model, checkpoint.score_rule).eval()
    stages = stage_differences(graph, exported[0], images)
    blocks = [f"block{i}_{kind}" for kind in ("selected", "reconstructed") for i in range(2)]
    names = [stage.name for stage in stages]
    # The last tap is no tensor of its own any more: its last layer makes what AFS keeps.
    assert names == [
        "tap0",
        *blocks,
        "residual_max",
        "residual_mean",
        "rrs_indices",
        "logits",
        "anomaly_map",
    ]
    assert first_apart([s for s in stages if s.name != "rrs_indices"], 1e-4) is None


def test_swapped_ranks_are_named_as_what_they_are(
    checkpoint: Checkpoint, images: Images, exported: tuple[Path, ExportReport], tmp_path: Path
) -> None:
    # As if near-equal scores had been ordered differently: the planes handed on are the reversed ones.
    model = onnx.load(exported[0])
    top = next(n for n in model.graph.node if n.op_type == "TopK")
    next(attribute for attribute in top.attribute if attribute.name == "largest").i = 0
    broken = tmp_path / "broken.onnx"
    onnx.save(model, broken)
    graph = EngineGraph(checkpoint.model, checkpoint.score_rule).eval()
    with pytest.raises(ExportError, match=r"stage rrs_indices: [0-9]+ places hold another plane"):
        check_parity(graph, broken, images, 1e-4)


def test_a_failed_export_leaves_the_old_one(slim: Checkpoint, images: Images, tmp_path: Path) -> None:
    path = tmp_path / "onnx" / "model.onnx"
    path.parent.mkdir()
    path.write_text("the old one")
    with pytest.raises(ExportError, match="is allowed; nothing was written"):
        onnx_from_checkpoint(slim, path, images[:2], tolerance=1e-12)
    assert path.read_text() == "the old one"
    assert [entry.name for entry in tmp_path.iterdir()] == ["onnx"]


@pytest.mark.parametrize(
    "unusable",
    [
        np.zeros((1, 128, 128, 3), np.uint8),
        np.zeros((2, 64, 64, 3), np.uint8),
        np.zeros((2, 128, 128, 3), np.float32),
    ],
)
def test_unusable_images_are_refused(
    unusable: npt.NDArray[np.generic], checkpoint: Checkpoint, tmp_path: Path
) -> None:
    with pytest.raises(ExportError, match="at least 2 real images"):
        onnx_from_checkpoint(checkpoint, tmp_path / "onnx" / "model.onnx", unusable)  # type: ignore[arg-type]
