"""What the backbone is given: ImageNet's normalisation, exposure brought to the training images'."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from realnet_edge.config import ModelConfig
from realnet_edge.imaging import IMAGENET_MEAN, IMAGENET_STD
from realnet_edge.model import RealNet
from realnet_edge.model.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from realnet_edge.model.inputs import InputNormalisation

CONFIG = ModelConfig.for_backbone(
    "tf_efficientnet_lite0", image_size=64, taps=(2,), planes=(8,), widths=(16,), rrs_max=4, rrs_mean=4
)


@pytest.fixture
def image() -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(40, 160, (1, 48, 64, 3), generator=generator, dtype=torch.uint8)


def matching(reference: float) -> InputNormalisation:
    made = InputNormalisation(match_exposure=True)
    made.reference.fill_(reference)
    return made


def grey_levels(normalised: torch.Tensor) -> np.ndarray:
    """Back to 0..255, (N, H, W, 3) float64."""
    values = normalised.double().permute(0, 2, 3, 1).numpy()
    return np.asarray((values * np.array(IMAGENET_STD) + np.array(IMAGENET_MEAN)) * 255)


def test_without_matching_only_imagenets_mean_and_deviation_go(image: torch.Tensor) -> None:
    made = InputNormalisation(match_exposure=False)
    np.testing.assert_allclose(grey_levels(made(image)), image.numpy(), atol=1e-4)
    assert made.state_dict() == {}


def test_every_image_of_a_batch_comes_to_the_reference_by_a_gain_of_its_own(image: torch.Tensor) -> None:
    darker = (image.float() * 0.7).round().to(torch.uint8)
    found = grey_levels(matching(120.0)(torch.cat([image, darker])))
    np.testing.assert_allclose(found.mean(axis=(1, 2, 3)), 120.0, atol=1e-3)
    # The same picture but for the rounding of the darker one.
    np.testing.assert_allclose(found[1], found[0], atol=0.5 / 0.7 * 1.5)
    # One gain for all channels: colours stay.
    gain = found[0] / image[0].numpy()
    np.testing.assert_allclose(gain, gain.mean(), rtol=1e-5)


@pytest.mark.parametrize(("level", "gain"), [(0, 2.0), (10, 2.0), (100, 1.2), (255, 0.5)])
def test_the_gain_is_limited(level: int, gain: float) -> None:
    flat = torch.full((1, 16, 16, 3), level, dtype=torch.uint8)
    reference = 120.0 if level < 255 else 60.0
    np.testing.assert_allclose(grey_levels(matching(reference)(flat)), level * gain, atol=1e-3)


def test_the_reference_travels_with_the_checkpoint(tmp_path: Path, image: torch.Tensor) -> None:
    model = RealNet(dataclasses.replace(CONFIG, match_exposure=True)).eval()
    model.inputs.reference.fill_(91.25)
    save_checkpoint(tmp_path / "c", Checkpoint(model, model.config, "part", {}, {}, {}))
    loaded = load_checkpoint(tmp_path / "c").model
    assert float(loaded.inputs.reference) == 91.25
    assert torch.equal(loaded.inputs(image), model.inputs(image))


def test_a_tile_takes_the_gain_of_the_image_it_was_cut_from(image: torch.Tensor) -> None:
    normalisation = matching(120.0)
    image[:, :24] //= 2
    levels = image.float().mean(dim=(1, 2, 3))
    tile = image[:, :24, :32]
    expected = normalisation(image)[:, :, :24, :32]
    torch.testing.assert_close(normalisation(tile, levels), expected)
    assert not torch.allclose(normalisation(tile), expected, atol=0.05)
