"""InceptionV3 by file: both networks' own keys, and the pooling that tells the published one apart."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch.nn import functional
from torchvision.models.inception import Inception3, InceptionE

from realnet_edge.errors import CheckpointError
from realnet_edge.quality.inception import InceptionFeatures


@pytest.fixture(scope="module")
def state() -> dict[str, torch.Tensor]:
    """Random weights under torchvision's names, which the published file has as well."""
    torch.manual_seed(0)
    network = Inception3(num_classes=1008, aux_logits=False, init_weights=False)
    return {key: value for key, value in network.state_dict().items() if "num_batches" not in key}


@pytest.fixture(scope="module")
def published(state: dict[str, torch.Tensor], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "pt_inception.pth"
    torch.save(state, path)
    return path


def test_the_published_network_has_the_published_pooling(
    published: Path, state: dict[str, torch.Tensor]
) -> None:
    features = InceptionFeatures(published)
    assert features.published
    assert "published FID" in features.label
    x = torch.rand(1, 2048, 8, 8, generator=torch.Generator().manual_seed(1))
    last, inner = features.network.Mixed_7c, features.network.Mixed_7b
    plain = InceptionE(2048)
    prefix = "Mixed_7c."
    own = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
    plain.load_state_dict(own, strict=False)
    plain.eval()
    with torch.inference_mode():
        ours, theirs = last(x), plain(x)
        pooled = plain.branch_pool(functional.max_pool2d(x, 3, stride=1, padding=1))
        # A constant map stays constant where padding does not count.
        flat = inner(torch.ones(1, 1280, 8, 8))[:, -192:]
    assert torch.equal(ours[:, :-192], theirs[:, :-192])
    assert torch.equal(ours[:, -192:], pooled)
    assert not torch.allclose(ours[:, -192:], theirs[:, -192:])
    assert flat.shape == (1, 192, 8, 8)
    assert torch.allclose(flat, flat[:, :, :1, :1].expand_as(flat), atol=1e-5)


def test_features_are_those_before_the_classifier(published: Path) -> None:
    """By hooks: the input is bilinear and within -1..1, the output is what the classifier would take."""
    features = InceptionFeatures(published)
    seen: list[torch.Tensor] = []
    features.network.register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0]))
    images = torch.zeros(2, 64, 80, 3, dtype=torch.uint8)
    images[1, :, 40:] = 255
    with torch.inference_mode():
        made = features(images)
    assert made.shape == (2, 2048)
    assert seen[0].shape == (2, 3, 299, 299)
    assert (seen[0][0] == -1).all()
    assert (seen[0][1].min(), seen[0][1].max()) == (-1, 1)
    assert not torch.equal(made[0], made[1])


def test_torchvisions_weights_are_read_and_named(state: dict[str, torch.Tensor], tmp_path: Path) -> None:
    own = {**state, "fc.weight": torch.zeros(1000, 2048), "fc.bias": torch.zeros(1000)}
    own["AuxLogits.fc.bias"] = torch.zeros(1000)
    save_file(own, tmp_path / "inception.safetensors")
    features = InceptionFeatures(tmp_path / "inception.safetensors")
    assert not features.published
    assert "not of the published FID" in features.label
    assert isinstance(features.network.Mixed_7c, InceptionE)
    plain = Inception3(num_classes=1000, aux_logits=False, init_weights=False)
    plain.load_state_dict(own, strict=False)
    plain.eval()
    plain.fc = torch.nn.Identity()
    images = torch.randint(0, 256, (1, 299, 299, 3), dtype=torch.uint8)
    with torch.inference_mode():
        expected = plain(images.permute(0, 3, 1, 2) / 127.5 - 1.0)
        assert torch.allclose(features(images), expected, atol=1e-4)


@pytest.mark.parametrize("broken", ["missing", "shape", "other"])
def test_files_of_other_networks_are_refused(
    broken: str, state: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    key = "Mixed_6e.branch_pool.bn.running_mean"
    wrong = {name: value for name, value in state.items() if name != key}
    if broken == "shape":
        wrong[key] = torch.zeros(7)
    if broken == "other":
        wrong = {"conv1.weight": torch.zeros(3)}
    torch.save(wrong, tmp_path / "w.pth")
    with pytest.raises(CheckpointError, match="no InceptionV3" if broken == "other" else key):
        InceptionFeatures(tmp_path / "w.pth")
