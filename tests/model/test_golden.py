"""Our RealNet against outputs of the official implementation (float32, CPU): plain path and fused ops."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from fill import fill_image, fill_mask
from torch import Tensor

from realnet_edge.config import blocks_of
from realnet_edge.model import RealNet, RealNetOutput, anomaly_map, image_score, losses
from realnet_edge.model.official_checkpoint import read_official

Arrays = dict[str, np.ndarray]


@pytest.fixture(scope="module", params=["resnet18-a", "resnet18-c"])
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def arrays(golden: Path, name: str) -> Arrays:
    with np.load(golden / f"{name}.npz") as stored:
        return dict(stored)


@pytest.fixture(scope="module")
def case(golden: Path, name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((golden / f"{name}.json").read_text())
    return document


@pytest.fixture(scope="module", params=[False, True], ids=["plain", "kernels"])
def kernels(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture(scope="module")
def official_file(
    official_tensors: Callable[[dict[str, Any]], dict[str, Tensor]],
    case: dict[str, Any],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """The official case's weights as the official training saves them."""
    path = tmp_path_factory.mktemp("golden") / "ckpt_best.pth.tar"
    torch.save({"state_dict": official_tensors(case)}, path)
    return path


def build(file: Path, case: dict[str, Any], kernels: bool) -> RealNet:
    """The official case's network, read as every official checkpoint is."""
    facts = case["case"]
    found = read_official(file, facts["size"], *facts["rrs_numbers"])
    assert found.config.planes == tuple(facts["planes"])
    assert found.config.blocks == blocks_of(facts["architecture"], len(facts["planes"]))
    found.model.use_kernels(kernels)
    return found.model


@pytest.fixture(scope="module")
def output(official_file: Path, case: dict[str, Any], kernels: bool) -> RealNetOutput:
    facts = case["case"]
    image = torch.from_numpy(
        fill_image("image", (facts["batch"], 3, facts["size"], facts["size"]), facts["seed"])
    )
    with torch.no_grad():
        return build(official_file, case, kernels)(image)


def test_features_reconstructions_and_residuals(output: RealNetOutput, arrays: Arrays) -> None:
    assert len(output.selected) == sum(key.startswith("eval.residual.") for key in arrays) // 2
    for block, (selected, reconstructed) in enumerate(
        zip(output.selected, output.reconstructed, strict=True), start=1
    ):
        found = {
            "selected": selected,
            "reconstructed": reconstructed,
            "residual": (selected - reconstructed) ** 2,
        }
        for what, tensor in found.items():
            mean = arrays[f"eval.{what}.block{block}.channel_mean"]
            row = arrays[f"eval.{what}.block{block}.row"]
            values = tensor.numpy()
            np.testing.assert_allclose(values.mean((2, 3)), mean, rtol=2e-4, atol=2e-4 * np.abs(mean).max())
            middle = values[0, :8, values.shape[2] // 2]
            np.testing.assert_allclose(middle, row, rtol=2e-4, atol=2e-4 * np.abs(row).max())


def test_rrs_chooses_the_same_planes_in_the_same_order(output: RealNetOutput, arrays: Arrays) -> None:
    expected = np.concatenate([arrays["eval.rrs_indices.max"], arrays["eval.rrs_indices.mean"]], axis=1)
    np.testing.assert_array_equal(output.rrs_indices.numpy(), expected)


def test_map_and_scores(output: RealNetOutput, arrays: Arrays) -> None:
    size = torch.Size(arrays["eval.anomaly_score"].shape[-2:])
    maps = anomaly_map(output.logits, size)
    logits = F.interpolate(output.logits, size=size, mode="bilinear", align_corners=True)
    np.testing.assert_allclose(logits.numpy()[:, :, ::4, ::4], arrays["eval.logit"], atol=1e-3)
    np.testing.assert_allclose(maps.numpy(), arrays["eval.anomaly_score"][:, 0], atol=1e-4)
    for rule, name in (("max", "image_score_max"), ("avgpool16", "image_score_avgpool16_max")):
        np.testing.assert_allclose(image_score(maps, rule).numpy(), arrays[f"eval.{name}"], atol=1e-4)


def test_five_training_steps(
    official_file: Path, case: dict[str, Any], kernels: bool, arrays: Arrays
) -> None:
    facts = case["case"]
    model = build(official_file, case, kernels).train()
    optimiser = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=1e-4)
    size, batch = facts["size"], facts["batch"]
    for step, expected in enumerate(arrays["train.losses_recon_seg"]):
        image, normal = (
            torch.from_numpy(fill_image(f"train.{name}.{step}", (batch, 3, size, size), facts["seed"]))
            for name in ("image", "gt_image")
        )
        mask = torch.from_numpy(fill_mask(f"train.mask.{step}", (batch, 1, size, size), facts["seed"]))
        reconstruction, segmentation = losses(model(image), model.select(normal), mask[:, 0].long())
        np.testing.assert_allclose([reconstruction.item(), segmentation.item()], expected, rtol=1e-3)
        optimiser.zero_grad()
        (reconstruction + segmentation).backward()
        optimiser.step()
    for name in ("mean", "var"):
        found = getattr(model.rrs.norm, f"running_{name}").numpy()
        np.testing.assert_allclose(found, arrays[f"train.bn_running_{name}"], rtol=1e-3, atol=1e-4)
