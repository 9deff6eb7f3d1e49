"""Settings: what is out of range says so, and JSON gives back what went in."""

from __future__ import annotations

import dataclasses

import pytest

from realnet_edge.backbones import BACKBONES
from realnet_edge.config import ModelConfig, SynthesisConfig, TrainConfig, blocks_of
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
        ({"blocks": (2, 1)}, r"blocks is \(2, 1\); valid: numbers of taps that add up to 4"),
        ({"blocks": (4, 0)}, "blocks is"),
        ({"blocks": (2, 2)}, "widths is .*; valid: 2 numbers, one a block"),
        ({"rrs_max": 1537}, "rrs_max is 1537"),
        ({"rrs_max": 0, "rrs_mean": 0}, "at least 1"),
        ({"rrs_order": "random"}, "rrs_order is 'random'"),
        ({"image_size": 200}, "multiple of 128"),
        (
            {"image_size": 128, "widths": (8, 8, 8, 8)},
            "image_size is 128; valid: 256 or more for a block of stride 32 and width 8, or a group width",
        ),
        ({"image_size": 128, "widths": (8, 8, 8, 16)}, "256 or more for a block of stride 32 and width 16"),
        ({"score_rule": "mean"}, "score_rule is 'mean'"),
        ({"group_width": 33}, "group_width is 33"),
        ({"tiles": (0, 2)}, r"tiles is \(0, 2\); valid: rows and columns in 1..16"),
        ({"tiles": (2,)}, "two numbers, rows and columns"),
        ({"tile_overlap": 32}, "tile_overlap is 32; valid: 0 for one tile alone"),
        ({"tiles": (1, 2), "tile_overlap": 128}, "tile_overlap is 128; valid: 0..127"),
        ({"tiles": (1, 2), "tile_overlap": -1}, "tile_overlap is -1"),
        ({"selection": "pca"}, "selection is 'pca'"),
        ({"attention_limit": -1}, "attention_limit is -1"),
    ],
)
def test_models_that_cannot_be(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        dataclasses.replace(ModelConfig(), **changes)


@pytest.mark.parametrize(
    ("architecture", "blocks", "widths", "strides"),
    [
        ("A", (), (128, 256, 256, 128), (4, 8, 16, 32)),
        ("B", (4,), (768,), (4,)),
        ("C", (2, 2), (384, 384), (4, 16)),
    ],
)
def test_published_architectures(
    architecture: str, blocks: tuple[int, ...], widths: tuple[int, ...], strides: tuple[int, ...]
) -> None:
    config = ModelConfig.for_backbone("wide_resnet50_2", blocks=blocks_of(architecture, 4))
    assert (config.blocks, config.widths, config.block_strides) == (blocks, widths, strides)
    assert config.block_planes == tuple(2 * width for width in widths)


def test_architectures_that_cannot_be() -> None:
    with pytest.raises(ConfigError, match="architecture is 'D'"):
        blocks_of("D", 4)
    with pytest.raises(ConfigError, match="at least 3 for architecture C"):
        blocks_of("C", 2)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch": 1}, "BatchNorm"),
        ({"steps": 0}, "steps is 0"),
        ({"minutes": -1}, "minutes is -1"),
        ({"learning_rate": 0}, "learning_rate is 0"),
        ({"schedule": "step"}, "schedule is 'step'"),
        ({"ema": 1.0, "statistics_batches": 4}, "ema is 1.0; valid: 0 for none"),
        ({"ema": 0.9}, "statistics_batches is 0; valid: at least 1 with ema"),
        ({"rank_noise": -0.1}, "rank_noise is -0.1; valid: 0 for none, to 1"),
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


def test_a_model_stored_before_there_were_tiles_sees_the_whole_image() -> None:
    document = ModelConfig().to_dict()
    del document["tiles"], document["tile_overlap"]
    assert ModelConfig.from_dict(document) == ModelConfig()
    assert ModelConfig().input_size == (256, 256)


def test_a_training_stored_before_newer_settings_did_without_them() -> None:
    document = TrainConfig().to_dict()
    del document["ema"], document["rank_noise"], document["joint"]
    assert TrainConfig.from_dict(document) == TrainConfig(ema=0.0, rank_noise=0.0, joint=True)


def test_tiles_decide_the_size_of_the_input() -> None:
    config = dataclasses.replace(ModelConfig(), tiles=(2, 3), tile_overlap=32)
    assert config.input_size == (480, 704)
    assert ModelConfig.from_dict(config.to_dict()) == config


def test_presets_by_name() -> None:
    assert preset("paper").model == ModelConfig()
    with pytest.raises(ConfigError, match=f"valid: {', '.join(PRESETS)}"):
        preset("fast")
