"""A small category with real engines: ONNX graphs that obey the bundle's contract, run by ONNX Runtime."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import TensorProto, helper
from PIL import Image

from realnet_edge.bundle import Bundle, InputSpec, Manifest, Threshold, write_bundle
from realnet_edge.workspace import Workspace

SIZE = 64
CHECKPOINT = "c" * 64
PLANES = 3

BuildBundle = Callable[..., Bundle]


@pytest.fixture
def images() -> npt.NDArray[np.uint8]:
    """16 images: 8 good, 8 with a bright square, each brighter than the one before."""
    rng = np.random.default_rng(3)
    pictures = rng.integers(0, 90, (16, SIZE, SIZE, 3)).astype(np.uint8)
    for index in range(8, 16):
        pictures[index, 12:32, 4 + index : 24 + index] += np.uint8(20 * (index - 7))
    return pictures


@pytest.fixture
def data_root(tmp_path: Path, images: npt.NDArray[np.uint8]) -> Path:
    """The images in MVTec's layout, as category `part`, with masks."""
    root = tmp_path / "data"
    for folder in ("train/good", "test/good", "test/square", "ground_truth/square"):
        (root / "part" / folder).mkdir(parents=True)
    Image.fromarray(images[0]).save(root / "part/train/good/000.png")
    for index, picture in enumerate(images):
        kind = "good" if index < 8 else "square"
        Image.fromarray(picture).save(root / f"part/test/{kind}/{index:03d}.png")
        if kind == "square":
            mask = np.zeros((SIZE, SIZE), np.uint8)
            mask[12:32, 4 + index : 24 + index] = 255
            Image.fromarray(mask).save(root / f"part/ground_truth/square/{index:03d}_mask.png")
    return root


def engine_graph(path: Path, gain: float = 1.0) -> Path:
    """Brightness as anomaly map: mean colour / 255, times `gain`; a negative gain turns it around."""
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["n", SIZE, SIZE, 3])
    outputs = [
        helper.make_tensor_value_info("anomaly_map", TensorProto.FLOAT, ["n", SIZE, SIZE]),
        helper.make_tensor_value_info("score", TensorProto.FLOAT, ["n"]),
        helper.make_tensor_value_info("rrs_indices", TensorProto.INT32, ["n", PLANES]),
    ]
    constants = {
        "colour": np.array([3], np.int64),
        "space": np.array([1, 2], np.int64),
        "one": np.array([1], np.int64),
        "k": np.array([PLANES], np.int64),
        "gain": np.array(gain / 255, np.float32),
        "offset": np.array(0.0 if gain > 0 else 1.0, np.float32),
    }
    nodes = [
        helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["float", "colour"], ["grey"], keepdims=0),
        helper.make_node("Mul", ["grey", "gain"], ["scaled"]),
        helper.make_node("Add", ["scaled", "offset"], ["shifted"]),
        helper.make_node("Clip", ["shifted", "low", "high"], ["anomaly_map"]),
        helper.make_node("Unsqueeze", ["anomaly_map", "one"], ["plane"]),
        helper.make_node("AveragePool", ["plane"], ["pooled"], kernel_shape=[16, 16]),
        helper.make_node("ReduceMax", ["pooled", "pooled_axes"], ["score"], keepdims=0),
        helper.make_node("ReduceMean", ["float", "space"], ["channels"], keepdims=0),
        helper.make_node("TopK", ["channels", "k"], ["values", "ranks"]),
        helper.make_node("Cast", ["ranks"], ["rrs_indices"], to=TensorProto.INT32),
    ]
    constants |= {"low": np.array(0.0, np.float32), "high": np.array(1.0, np.float32)}
    constants["pooled_axes"] = np.array([1, 2, 3], np.int64)
    initializers = [onnx.numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "engine", [image], outputs, initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    model.ir_version = 10
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return path


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "workspace")


@pytest.fixture
def build_bundle(tmp_path: Path, workspace: Workspace) -> BuildBundle:
    """Write an ONNX Runtime bundle of category `part`."""

    def build(
        precision: str = "fp32",
        gain: float = 1.0,
        batch: tuple[int, int] = (1, 32),
        checkpoint: str = CHECKPOINT,
        accuracy: dict[str, object] | None = None,
        threshold: float | None = 0.25,
    ) -> Bundle:
        model = engine_graph(tmp_path / f"{precision}.onnx", gain)
        manifest = Manifest(
            category="part",
            input=InputSpec(SIZE, SIZE),
            score_rule="avgpool16",
            backend="onnxruntime",
            precision=precision,
            arithmetic="f32",
            batch=batch,
            engine="model.onnx",
            builder={},
            checkpoint_sha256=checkpoint,
            created="2026-01-31T12:00:00Z",
            accuracy=accuracy,
            threshold=None if threshold is None else Threshold(threshold, 0.1, 0.05, 19, "split-conformal"),
        )
        path = workspace.category("part").bundle("onnxruntime", precision)
        return write_bundle(path, {"model.onnx": model}, manifest)

    return build
