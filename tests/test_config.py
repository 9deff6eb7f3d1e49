"""Settings: what is out of range says so, and JSON gives back what went in."""

from __future__ import annotations

import dataclasses

import pytest

from realnet_edge.config import BACKBONES, ModelConfig, SynthesisConfig, TrainConfig
from realnet_edge.errors import ConfigError
from realnet_edge.presets import PRESETS, preset


@pytest.mark.parametrize("config", [ModelConfig(), SynthesisConfig(rotate=90.0), TrainConfig(minutes=2.5)])
def test_json_round_trip(config: ModelConfig | SynthesisConfig | TrainConfig) -> None:
    assert type(config).from_dict(config.to_dict()) == config


def test_defaults_are_the_published_network() -> None:
    config = ModelConfig()
    assert config == ModelConfig.for_backbone("wide_resnet50_2")
    assert (config.planes, config.rrs_max, config.rrs_mean) == ((256, 512, 512, 256), 256, 256)
    assert config.widths == tuple(p // 2 for p in config.planes)


@pytest.mark.parametrize("name", sorted(BACKBONES))
def test_every_backbone_has_proportions_that_hold(name: str) -> None:
    config = ModelConfig.for_backbone(name)
    assert config.rrs_max + config.rrs_mean == pytest.approx(sum(config.planes) / 3, abs=2)
    assert config.standardise == name.startswith("tf_efficientnet_lite")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"backbone": "vgg16"}, "backbone is 'vgg16'"),
        ({"taps": (2, 1, 3, 4)}, "taps is"),
        ({"planes": (256, 512)}, "planes is"),
        ({"planes": (257, 512, 512, 256)}, "planes is 257"),
        ({"widths": (12, 256, 256, 128)}, "widths is 12"),
        ({"rrs_max": 1537}, "rrs_max is 1537"),
        ({"rrs_max": 0, "rrs_mean": 0}, "at least 1"),
        ({"image_size": 200}, "multiple of 128"),
        ({"image_size": 128, "widths": (8, 8, 8, 8)}, "one pixel"),
        ({"score_rule": "mean"}, "score_rule is 'mean'"),
    ],
)
def test_models_that_cannot_be(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        dataclasses.replace(ModelConfig(), **changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch": 1}, "BatchNorm"),
        ({"steps": 0}, "steps is 0"),
        ({"minutes": -1}, "minutes is -1"),
        ({"learning_rate": 0}, "learning_rate is 0"),
        ({"schedule": "step"}, "schedule is 'step'"),
    ],
)
def test_trainings_that_cannot_be(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        dataclasses.replace(TrainConfig(), **changes)


def test_synthesis_that_cannot_be() -> None:
    with pytest.raises(ConfigError, match="anomalous_share is 1"):
        SynthesisConfig(anomalous_share=1.0)
    with pytest.raises(ConfigError, match="rotate is 200"):
        SynthesisConfig(rotate=200)


def test_unknown_and_missing_settings_are_named() -> None:
    document = TrainConfig().to_dict()
    del document["steps"]
    with pytest.raises(ConfigError, match=r"unknown settings \['pace'\], missing settings \['steps'\]"):
        TrainConfig.from_dict({**document, "pace": 3})


def test_presets_by_name() -> None:
    assert preset("paper").model == ModelConfig()
    with pytest.raises(ConfigError, match=f"valid: {', '.join(PRESETS)}"):
        preset("fast")
