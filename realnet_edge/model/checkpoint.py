"""A trained model as files: safetensors for the weights, JSON for everything else. Never a pickle."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from realnet_edge.config import ModelConfig
from realnet_edge.errors import CheckpointError, ConfigError
from realnet_edge.files import atomic_folder, read_json, sha256_file, write_json
from realnet_edge.model.realnet import RealNet
from realnet_edge.workspace import CHECKPOINT_DOCUMENT

FORMAT_VERSION = 1
WEIGHTS_FILE = "model.safetensors"


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
    with atomic_folder(folder) as temporary:
        weights = temporary / WEIGHTS_FILE
        state = {k: v.detach().cpu().contiguous() for k, v in checkpoint.model.state_dict().items()}
        save_file(state, weights, metadata={"format": "pt"})
        document = {
            "format_version": FORMAT_VERSION,
            "category": checkpoint.category,
            "model": checkpoint.config.to_dict(),
            "splits": checkpoint.splits,
            "data": checkpoint.data,
            "foreground": checkpoint.foreground,
            "training": checkpoint.training,
            "weights_sha256": sha256_file(weights),
        }
        write_json(temporary / CHECKPOINT_DOCUMENT, document)


def load_checkpoint(folder: Path) -> Checkpoint:
    """Read a checkpoint folder into a model in evaluation mode.

    Raises:
        CheckpointError: files are missing, damaged, of another version, or do not fit the
            structure they state; the first tensor that does not fit is named.
    """
    document = _read_document(folder)
    weights = folder / WEIGHTS_FILE
    if not weights.is_file():
        raise CheckpointError(f"{weights}: missing. Train again, or restore the folder from a backup.")
    digest = sha256_file(weights)
    if digest != document["weights_sha256"]:
        raise CheckpointError(
            f"{weights}: its SHA-256 is {digest[:12]}..., {CHECKPOINT_DOCUMENT} says "
            f"{document['weights_sha256'][:12]}...; the file was changed or damaged. "
            "Restore it or train again."
        )
    try:
        config = ModelConfig.from_dict(document["model"])
    except ConfigError as error:
        raise CheckpointError(f"{folder / CHECKPOINT_DOCUMENT}: {error}") from error
    model = RealNet(config)
    try:
        load_state(model, load_file(weights))
    except SafetensorError as error:
        raise CheckpointError(f"{weights}: not a readable safetensors file ({error}).") from error
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


def load_state(model: nn.Module, state: dict[str, torch.Tensor]) -> None:
    """Copy a complete state into a model.

    Raises:
        CheckpointError: a tensor is missing, unknown or of another shape; the first one is named.
    """
    own = model.state_dict()
    for key, tensor in own.items():
        if key not in state:
            raise CheckpointError(f"weights lack {key!r}, which this structure needs.")
        if state[key].shape != tensor.shape:
            raise CheckpointError(
                f"{key!r} has shape {tuple(state[key].shape)}; this structure needs {tuple(tensor.shape)}."
            )
    unknown = next((key for key in state if key not in own), None)
    if unknown is not None:
        raise CheckpointError(f"weights hold {unknown!r}, which this structure does not have.")
    model.load_state_dict(state)


def _read_document(folder: Path) -> dict[str, Any]:
    path = folder / CHECKPOINT_DOCUMENT
    if not path.is_file():
        raise CheckpointError(f"no checkpoint in {folder}. Train one with `realnet-edge train`.")
    try:
        document = read_json(path)
    except ValueError as error:
        raise CheckpointError(f"{path}: not valid JSON ({error}).") from error
    version = document.get("format_version") if isinstance(document, dict) else None
    if version != FORMAT_VERSION:
        raise CheckpointError(f"{path}: format version {version!r}; this version reads {FORMAT_VERSION}.")
    wanted = {"category", "model", "splits", "data", "foreground", "training", "weights_sha256"}
    missing = sorted(wanted - set(document))
    if missing:
        raise CheckpointError(f"{path}: the fields {missing} are missing.")
    return dict(document)
