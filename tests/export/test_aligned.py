"""Engines that align parts: the whole way from the camera's image to a map in the image, in every runtime."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
import torch

from realnet_edge.bundle import InputSpec, Manifest, write_bundle
from realnet_edge.calibrate import quantise_onnx
from realnet_edge.calibrate.build import BuildOptions, quantised
from realnet_edge.calibrate.openvino_build import ir_from_onnx
from realnet_edge.config import ModelConfig
from realnet_edge.data import load_category
from realnet_edge.export import ExportReport, TorchRunner, onnx_from_checkpoint
from realnet_edge.export.cast_fp16 import cast_fp16
from realnet_edge.export.rrs_region import find_rrs
from realnet_edge.imaging import load_batch
from realnet_edge.model import anomaly_map, image_score
from realnet_edge.model.checkpoint import Checkpoint
from realnet_edge.runtime import open_runner
from realnet_edge.runtime.ov import keep_coordinates
from realnet_edge.runtime.tensorrt import EngineOptions, engine_from_onnx, network_from_onnx

Images = npt.NDArray[np.uint8]
Settle = Callable[[ModelConfig, Images, Path], Checkpoint]
SIZE, STRIP = (128, 128), (64, 192)


@pytest.fixture(scope="module")
def images(mvtec_root: Path) -> Images:
    """Eight real screws, four of them damaged, as they lie."""
    category = load_category(mvtec_root, "screw")
    defects = [sample.path for sample in category.defects[:100:25]]
    return load_batch([*category.train[:4], *defects], SIZE)


@pytest.fixture(scope="module")
def checkpoint(images: Images, settle: Settle, tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    """Two small blocks on ImageNet's backbone, settled on the strips."""
    config = ModelConfig.for_backbone(
        "tf_efficientnet_lite0",
        taps=(1, 2),
        planes=(12, 16),
        widths=(16, 16),
        rrs_max=6,
        rrs_mean=6,
        standardise=False,
        match_exposure=True,
        group_width=0,
        attention_limit=64,
        align=STRIP,
        align_from=SIZE,
    )
    made = settle(config, images, tmp_path_factory.mktemp("aligned"))
    # In other light than it settled in its maps have something to show.
    made.model.inputs.reference.mul_(1.2)
    return made


@pytest.fixture(scope="module")
def exported(
    checkpoint: Checkpoint, images: Images, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, ExportReport]:
    path = tmp_path_factory.mktemp("onnx") / "onnx" / "model.onnx"
    return path, onnx_from_checkpoint(checkpoint, path, images)


@pytest.fixture(scope="module")
def expected(checkpoint: Checkpoint, images: Images) -> tuple[npt.NDArray[np.float32], ...]:
    """Map, score and the strip's map, step by step."""
    model, batch = checkpoint.model, torch.from_numpy(images)
    assert model.alignment is not None
    with torch.no_grad():
        pose = model.alignment.pose(batch)
        strips = model.alignment(batch, pose)
        assert strips.shape == (8, *STRIP, 3)
        seen = anomaly_map(model(model.inputs(strips)).logits, torch.Size(STRIP))
        maps = model.alignment.back(seen, pose)
        scores = image_score(seen, checkpoint.score_rule)
    return maps.numpy(), scores.numpy(), seen.numpy()


def test_the_graph_aligns_scores_the_strip_and_turns_its_map_back(
    exported: tuple[Path, ExportReport], expected: tuple[npt.NDArray[np.float32], ...], images: Images
) -> None:
    path, report = exported
    maps, scores, seen = expected
    assert report.input_size == SIZE
    assert all(0 < found.map_max_abs <= 1e-4 for found in report.parity)
    assert seen.std() > 0.01
    session = onnxruntime.InferenceSession(str(path))
    for batch in (1, 5):
        found, score, _ = session.run(None, {"image": images[:batch]})
        np.testing.assert_allclose(found, maps[:batch], atol=1e-4)
        np.testing.assert_allclose(score, scores[:batch], atol=1e-4)
    # Corners of the image lie beyond every strip.
    assert (maps[:, [0, 0, -1, -1], [0, -1, 0, -1]] == 0).mean() > 0.5


def test_every_runtime_gives_the_same(
    exported: tuple[Path, ExportReport],
    expected: tuple[npt.NDArray[np.float32], ...],
    checkpoint: Checkpoint,
    images: Images,
    tmp_path: Path,
) -> None:
    maps, scores, _ = expected
    with TorchRunner(checkpoint) as runner:
        assert runner.input_size == SIZE
        found = runner.infer(images)
    np.testing.assert_allclose(found.anomaly_map, maps, atol=1e-5)
    np.testing.assert_allclose(found.score, scores, atol=1e-5)
    for precision, tolerance, mean in (("fp32", 1e-4, 1e-5), ("fp16", 0.2, 0.01)):
        (tmp_path / precision).mkdir()
        files = ir_from_onnx(exported[0], tmp_path / precision, precision)
        manifest = Manifest(
            category="screw",
            input=InputSpec(*SIZE),
            score_rule=checkpoint.score_rule,
            backend="openvino",
            precision=precision,
            arithmetic="f32",
            batch=(1, 8),
            engine=next(iter(files)),
            builder={},
            checkpoint_sha256=checkpoint.sha256,
            created="2026-01-31T12:00:00Z",
        )
        with open_runner(write_bundle(tmp_path / f"bundle-{precision}", files, manifest)) as runner:
            found = runner.infer(images)
        np.testing.assert_allclose(found.anomaly_map, maps, atol=tolerance)
        assert np.abs(found.anomaly_map - maps).mean() < mean
        # Coordinates in 16 bits would put the strip's ends elsewhere, by pixels.
        assert ((found.anomaly_map == 0) == (maps == 0)).mean() > 0.9999
        np.testing.assert_allclose(found.score, scores, atol=tolerance)


