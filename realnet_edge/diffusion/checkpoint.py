"""A trained diffusion model as files: averaged weights as safetensors, JSON for everything else."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from realnet_edge.config.diffusion import DiffusionModelConfig
from realnet_edge.diffusion.unet import NoisePredictor
from realnet_edge.errors import CheckpointError, ConfigError
from realnet_edge.model.weights import WeightsFolder

_FILES = WeightsFolder(
    weights="diffusion.safetensors", document="diffusion.json", version=1, fields=("model", "training")
)


@dataclass(frozen=True)
class DiffusionCheckpoint:
    """A diffusion model and where it came from.

    Attributes:
        model: the network with averaged weights, in evaluation mode.
        training: settings, length, losses, files and versions of the training.
        sha256: hash of the weights file; empty before the first save.
    """

    model: NoisePredictor
    training: dict[str, Any] = field(default_factory=dict)
    sha256: str = ""

    @property
    def config(self) -> DiffusionModelConfig:
        return self.model.config


def save_diffusion(folder: Path, checkpoint: DiffusionCheckpoint) -> None:
    """Write a checkpoint folder; what was there before is replaced only when all is written."""
    document = {"model": checkpoint.config.to_dict(), "training": checkpoint.training}
    _FILES.write(folder, checkpoint.model, document)


def load_diffusion(folder: Path) -> DiffusionCheckpoint:
    """Read a checkpoint folder into a model in evaluation mode.

    Raises:
        CheckpointError: files are missing, damaged, of another version, or of another structure than stated.
    """
    absent = f"no diffusion model in {folder}. Train one with `realnet-edge synth train --data DIR`."
    document = _FILES.read_document(folder, absent)
    digest = _FILES.verify(folder, document)
    try:
        model = NoisePredictor(DiffusionModelConfig.from_dict(document["model"]))
    except ConfigError as error:
        raise CheckpointError(f"{folder}: {error}") from error
    _FILES.load(folder, model)
    return DiffusionCheckpoint(model.eval(), document["training"], digest)
