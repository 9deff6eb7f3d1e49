"""Settings as frozen data classes, checked when made, and stored as JSON beside the weights."""

from __future__ import annotations

from realnet_edge.config.architecture import (
    ARCHITECTURES,
    blocks_of,
    grouped,
    multiple_of,
    norm_groups,
)
from realnet_edge.config.camera import BATCH_WAIT_MS, CAMERA_TIMEOUT_S
from realnet_edge.config.model import (
    RRS_ORDERS,
    SCORE_RULES,
    SCORE_WINDOW,
    SELECTIONS,
    UNSTORED_MODEL,
    ModelConfig,
)
from realnet_edge.config.synthesis import (
    DEFAULT_SOURCE,
    SynthesisConfig,
)
from realnet_edge.config.threshold import DEFAULT_FPR
from realnet_edge.config.training import (
    CHECKPOINT_BY,
    DEVICES,
    PRECISIONS,
    UNSTORED,
    TrainConfig,
)

__all__ = [
    "ARCHITECTURES",
    "BATCH_WAIT_MS",
    "CAMERA_TIMEOUT_S",
    "CHECKPOINT_BY",
    "DEFAULT_FPR",
    "DEFAULT_SOURCE",
    "DEVICES",
    "PRECISIONS",
    "RRS_ORDERS",
    "SCORE_RULES",
    "SCORE_WINDOW",
    "SELECTIONS",
    "UNSTORED",
    "UNSTORED_MODEL",
    "ModelConfig",
    "SynthesisConfig",
    "TrainConfig",
    "blocks_of",
    "grouped",
    "multiple_of",
    "norm_groups",
]
