"""A trained model as files: safetensors for the weights, JSON for everything else. Never a pickle."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from realnet_edge.config import ModelConfig
from realnet_edge.errors import CheckpointError, ConfigError
from realnet_edge.model.realnet import RealNet
from realnet_edge.model.weights import WeightsFolder
from realnet_edge.workspace import CHECKPOINT_DOCUMENT

WEIGHTS_FILE = "model.safetensors"
_FILES = WeightsFolder(
    weights=WEIGHTS_FILE,
    document=CHECKPOINT_DOCUMENT,
    version=1,
    fields=("category", "model", "splits", "data", "foreground", "training"),
)


@dataclass(frozen=True)
class Checkpoint:
    """A model and where it came from.

    Attributes:
        model: the network in evaluation mode.
        config: its structure.
        category: what it inspects.
        splits: file names of the good images by use, as `realnet_edge.data.Splits.to_dict` gives them.
        data: {"root": folder of the category, "layout": how it is laid out}.
        foreground: the foreground rule that the synthesis used.
        training: settings, length, validation figures and versions of the training.
        sha256: hash of the weights file; empty before the first save.
    """

    model: RealNet
    config: ModelConfig
    category: str
    splits: dict[str, Any]
    data: dict[str, str]
    foreground: dict[str, Any]
    training: dict[str, Any] = field(default_factory=dict)
    sha256: str = ""

    @property
    def score_rule(self) -> str:
        return self.config.score_rule


def save_checkpoint(folder: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint folder; what was there before is replaced only when all is written."""
    document = {
        "category": checkpoint.category,
        "model": checkpoint.config.to_dict(),
        "splits": checkpoint.splits,
        "data": checkpoint.data,
        "foreground": checkpoint.foreground,
        "training": checkpoint.training,
    }
    _FILES.write(folder, checkpoint.model, document)


def load_checkpoint(folder: Path) -> Checkpoint:
    """Read a checkpoint folder into a model in evaluation mode.

    Raises:
        CheckpointError: files are missing, damaged, of another version, or do not fit the
            structure they state; the first tensor that does not fit is named.
    """
    absent = f"no checkpoint in {folder}. Train one with `realnet-edge train`."
    document = _FILES.read_document(folder, absent)
    digest = _FILES.verify(folder, document)
    try:
        config = ModelConfig.from_dict(document["model"])
    except ConfigError as error:
        raise CheckpointError(f"{folder / CHECKPOINT_DOCUMENT}: {error}") from error
    model = RealNet(config)
    _FILES.load(folder, model)
    return Checkpoint(
        model=model.eval(),
        config=config,
        category=document["category"],
        splits=document["splits"],
        data=document["data"],
        foreground=document["foreground"],
        training=document["training"],
        sha256=digest,
    )
