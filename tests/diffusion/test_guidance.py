from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from realnet_edge.config.diffusion import ClassifierConfig, DiffusionModelConfig, SamplerConfig
from realnet_edge.config.diffusion_training import ClassifierTrainConfig
from realnet_edge.data import load_category
from realnet_edge.diffusion.checkpoint import ClassifierCheckpoint
from realnet_edge.diffusion.classifier import NoisedClassifier
from realnet_edge.diffusion.classifier_trainer import train_classifier
from realnet_edge.diffusion.fast_sampling import Where, fast_sampler
from realnet_edge.diffusion.guidance import Guide
from realnet_edge.diffusion.images import as_tensor
from realnet_edge.diffusion.process import DiffusionProcess
from realnet_edge.diffusion.sampling import Request
from realnet_edge.diffusion.schedule import Schedule
from realnet_edge.diffusion.sia_folder import SiaFolder
from realnet_edge.diffusion.unet import NoisePredictor
from realnet_edge.errors import ConfigError, DataError
from realnet_edge.workspace import CategoryPaths

CLASSIFIER = ClassifierConfig(
    image_size=16, patch=2, width=16, multipliers=(1, 2), blocks=1, attention=(4,), head_width=16, groups=4,
    categories=("bolt", "nut"),
)  # fmt: skip
MODEL = DiffusionModelConfig(**dataclasses.asdict(CLASSIFIER), predicts="velocity")
CPU = Where("cpu", "fp32")
SHAPE = (4, 3, 4, 4)


class Planes(NoisedClassifier):
    """Logits W x (1 + t / 1000): the gradient of log p(y | x) is (1 + t / 1000) (W_y - sum_k p_k W_k)."""

    def __init__(self, categories: tuple[str, ...]) -> None:
        nn.Module.__init__(self)
        self.config = dataclasses.replace(CLASSIFIER, categories=categories)
        generator = torch.Generator().manual_seed(3)
        pixels = 3 * 4 * 4
        planes = torch.randn(len(categories), pixels, generator=generator, dtype=torch.float64)
        self.planes = nn.Parameter(planes / pixels**0.5)

    def forward(self, images: Tensor, timesteps: Tensor) -> Tensor:
        return images.flatten(1) @ self.planes.T * (1 + timesteps[:, None].double() / 1000)


