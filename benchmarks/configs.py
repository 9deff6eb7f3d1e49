"""The networks that benchmarks measure, by name."""

from __future__ import annotations

from realnet_edge.config import ModelConfig
from realnet_edge.presets import preset

CONFIGS: dict[str, ModelConfig] = {
    "default": ModelConfig(),
    "half": ModelConfig.for_backbone("wide_resnet50_2", planes=(128, 256, 256, 128)),
    "edge": preset("edge").model,
}