def test_sixteen_bits_of_a_processor_leave_coordinates_in_float(
    exported: tuple[Path, ExportReport], images: Images, tmp_path: Path
) -> None:
    """In bf16 the grid that strips are taken at was off by a pixel."""
    ov = pytest.importorskip("openvino")
    core = ov.Core()
    if "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        pytest.skip("needs a processor that computes in bf16")
    files = ir_from_onnx(exported[0], tmp_path, "fp16")
    found = {}
    for hint in ("f32", "bf16"):
        model = core.read_model(next(iter(files.values())))
        before = len(model.outputs)
        keep_coordinates(model)
        assert len(model.outputs) == before + 2
        model.reshape({"image": [1, *SIZE, 3]})
        compiled = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": hint})
        answers = compiled([images[:1]])
        found[hint] = [answers[place] for place in range(before, before + 2)]
    for exact, half in zip(found["f32"], found["bf16"], strict=True):
        assert exact.shape[-1] == 2
        np.testing.assert_allclose(half, exact, atol=1e-5)


def test_rrs_is_found_behind_the_alignment(exported: tuple[Path, ExportReport]) -> None:
    """The median of the background is no rank of planes."""
    region = find_rrs(ir.load(exported[0]).graph)
    assert len(region.selected) == 2


def test_sixteen_bits_leave_leave_the_alignment_in_float(
    exported: tuple[Path, ExportReport], tmp_path: Path
) -> None:
    """Coordinates in FP16 would be off by an eighth of a pixel."""
    path = tmp_path / "half" / "model.onnx"
    cast_fp16(exported[0], path)
    graph = onnx.shape_inference.infer_shapes(onnx.load(path)).graph
    types = {value.name: value.type.tensor_type.elem_type for value in (*graph.value_info, *graph.output)}
    samplers = [node for node in graph.node if node.op_type == "GridSample"]
    assert len(samplers) == 2
    for node in samplers:
        assert types[node.input[1]] == onnx.TensorProto.FLOAT
        assert types[node.output[0]] == onnx.TensorProto.FLOAT
    assert onnx.TensorProto.FLOAT16 in types.values()


def test_int8_quantises_the_network_and_stays_close(
    exported: tuple[Path, ExportReport],
    expected: tuple[npt.NDArray[np.float32], ...],
    images: Images,
    tmp_path: Path,
) -> None:
    path = tmp_path / "int8" / "model.onnx"
    done = quantise_onnx(exported[0], path, images)
    assert len(done.quantised) > 40
    session = onnxruntime.InferenceSession(str(path))
    found = session.run(None, {"image": images})[0]
    maps = expected[0]
    assert np.abs(found - maps).mean() < 0.1 * maps.std()


def test_tensorrt_takes_the_graph_with_coordinates_in_float(
    exported: tuple[Path, ExportReport], images: Images, tmp_path: Path
) -> None:
    trt = pytest.importorskip(
        "tensorrt_rtx", reason="needs tensorrt_rtx: pip install 'realnet-edge[tensorrt-rtx]'"
    )
    narrow = quantised(exported[0], tmp_path / "int8" / "model.onnx", images, "tensorrt", BuildOptions())
    for source in (exported[0], narrow):
        half = tmp_path / "half" / "model.onnx"
        cast_fp16(source, half)
        network = network_from_onnx(trt, half).network
        assert tuple(network.get_input(0).shape) == (-1, *SIZE, 3)
        samplers = [
            layer
            for layer in (network.get_layer(index) for index in range(network.num_layers))
            if layer.type.name == "GRID_SAMPLE"
        ]
        assert [layer.get_input(1).dtype for layer in samplers] == [trt.float32, trt.float32]
        assert [layer.get_output(0).dtype for layer in samplers] == [trt.float32, trt.float32]


@pytest.mark.slow
def test_tensorrt_builds_an_engine(exported: tuple[Path, ExportReport], tmp_path: Path) -> None:
    trt = pytest.importorskip(
        "tensorrt_rtx", reason="needs tensorrt_rtx: pip install 'realnet-edge[tensorrt-rtx]'"
    )
    cast_fp16(exported[0], tmp_path / "half" / "model.onnx")
    plan = tmp_path / "model.plan"
    options = EngineOptions(batch=(1, 4, 8), builder_level=0)
    build = engine_from_onnx(trt, tmp_path / "half" / "model.onnx", plan, options)
    assert plan.stat().st_size == build.size
