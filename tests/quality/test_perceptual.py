"""LPIPS by file against its formula written out, and the stand-in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision import models

from realnet_edge.errors import CheckpointError
from realnet_edge.quality.features import extract, pairwise_distances
from realnet_edge.quality.perceptual import Lpips, StandIn

CHANNELS = {"alexnet": (64, 192, 384, 256, 256), "vgg16": (64, 128, 256, 512, 512)}
# Ends of LPIPS's slices of torchvision's networks.
ENDS = {"alexnet": (2, 5, 8, 10, 12), "vgg16": (4, 9, 16, 23, 30)}
CPU = torch.device("cpu")


def empty(name: str) -> torch.nn.Module:
    """torchvision's network without memory for its weights, of which the classifier takes most."""
    with torch.device("meta"):
        network: torch.nn.Module = getattr(models, name)(weights=None)
    return network


def write_weights(folder: Path, name: str) -> tuple[Path, Path]:
    """Random weights in the files' own formats; the classifier is left out but for one tensor."""
    torch.manual_seed(1)
    shapes = {key: value.shape for key, value in empty(name).state_dict().items() if "features" in key}
    state = {key: 0.05 * torch.randn(shape) for key, shape in shapes.items()}
    state["classifier.6.bias"] = torch.zeros(1000)
    linear = {
        f"lin{tap}.model.1.weight": torch.rand(1, channels, 1, 1)
        for tap, channels in enumerate(CHANNELS[name])
    }
    torch.save(state, folder / f"{name}.pth")
    torch.save(linear, folder / f"{name}-lin.pth")
    return folder / f"{name}-lin.pth", folder / f"{name}.pth"


def written_out(folder: Path, name: str, first: np.ndarray, second: np.ndarray) -> float:
    """LPIPS of two images as its paper's equation 1, tap by tap."""
    linear = torch.load(folder / f"{name}-lin.pth", weights_only=True)
    network = empty(name)
    network.load_state_dict(torch.load(folder / f"{name}.pth", weights_only=True), strict=False, assign=True)
    shift, scale = torch.tensor([-0.030, -0.088, -0.188]), torch.tensor([0.458, 0.448, 0.450])
    total = 0.0
    for tap, end in enumerate(ENDS[name]):
        maps = []
        for image in (first, second):
            values = (torch.from_numpy(image).float() / 127.5 - 1.0 - shift) / scale
            out = network.features[:end](values.permute(2, 0, 1)[None])
            maps.append(out / (out.square().sum(1, keepdim=True).sqrt() + 1e-10))
        weighted = (linear[f"lin{tap}.model.1.weight"] * (maps[0] - maps[1]).square()).sum(1)
        total += float(weighted.mean())
    return total


@pytest.mark.parametrize("name", ["alexnet", "vgg16"])
def test_lpips_is_its_formula(name: str, tmp_path: Path) -> None:
    network = Lpips(*write_weights(tmp_path, name))
    assert network.official
    images = np.random.default_rng(0).integers(0, 256, (3, 64, 80, 3), dtype=np.uint8)
    distances = pairwise_distances(network, images, CPU)
    with torch.inference_mode():
        expected = written_out(tmp_path, name, images[0], images[2])
    assert distances[0, 2] == pytest.approx(expected, rel=1e-3)
    assert distances[0, 2] > 1e-4
    assert np.array_equal(distances, distances.T)
    assert (np.diag(distances) == 0).all()


def test_little_memory_gives_the_same_distances(tmp_path: Path) -> None:
    network = Lpips(*write_weights(tmp_path, "alexnet"))
    images = np.random.default_rng(1).integers(0, 256, (7, 64, 64, 3), dtype=np.uint8)
    each = extract(network, images[:1], CPU).size * 4
    whole = pairwise_distances(network, images, CPU)
    parts = pairwise_distances(network, images, CPU, memory=4 * each)
    assert np.allclose(whole, parts, atol=1e-5)


def test_files_that_are_not_lpips_are_refused(tmp_path: Path) -> None:
    linear, network = write_weights(tmp_path, "alexnet")
    with pytest.raises(CheckpointError, match="no linear weights"):
        Lpips(network, network)
    torch.save({"lin0.model.1.weight": torch.rand(1, 9, 1, 1)}, tmp_path / "few.pth")
    with pytest.raises(CheckpointError, match=r"\(9,\)"):
        Lpips(tmp_path / "few.pth", network)
    torch.save({"lin0.model.1.weight": -torch.rand(1, 9, 1, 1)}, tmp_path / "less.pth")
    with pytest.raises(CheckpointError, match="at least 0"):
        Lpips(tmp_path / "less.pth", network)
    with pytest.raises(CheckpointError, match="alexnet"):
        Lpips(linear, write_weights(tmp_path, "vgg16")[1])


def test_the_stand_in_says_what_it_is_and_orders_by_likeness() -> None:
    network = StandIn("tf_efficientnet_lite0")
    assert not network.official
    assert "stand-in for LPIPS" in network.label
    rng = np.random.default_rng(2)
    image = np.full((64, 64, 3), 120, np.uint8)
    image[16:48, 16:48] = 40
    slightly = image.copy()
    slightly[30:34, 30:34] = 90
    other = rng.integers(0, 256, image.shape, dtype=np.uint8)
    distances = pairwise_distances(network, np.stack([image, slightly, other]), CPU)
    assert 0 < distances[0, 1] < distances[0, 2] / 3
    # Unit vectors at every pixel of four taps: no two images are further apart than 2 each.
    assert distances.max() <= 4 * 2 + 1e-4
    assert extract(network.pooled, image[None], CPU).shape == (1, 320)
