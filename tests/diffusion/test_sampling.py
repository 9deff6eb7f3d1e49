from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from realnet_edge.config.diffusion import DiffusionModelConfig, SamplerConfig
from realnet_edge.diffusion.fast_sampling import Where, fast_sampler
from realnet_edge.diffusion.sampling import Request, Sampler
from realnet_edge.diffusion.sia_folder import SiaFolder, Strength, request_of
from realnet_edge.diffusion.unet import NoisePredictor
from realnet_edge.errors import ConfigError, DataError
from realnet_edge.synthesis import make_source, sia_files
from realnet_edge.training.compute import choose_compute

MODEL = DiffusionModelConfig(
    image_size=16, patch=2, width=16, multipliers=(1, 2), blocks=1, attention=(4,), head_width=16, groups=4
)

CPU = Where("cpu", "fp32")
SETTINGS = {"category": "bolt", "model_sha256": "0" * 64}


@pytest.fixture(scope="module")
def model() -> NoisePredictor:
    """Untrained, but with an output of its own."""
    torch.manual_seed(3)
    made = NoisePredictor(MODEL).eval()
    torch.nn.init.normal_(made.unet.conv_out.weight, std=0.05)
    return made


@pytest.fixture(scope="module")
def sampler(model: NoisePredictor) -> Sampler:
    return fast_sampler(model, SamplerConfig(steps=8), CPU)


def test_an_image_depends_on_its_own_request_alone(sampler: Sampler) -> None:
    requests = [Request(seed, 0.1) for seed in range(5)]
    whole = sampler(requests).astype(int)
    assert whole.shape == (5, 16, 16, 3)
    assert np.abs(whole[0] - whole[1]).mean() > 5
    alone = sampler([requests[3]]).astype(int)
    assert np.abs(alone[0] - whole[3]).max() <= 1
    assert np.abs(sampler.all(requests, 2).astype(int) - whole).max() <= 1


def test_batches_are_filled_up_for_a_compiled_network_alone(model: NoisePredictor) -> None:
    """The same images; full batches for what would be compiled anew for another size."""
    sizes: list[int] = []
    hook = model.register_forward_pre_hook(lambda _, given: sizes.append(len(given[0])))
    made = []
    for fills_up in (False, True):
        drawn = Sampler(model, SamplerConfig(steps=2), choose_compute(CPU), fills_up=fills_up)
        made.append(drawn.all([Request(seed, 0.1) for seed in range(5)], 4))
    hook.remove()
    assert sizes == [4, 4, 1, 1, 4, 4, 4, 4]
    assert np.abs(made[0].astype(int) - made[1].astype(int)).max() <= 1


def test_strength_adds_variance_and_nothing_else(sampler: Sampler) -> None:
    rows = [sampler([Request(seed, s) for seed in range(6)]).astype(float) for s in (0.0, 0.1, 0.5, 2.0)]
    distances = [np.abs(row - rows[0]).mean() for row in rows[1:]]
    assert 0 < distances[0] < distances[1] < distances[2]


def test_ddim_at_strength_0_is_deterministic_after_the_first_noise(model: NoisePredictor) -> None:
    ddim = fast_sampler(model, SamplerConfig("ddim", steps=4), CPU)
    still = ddim([Request(1, 0.0)])
    assert np.array_equal(still, ddim([Request(1, 0.0)]))
    for variance in ("beta", "posterior", "learned"):
        moving = fast_sampler(model, SamplerConfig("ddim", 4, variance), CPU)
        assert not np.array_equal(still, moving([Request(1, 0.5)]))


def test_bf16_gives_nearly_the_same_images(model: NoisePredictor, sampler: Sampler) -> None:
    requests = [Request(seed, 0.1) for seed in range(4)]
    half = fast_sampler(model, SamplerConfig(steps=8), Where("cpu", "bf16"))
    assert half.settings()["arithmetic"] == "bf16"
    assert np.abs(half(requests).astype(int) - sampler(requests).astype(int)).mean() < 4


