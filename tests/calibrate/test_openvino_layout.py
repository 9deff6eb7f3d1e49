from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

ov = pytest.importorskip("openvino")

from realnet_edge.calibrate.openvino_layout import normalise_planes_in_place  # noqa: E402 - skipped without it

BATCH, CHANNELS, SIDE = 2, 8, 16


def converted(groups: int, folder: Path) -> tuple[ov.Model, np.ndarray, np.ndarray]:
    """A GroupNorm between two convolutions as an OpenVINO model, an input, and what PyTorch makes of it."""
    torch.manual_seed(0)
    norm = nn.GroupNorm(groups, CHANNELS)
    nn.init.uniform_(norm.weight, 0.5, 2.0)
    nn.init.uniform_(norm.bias)
    network = nn.Sequential(nn.Conv2d(3, CHANNELS, 3), norm, nn.SiLU(), nn.Conv2d(CHANNELS, 4, 3)).eval()
    image = torch.randn(BATCH, 3, SIDE, SIDE)
    torch.onnx.export(
        network,
        (image,),
        folder / "norm.onnx",
        dynamo=True,
        dynamic_shapes=({0: torch.export.Dim("n", min=1, max=8)},),
        opset_version=18,
        verbose=False,
    )
    with torch.inference_mode():
        return ov.convert_model(folder / "norm.onnx"), image.numpy(), network(image).numpy()


def computed(model: ov.Model, image: np.ndarray) -> np.ndarray:
    compiled = ov.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return np.asarray(compiled(image)[0])


def reshapes(model: ov.Model) -> int:
    return sum(op.get_type_name() == "Reshape" for op in model.get_ops())


def test_one_group_loses_its_reshapes_and_computes_the_same(tmp_path: Path) -> None:
    model, image, expected = converted(1, tmp_path)
    assert reshapes(model) == 2
    assert normalise_planes_in_place(model) == 1
    assert reshapes(model) == 0
    assert np.allclose(computed(model, image), expected, atol=1e-5)
    # The batch is still open.
    assert computed(model, image[:1]).shape[0] == 1


@pytest.mark.parametrize("groups", [2, CHANNELS])
def test_more_groups_stay_as_they_are(groups: int, tmp_path: Path) -> None:
    model, image, expected = converted(groups, tmp_path)
    before = reshapes(model)
    assert normalise_planes_in_place(model) == 0
    assert reshapes(model) == before
    assert np.allclose(computed(model, image), expected, atol=1e-5)
