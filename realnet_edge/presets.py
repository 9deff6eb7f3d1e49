"""Named settings for `realnet-edge train`: a plain dictionary, every value open to an option."""

from __future__ import annotations

from dataclasses import dataclass

from realnet_edge.config import ModelConfig, SynthesisConfig, TrainConfig
from realnet_edge.errors import ConfigError


@dataclass(frozen=True)
class Preset:
    """Settings that belong together.

    Attributes:
        summary: what it is for, in one line.
        model, synthesis, train: the settings.
        align: parts are aligned where the images allow, by the rule of
            `realnet_edge.training.alignment_choice`.
    """

    summary: str
    model: ModelConfig
    synthesis: SynthesisConfig
    train: TrainConfig
    align: bool = False


PRESETS: dict[str, Preset] = {
    "paper": Preset(
        "the published network (WideResNet50-2, 591 M parameters); needs a GPU to train",
        ModelConfig(),
        SynthesisConfig(),
        TrainConfig(steps=20000, batch=16, learning_rate=1e-4, schedule="constant", validate_every=100),
    ),
    "edge": Preset(
        "EfficientNet-Lite2 and narrow U-Nets; an hour on 2 cores",
        ModelConfig(
            backbone="tf_efficientnet_lite2",
            taps=(1, 2, 3),
            planes=(16, 32, 48),
            widths=(16, 32, 96),
            rrs_max=24,
            rrs_mean=24,
            # By rank, noise of half a grey level changed 41 of 48 planes that the discriminator sees.
            rrs_order="plane",
            standardise=True,
            match_exposure=True,
            # Both make engines faster: one group is normalised where it lies, and attention over the 1,024
            # positions of the finest block took an eighth of an INT8 engine's time.
            group_width=0,
            attention_limit=256,
        ),
        # Without noise, a quarter of a grey level in the image moved decisions; engines round more than that.
        SynthesisConfig(source="patches:0.4,bends:0.2,cutpaste:0.2,scratches:0.2", noise=1.5),
        TrainConfig(
            steps=6000,
            minutes=58,
            patience=0,
            batch=8,
            learning_rate=1e-3,
            schedule="cosine",
            warmup=50,
            validate_every=300,
            # Over 8 batches AFS is close to chance at the coarsest tap; over 40 two seeds share two thirds.
            afs_batches=40,
            statistics_batches=16,
            precision="auto",
            # With one norm group a U-Net that the segmentation loss trains, too, can blow up unseen.
            joint=False,
        ),
        align=True,
    ),
    "demo": Preset(
        "EfficientNet-Lite0, a few minutes on 2 cores; to see the whole line work",
        ModelConfig(
            backbone="tf_efficientnet_lite0",
            taps=(1, 2, 3),
            planes=(24, 40, 80),
            widths=(16, 24, 32),
            rrs_max=48,
            rrs_mean=48,
            rrs_order="plane",
            standardise=True,
            match_exposure=True,
            group_width=4,
        ),
        SynthesisConfig(flip=True),
        TrainConfig(
            steps=400,
            minutes=4,
            patience=0,
            batch=8,
            learning_rate=1e-3,
            schedule="cosine",
            warmup=20,
            validate_every=100,
            afs_batches=2,
            statistics_batches=16,
            precision="auto",
        ),
    ),
}


# What `realnet-edge train` takes unless told otherwise.
DEFAULT_PRESET = "edge"


def preset(name: str) -> Preset:
    """A preset by its name.

    Raises:
        ConfigError: there is none of that name.
    """
    if name not in PRESETS:
        raise ConfigError(f"preset is {name!r}; valid: {', '.join(PRESETS)}.")
    return PRESETS[name]
