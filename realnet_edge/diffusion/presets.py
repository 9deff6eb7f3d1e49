"""Named settings for `realnet-edge synth train`. No torch."""

from __future__ import annotations

from dataclasses import dataclass

from realnet_edge.config.diffusion import DiffusionModelConfig, DiffusionTrainConfig


@dataclass(frozen=True)
class DiffusionPreset:
    """Settings that belong together.

    Attributes:
        summary: what it is for, in one line.
        model, train: the settings.
    """

    summary: str
    model: DiffusionModelConfig
    train: DiffusionTrainConfig


DIFFUSION_PRESETS: dict[str, DiffusionPreset] = {
    "paper": DiffusionPreset(
        "the published network at 256 x 256 (ADM, 553 M parameters); needs a GPU, days of it, and --init",
        DiffusionModelConfig(),
        DiffusionTrainConfig(),
    ),
    "edge": DiffusionPreset(
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
DEFAULT_DIFFUSION_PRESET = "edge"
