"""A trained diffusion model as files: averaged weights as safetensors, JSON for everything else."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from realnet_edge.config.diffusion import DiffusionModelConfig
from realnet_edge.diffusion.unet import NoisePredictor
from realnet_edge.errors import CheckpointError, ConfigError
from realnet_edge.files import atomic_folder, read_json, sha256_file, write_json
from realnet_edge.model.checkpoint import load_state

FORMAT_VERSION = 1
WEIGHTS_FILE = "diffusion.safetensors"
DOCUMENT = "diffusion.json"


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
    with atomic_folder(folder) as temporary:
        weights = temporary / WEIGHTS_FILE
        state = {k: v.detach().cpu().contiguous() for k, v in checkpoint.model.state_dict().items()}
        save_file(state, weights, metadata={"format": "pt"})
        document = {
            "format_version": FORMAT_VERSION,
            "model": checkpoint.config.to_dict(),
            "training": checkpoint.training,
            "weights_sha256": sha256_file(weights),
        }
        write_json(temporary / DOCUMENT, document)


def load_diffusion(folder: Path) -> DiffusionCheckpoint:
    """Read a checkpoint folder into a model in evaluation mode.

    Raises:
        CheckpointError: files are missing, damaged, of another version, or of another structure than stated.
    """
    document = _read_document(folder)
    weights = folder / WEIGHTS_FILE
    if not weights.is_file():
        raise CheckpointError(f"{weights}: missing. Train again, or restore the folder from a backup.")
    digest = sha256_file(weights)
    if digest != document["weights_sha256"]:
        raise CheckpointError(
            f"{weights}: its SHA-256 is {digest[:12]}..., {DOCUMENT} says "
            f"{document['weights_sha256'][:12]}...; the file was changed or damaged. "
            "Restore it or train again."
        )
    try:
        model = NoisePredictor(DiffusionModelConfig.from_dict(document["model"]))
        load_state(model, load_file(weights))
    except (ConfigError, SafetensorError) as error:
        raise CheckpointError(f"{folder}: {error}") from error
    return DiffusionCheckpoint(model.eval(), document["training"], digest)


def _read_document(folder: Path) -> dict[str, Any]:
    path = folder / DOCUMENT
    if not path.is_file():
        raise CheckpointError(
            f"no diffusion model in {folder}. Train one with `realnet-edge synth train --data DIR`."
        )
    try:
        document = read_json(path)
    except ValueError as error:
        raise CheckpointError(f"{path}: not valid JSON ({error}).") from error
    version = document.get("format_version") if isinstance(document, dict) else None
    if version != FORMAT_VERSION:
        raise CheckpointError(f"{path}: format version {version!r}; this version reads {FORMAT_VERSION}.")
    missing = sorted({"model", "training", "weights_sha256"} - set(document))
    if missing:
        raise CheckpointError(f"{path}: the fields {missing} are missing.")
    return dict(document)
