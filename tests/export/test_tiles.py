"""Engines that cut their images: what they compute is what the network says of each tile, put together."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime
import pytest
import torch

from realnet_edge.bundle import Bundle, InputSpec, Manifest, write_bundle
from realnet_edge.config import ModelConfig
from realnet_edge.data import load_category
from realnet_edge.export import TorchRunner, onnx_from_checkpoint
from realnet_edge.imaging import load_batch
from realnet_edge.model import anomaly_map, image_score
from realnet_edge.model.checkpoint import Checkpoint
from realnet_edge.runtime import open_runner

Images = npt.NDArray[np.uint8]
Settle = Callable[[ModelConfig, Images, Path], Checkpoint]
CheckpointOf = Callable[[tuple[int, int], Images], Checkpoint]
SIDE, OVERLAP = 64, 16


@pytest.fixture
def checkpoint_of(settle: Settle, tmp_path: Path) -> CheckpointOf:
    """One small block that sees exposure, ImageNet's backbone, statistics of the images' first tiles."""

    def make(tiles: tuple[int, int], images: Images) -> Checkpoint:
        config = ModelConfig.for_backbone(
            "tf_efficientnet_lite0",
            image_size=SIDE,
            taps=(1,),
            planes=(16,),
            widths=(16,),
            rrs_max=4,
            rrs_mean=4,
            standardise=False,
            match_exposure=True,
            group_width=0,
            attention_limit=64,
            tiles=tiles,
            tile_overlap=OVERLAP,
        )
        return settle(config, images[:, :SIDE, :SIDE].copy(), tmp_path)

    return make


def screws(mvtec_root: Path, size: tuple[int, int]) -> Images:
    category = load_category(mvtec_root, "screw")
    defects = [sample.path for sample in category.defects[:60:30]]
    return load_batch([*category.train[:2], *defects], size)


def by_hand(checkpoint: Checkpoint, images: Images) -> tuple[npt.NDArray[np.float32], list[int]]:
    """The map as weighted sums of what the network says of each tile, pixel by pixel; and its planes."""
    model, (height, width) = checkpoint.model, images.shape[1:3]
    total = np.zeros(images.shape[:3])
    planes = []
    steps = [range(0, length - SIDE + 1, SIDE - OVERLAP) for length in (height, width)]
    with torch.no_grad():
        normalised = model.inputs(torch.from_numpy(images))
        for row in steps[0]:
            for column in steps[1]:
                output = model(normalised[:, :, row : row + SIDE, column : column + SIDE])
                part = anomaly_map(output.logits, torch.Size((SIDE, SIDE))).numpy()
                planes.append(output.rrs_indices.shape[1])
                for y in range(SIDE):
                    for x in range(SIDE):
                        weight = share(y, row, height) * share(x, column, width)
                        total[:, row + y, column + x] += weight * part[:, y, x]
    return total.astype(np.float32), planes


def share(position: int, start: int, length: int) -> float:
    """What a tile at `start` counts at one of its pixels, along one axis."""
    weight = 1.0
    if start > 0:
        weight = min(weight, (position + 1) / (OVERLAP + 1))
    if start + SIDE < length:
        weight = min(weight, (SIDE - position) / (OVERLAP + 1))
    return weight


@pytest.mark.parametrize("tiles", [(2, 2), (1, 2)])
def test_the_graph_computes_what_the_network_says_of_the_tiles(
    tiles: tuple[int, int], checkpoint_of: CheckpointOf, mvtec_root: Path, tmp_path: Path
) -> None:
    size = tuple(count * SIDE - (count - 1) * OVERLAP for count in tiles)
    images = screws(mvtec_root, (size[0], size[1]))
    checkpoint = checkpoint_of(tiles, images)
    path = tmp_path / "onnx" / "model.onnx"
    report = onnx_from_checkpoint(checkpoint, path, images)
    assert report.input_size == size
    assert all(0 < found.map_max_abs <= 1e-4 for found in report.parity)

    session = onnxruntime.InferenceSession(str(path))
    expected, planes = by_hand(checkpoint, images)
    assert expected.std() > 0.005
    for batch in (1, 3):
        maps, scores, chosen = session.run(None, {"image": images[:batch]})
        np.testing.assert_allclose(maps, expected[:batch], atol=1e-4)
        pooled = image_score(torch.from_numpy(expected[:batch]), checkpoint.score_rule).numpy()
        np.testing.assert_allclose(scores, pooled, atol=1e-4)
        assert chosen.shape == (batch, sum(planes))
        # Every plane of an image has a number of its own.
        tile_of = np.repeat(np.arange(len(planes)), planes)
        assert (chosen // sum(checkpoint.config.planes) == tile_of).all()
    with TorchRunner(checkpoint) as runner:
        found = runner.infer(images, diagnostics=True)
    np.testing.assert_allclose(found.anomaly_map, expected, atol=1e-5)
    assert found.rrs_indices is not None
    assert (found.rrs_indices[:3] == chosen).mean() > 0.95

    engines = [bundle(checkpoint, path, tmp_path, backend) for backend in ("onnxruntime", "openvino")]
    for engine in engines:
        with open_runner(engine) as opened:
            assert opened.input_size == size
            answer = opened.infer(images, diagnostics=True)
        np.testing.assert_allclose(answer.anomaly_map, expected, atol=1e-4)
        assert answer.rrs_indices is not None
        assert answer.rrs_indices.shape == (len(images), sum(planes))


def bundle(checkpoint: Checkpoint, path: Path, folder: Path, backend: str) -> Bundle:
    from realnet_edge.calibrate.openvino_build import ir_from_onnx

    files = {"model.onnx": path}
    if backend == "openvino":
        (folder / "ir").mkdir()
        files = ir_from_onnx(path, folder / "ir", "fp32")
    manifest = Manifest(
        category="screw",
        input=InputSpec(*checkpoint.config.input_size),
        score_rule=checkpoint.score_rule,
        backend=backend,
        precision="fp32",
        arithmetic="f32",
        batch=(1, 8),
        engine=next(iter(files)),
        builder={},
        checkpoint_sha256=checkpoint.sha256,
        created="2026-01-31T12:00:00Z",
    )
    return write_bundle(folder / backend, files, manifest)


def test_the_gain_is_that_of_the_whole_image(mvtec_root: Path, checkpoint_of: CheckpointOf) -> None:
    """A tile that is dark by itself stays dark beside its neighbours."""
    (bright,) = screws(mvtec_root, (112, 112))[:1]
    checkpoint = checkpoint_of((2, 2), bright[None])
    uneven = bright.copy()
    uneven[:56, :56] //= 2
    level = torch.tensor([float(uneven.mean())])
    tile = torch.from_numpy(uneven[None, :SIDE, :SIDE].copy())
    with torch.no_grad():
        whole = checkpoint.model(checkpoint.model.inputs(tile, level)).logits
        alone = checkpoint.model(checkpoint.model.inputs(tile)).logits
    maps = [anomaly_map(logits, torch.Size((SIDE, SIDE)))[0].numpy() for logits in (whole, alone)]
    with TorchRunner(checkpoint) as runner:
        found = runner.infer(uneven[None]).anomaly_map[0]
    inner = slice(0, SIDE - OVERLAP)
    np.testing.assert_allclose(found[inner, inner], maps[0][inner, inner], atol=1e-5)
    assert np.abs(found[inner, inner] - maps[1][inner, inner]).max() > 1e-3