def test_an_interrupted_folder_goes_on_where_it_was(sampler: Sampler, tmp_path: Path) -> None:
    def fill(folder: Path, count: int, stop_after: int = 10) -> list[int]:
        sia = SiaFolder(folder, SETTINGS)
        numbers = sia.missing(count)[:stop_after]
        requests = [request_of(number, 7, Strength(), 0) for number in numbers]
        if numbers:
            sia.add(numbers, requests, sampler(requests))
        return numbers

    assert fill(tmp_path / "whole", 4) == [0, 1, 2, 3]
    assert fill(tmp_path / "part", 4, stop_after=2) == [0, 1]
    # Killed while it wrote a line, and with an image lost.
    with (tmp_path / "part" / "images.jsonl").open("a") as stream:
        stream.write('{"number": 2, "fi')
    (tmp_path / "part" / "00000" / "000000.png").unlink()
    assert fill(tmp_path / "part", 4) == [0, 2, 3]
    assert fill(tmp_path / "part", 4) == []
    lists = []
    for folder in ("whole", "part"):
        text = (tmp_path / folder / "images.jsonl").read_text()
        lists.append(sorted((json.loads(line) for line in text.splitlines()), key=lambda e: e["number"]))
        assert len(sia_files(tmp_path / folder)) == 4
    assert lists[0] == lists[1]
    assert set(lists[0][0]) == {"number", "file", "seed", "strength", "model_sha256"}
    strengths = [entry["strength"] for entry in lists[0]]
    assert all(0.1 <= s <= 0.2 for s in strengths)
    assert len(set(strengths)) == 4
    for name in ("00000/000000.png", "00000/000003.png"):
        pictures = [np.asarray(Image.open(tmp_path / f / name)).astype(int) for f in ("whole", "part")]
        assert np.abs(pictures[0] - pictures[1]).max() <= 1


def test_other_settings_and_other_files_are_not_mixed_in(tmp_path: Path) -> None:
    SiaFolder(tmp_path / "sia", SETTINGS)
    with pytest.raises(DataError, match="category was bolt, is nut"):
        SiaFolder(tmp_path / "sia", {**SETTINGS, "category": "nut"})
    SiaFolder(tmp_path / "sia", {**SETTINGS, "category": "nut"}, overwrite=True)
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "holiday.jpg").touch()
    with pytest.raises(DataError, match="other files"):
        SiaFolder(tmp_path / "own", SETTINGS, overwrite=True)
    assert (tmp_path / "own" / "holiday.jpg").exists()


def test_strengths_that_make_no_sense_are_refused() -> None:
    for ends in ((0.2, 0.1), (-0.1, 0.1), (0.0, float("inf"))):
        with pytest.raises(ConfigError, match="lower end first"):
            Strength(*ends)


def test_the_published_layout_is_read_as_a_source(tmp_path: Path) -> None:
    folder = tmp_path / "sdas" / "bottle"
    folder.mkdir(parents=True)
    for index in range(3):
        Image.fromarray(np.full((20, 20, 3), 250, np.uint8)).save(folder / f"rank0_{index}.jpg")
    assert [path.name for path in sia_files(folder)] == ["rank0_0.jpg", "rank0_1.jpg", "rank0_2.jpg"]
    with pytest.raises(DataError, match=r"folders of images \(bottle\)"):
        sia_files(tmp_path / "sdas")
    with pytest.raises(DataError, match="no images"):
        sia_files(tmp_path)
    with pytest.raises(DataError, match="synth sample"):
        sia_files(tmp_path / "none")
    image = np.full((32, 32, 3), 10, np.uint8)
    (source,) = make_source(f"sia={folder}:1", [image], 32).sources
    made = source(image, np.ones((32, 32), np.bool_), np.random.default_rng(2))
    # Blended with an opacity of 0.5 to 1 where the mask is, untouched elsewhere.
    assert (made.image[~made.mask] == 10).all()
    assert made.image[made.mask].min() >= 10 + 0.5 * 238