@pytest.mark.parametrize("inference", [False, True])
def test_the_gradient_is_that_of_the_wanted_category_s_log_probability(inference: bool) -> None:
    # The classifier has the categories in another order, and one more.
    classifier = Planes(("nut", "gear", "bolt"))
    guide = Guide(classifier, 2.5, ("bolt", "nut"))
    timesteps, categories = torch.tensor([0, 50, 500, 999]), torch.tensor([0, 1, 0, 1])
    with torch.inference_mode(inference):
        images = torch.randn(SHAPE, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
        found = guide(images, timesteps, categories)
    x, w = images.numpy().reshape(4, -1), classifier.planes.detach().numpy()
    factor = 1 + timesteps.numpy()[:, None] / 1000
    p = np.exp(x @ w.T * factor)
    p /= p.sum(axis=1, keepdims=True)
    expected = 2.5 * factor * (w[[2, 0, 2, 0]] - p @ w)
    np.testing.assert_allclose(found.reshape(4, -1), expected, rtol=1e-12)
    assert classifier.planes.grad is None


@pytest.fixture(scope="module")
def case() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(7)
    drawn = {name: torch.randn(SHAPE, generator=generator) for name in ("current", "noise", "gradient")}
    return {**drawn, "output": torch.randn(4, 6, 4, 4, generator=generator).clamp(-1, 1)}


# Of 20 steps: the first taken, two between, and the last, which adds no noise.
INDEX = torch.tensor([19, 12, 3, 0])


@pytest.mark.parametrize("strength", [0.0, 0.2])
def test_iddpm_moves_the_mean_by_the_model_s_own_variance(case: dict[str, Tensor], strength: float) -> None:
    schedule = Schedule.linear().spaced(20)
    process = DiffusionProcess(schedule)
    s = torch.full((4,), strength)
    arguments = (case["output"], case["current"], INDEX, case["noise"], s)
    found = process.iddpm_step(*arguments, case["gradient"])
    x, e, gradient = (case[name].double().numpy() for name in ("current", "noise", "gradient"))
    predicted, v = np.split(case["output"].double().numpy(), 2, axis=1)
    a, before = (
        t[INDEX][:, None, None, None] for t in (schedule.alphas_cumprod, schedule.alphas_cumprod_before)
    )
    beta = schedule.betas[INDEX][:, None, None, None]
    start = np.clip((x - np.sqrt(1 - a) * predicted) / np.sqrt(a), -1, 1)
    mean = (beta * np.sqrt(before) * start + np.sqrt(1 - beta) * (1 - before) * x) / (1 - a)
    share = (v + 1) / 2
    least = schedule.posterior_log_variance[INDEX][:, None, None, None]
    sigma = np.exp(share * np.log(beta) + (1 - share) * least)
    noise = np.sqrt(1 + strength) * np.sqrt(sigma) * e * (INDEX > 0).numpy()[:, None, None, None]
    np.testing.assert_allclose(found, mean + sigma * gradient + noise, atol=2e-6)
    assert (found - process.iddpm_step(*arguments)).abs().amax(dim=(1, 2, 3)).min() > 1e-5


def test_ddim_moves_the_noise_and_what_follows_from_it(case: dict[str, Tensor]) -> None:
    schedule = Schedule.linear().spaced(20)
    process = DiffusionProcess(schedule)
    s = torch.full((4,), 0.02)
    arguments = (case["output"], case["current"], INDEX, case["noise"], s, "posterior")
    # x_0 moves by (1 - a) / sqrt(a) of the gradient: as small a one as classifiers give amid noise.
    gradient = 1e-3 * case["gradient"]
    found = process.ddim_step(*arguments, gradient)
    x, e = (case[name].double().numpy() for name in ("current", "noise"))
    predicted, _ = np.split(case["output"].double().numpy(), 2, axis=1)
    a, before, least = (
        table[INDEX][:, None, None, None]
        for table in (
            schedule.alphas_cumprod,
            schedule.alphas_cumprod_before,
            schedule.posterior_log_variance,
        )
    )
    start = np.clip((x - np.sqrt(1 - a) * predicted) / np.sqrt(a), -1, 1)
    predicted = (x - np.sqrt(a) * start) / np.sqrt(1 - a) - np.sqrt(1 - a) * gradient.double().numpy()
    start = (x - np.sqrt(1 - a) * predicted) / np.sqrt(a)
    mean = np.sqrt(before) * start + np.sqrt(1 - before) * predicted
    noise = np.sqrt(0.02 * np.exp(least)) * e * (INDEX > 0).numpy()[:, None, None, None]
    np.testing.assert_allclose(found, mean + noise, rtol=1e-4, atol=1e-5)
    moved = (found - process.ddim_step(*arguments)).abs().amax(dim=(1, 2, 3))
    assert moved[0] > 1e-3
    assert moved[2] > 1e-5


@pytest.fixture(scope="module")
def model() -> NoisePredictor:
    """Untrained, but with an output of its own."""
    torch.manual_seed(3)
    made = NoisePredictor(MODEL).eval()
    torch.nn.init.normal_(made.unet.conv_out.weight, std=0.05)
    return made


@pytest.fixture(scope="module")
def trained(data: Path, tmp_path_factory: pytest.TempPathFactory) -> ClassifierCheckpoint:
    """A classifier of dark bars and bright ones."""
    config = ClassifierTrainConfig(
        steps=100, batch=16, learning_rate=3e-3, save_every=100, threads=1, device="cpu", precision="fp32"
    )
    paths = CategoryPaths(tmp_path_factory.mktemp("classifier"))
    made = train_classifier(load_category(data, "all"), paths, CLASSIFIER, config)
    assert made is not None
    return made


def probability(classifier: NoisedClassifier, images: Tensor, category: int) -> float:
    """How sure the classifier is that images without noise show a category, on the mean."""
    with torch.no_grad():
        logits = classifier(images, torch.zeros(len(images), dtype=torch.int64))
    return float(logits.softmax(dim=1)[:, category].mean())


def test_training_tells_categories_apart_where_there_is_little_noise(trained: ClassifierCheckpoint) -> None:
    (entry,) = trained.training["history"]
    assert entry["accuracy_0_249"] >= 0.9
    # Amid pure noise there is nothing to tell.
    assert entry["accuracy_750_999"] < 0.8
    assert trained.training["category"] == "all"
    assert trained.model.config.categories == ("bolt", "nut")


@pytest.mark.parametrize("sampler", ["iddpm", "ddim"])
@pytest.mark.parametrize("category", [0, 1])
def test_guidance_raises_the_wanted_category_s_probability(
    model: NoisePredictor, trained: ClassifierCheckpoint, sampler: str, category: int
) -> None:
    requests = [Request(seed, 0.0, category) for seed in range(8)]
    found = []
    for scale in (0.0, 8.0):
        config = SamplerConfig(sampler, steps=6, guidance=scale)
        guided = fast_sampler(model, config, CPU, classifier=trained.model)
        found.append(probability(trained.model, as_tensor(guided(requests)), category))
    assert found[1] > found[0] + 0.05


@pytest.mark.parametrize("sampler", ["iddpm", "ddim"])
def test_a_scale_of_0_changes_no_bit(
    model: NoisePredictor, trained: ClassifierCheckpoint, sampler: str
) -> None:
    requests = [Request(seed, 0.1, seed % 2) for seed in range(4)]
    plain = fast_sampler(model, SamplerConfig(sampler, 4), CPU)
    still = fast_sampler(model, SamplerConfig(sampler, 4, guidance=0.0), CPU, classifier=trained.model)
    assert np.array_equal(plain(requests), still(requests))
    assert still.settings()["guidance"] == 0.0


def test_the_classifier_is_told_the_steps_of_the_whole_schedule(model: NoisePredictor) -> None:
    seen = []

    class Listening(NoisedClassifier):
        def forward(self, images: Tensor, timesteps: Tensor) -> Tensor:
            seen.append(timesteps.tolist())
            return super().forward(images, timesteps)

    config = SamplerConfig(steps=4, guidance=1.0)
    fast_sampler(model, config, CPU, classifier=Listening(CLASSIFIER).eval())([Request(1, 0.1)] * 2)
    assert seen == [[750, 750], [500, 500], [250, 250], [0, 0]]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"image_size": 32}, r"32 x 32 pixels, the diffusion model draws 16 x 16"),
        ({"categories": ("bolt", "gear")}, "does not know nut, .* it knows bolt, gear"),
    ],
)
def test_a_classifier_of_other_images_is_refused(
    model: NoisePredictor, change: dict[str, object], named: str
) -> None:
    other = NoisedClassifier(dataclasses.replace(CLASSIFIER, **change)).eval()
    with pytest.raises(ConfigError, match=named):
        fast_sampler(model, SamplerConfig(guidance=1.0), CPU, classifier=other)


def test_guidance_without_a_classifier_or_away_from_it_is_refused(model: NoisePredictor) -> None:
    with pytest.raises(ConfigError, match="there is no classifier"):
        fast_sampler(model, SamplerConfig(guidance=1.0), CPU)
    for scale in (-1.0, float("inf"), float("nan")):
        with pytest.raises(ConfigError, match="a scale of 0 or more"):
            SamplerConfig(guidance=scale)


def test_a_folder_from_before_guidance_goes_on_unguided(tmp_path: Path) -> None:
    old = {"category": "bolt", "model_sha256": "0" * 64}
    SiaFolder(tmp_path, old)
    now = {**old, "guidance": 0.0, "classifier_sha256": ""}
    SiaFolder(tmp_path, now)
    assert json.loads((tmp_path / "manifest.json").read_text())["guidance"] == 0.0
    with pytest.raises(DataError, match=r"guidance was 0.0, is 1.0; classifier_sha256 was , is 11"):
        SiaFolder(tmp_path, {**now, "guidance": 1.0, "classifier_sha256": "11"})
