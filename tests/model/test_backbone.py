"""Backbones: every offered one builds, and weights come from packages and files or say why not."""

from __future__ import annotations

from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file

from realnet_edge.backbones import BACKBONES
from realnet_edge.config import ModelConfig
from realnet_edge.errors import CheckpointError
from realnet_edge.model.backbone import FrozenBackbone, load_pretrained


@pytest.mark.parametrize("name", sorted(BACKBONES))
def test_taps_have_the_stated_channels_and_strides(name: str) -> None:
    config = ModelConfig.for_backbone(name, image_size=128)
    with torch.no_grad():
        taps = FrozenBackbone(config)(torch.zeros(1, 3, 128, 128))
    assert [tap.shape[1] for tap in taps] == list(config.tap_channels)
    assert [128 // tap.shape[2] for tap in taps] == list(config.strides)


def test_it_stays_in_evaluation_mode_and_frozen() -> None:
    backbone = FrozenBackbone(ModelConfig.for_backbone("resnet18"))
    backbone.train()
    assert not any(module.training for module in backbone.modules())
    assert not any(parameter.requires_grad for parameter in backbone.parameters())


@pytest.mark.parametrize("name", ["tf_efficientnet_lite0", "tf_efficientnet_lite2"])
def test_packaged_weights_know_imagenet(name: str) -> None:
    """Filled by order, the taps must equal those of the same tensors under timm's own classifier."""
    config = ModelConfig.for_backbone(name)
    backbone = FrozenBackbone(config)
    assert "package" in load_pretrained(backbone, config)
    full = timm.create_model(name, pretrained=False).eval()
    full.load_state_dict(backbone.features.state_dict(), strict=False)
    image = torch.randn(1, 3, 128, 128)
    with torch.no_grad():
        expected = full.forward_intermediates(image, indices=[1], intermediates_only=True)[0]
        torch.testing.assert_close(backbone(image)[0], expected)
    # Trained BatchNorm statistics differ from the fresh ones by orders of magnitude.
    assert backbone.features.bn1.running_var.std() > 0.1


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_weights_from_a_file(tmp_path: Path, suffix: str) -> None:
    torch.manual_seed(0)
    full = timm.create_model("resnet18", pretrained=False)
    path = tmp_path / f"weights{suffix}"
    if suffix == ".pth":
        torch.save({"state_dict": full.state_dict()}, path)
    else:
        save_file(full.state_dict(), path)
    config = ModelConfig.for_backbone("resnet18")
    backbone = FrozenBackbone(config)
    assert load_pretrained(backbone, config, path) == str(path)
    torch.testing.assert_close(backbone.features.layer3[1].conv2.weight, full.layer3[1].conv2.weight)


def test_a_file_of_another_network_names_what_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    save_file(timm.create_model("resnet18", pretrained=False).state_dict(), path)
    config = ModelConfig.for_backbone("resnet34")
    with pytest.raises(CheckpointError, match=r"layer1\.2"):
        load_pretrained(FrozenBackbone(config), config, path)


def test_a_file_with_another_shape_names_the_tensor(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    state = timm.create_model("resnet18", pretrained=False).state_dict()
    save_file({**state, "conv1.weight": torch.zeros(64, 1, 7, 7)}, path)
    config = ModelConfig.for_backbone("resnet18")
    with pytest.raises(CheckpointError, match=r"conv1\.weight.*\(64, 1, 7, 7\)"):
        load_pretrained(FrozenBackbone(config), config, path)


def test_a_pickle_that_runs_code_is_refused(tmp_path: Path) -> None:
    class Harmful:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (Path.touch, (tmp_path / "ran",))  # type: ignore[return-value]  # a pickle's own protocol

    path = tmp_path / "harmful.pth"
    torch.save({"state_dict": Harmful()}, path)
    config = ModelConfig.for_backbone("resnet18")
    with pytest.raises(CheckpointError, match="not a readable weights file"):
        load_pretrained(FrozenBackbone(config), config, path)
    assert not (tmp_path / "ran").exists()


def test_missing_files_and_an_unreachable_hub_say_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = ModelConfig.for_backbone("resnet18")
    with pytest.raises(CheckpointError, match="no such weights file"):
        load_pretrained(FrozenBackbone(config), config, tmp_path / "gone.pth")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    with pytest.raises(CheckpointError, match="--weights FILE"):
        load_pretrained(FrozenBackbone(config), config)
