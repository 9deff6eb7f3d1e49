"""Named settings for `realnet-edge synth train` and `synth classifier`. No torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from realnet_edge.config.diffusion import ClassifierConfig, DiffusionModelConfig
from realnet_edge.config.diffusion_training import ClassifierTrainConfig, DiffusionTrainConfig

_Model = TypeVar("_Model", DiffusionModelConfig, ClassifierConfig)
_Train = TypeVar("_Train", DiffusionTrainConfig, ClassifierTrainConfig)


@dataclass(frozen=True)
class NoisedPreset(Generic[_Model, _Train]):
    """Settings that belong together.

    Attributes:
        summary: what it is for, in one line.
        model, train: the settings.
    """

    summary: str
    model: _Model
    train: _Train


DIFFUSION_PRESETS: dict[str, NoisedPreset[DiffusionModelConfig, DiffusionTrainConfig]] = {
    "paper": NoisedPreset(
        "the published network at 256 x 256 (ADM, 553 M parameters); needs a GPU, days of it, and --init",
        DiffusionModelConfig(),
        DiffusionTrainConfig(),
    ),
    "edge": NoisedPreset(
        "64 x 64 pixels in patches of 4; an hour or two on 2 cores, minutes on a GPU",
        DiffusionModelConfig(
            image_size=64,
            patch=4,
            width=64,
            multipliers=(1, 2),
            blocks=1,
            attention=(8,),
            head_width=32,
            predicts="velocity",
        ),
        DiffusionTrainConfig(
            steps=16000,
            batch=8,
            accumulate=1,
            learning_rate=1e-3,
            warmup=100,
            ema=0.998,
            save_every=500,
        ),
    ),
}
# Their images are as large as those of the diffusion model's preset of the same name.
CLASSIFIER_PRESETS: dict[str, NoisedPreset[ClassifierConfig, ClassifierTrainConfig]] = {
    "paper": NoisedPreset(
        "the published classifier at 256 x 256; needs a GPU, and --init",
        ClassifierConfig(),
        ClassifierTrainConfig(),
    ),
    "edge": NoisedPreset(
        "64 x 64 pixels in patches of 4; minutes on 2 cores",
        ClassifierConfig(
            image_size=64, patch=4, width=32, multipliers=(1, 2), blocks=1, attention=(8,), head_width=32
        ),
        ClassifierTrainConfig(steps=2000, batch=32, learning_rate=3e-4, warmup=100, save_every=500),
    ),
}
DEFAULT_NOISED_PRESET = "edge"
