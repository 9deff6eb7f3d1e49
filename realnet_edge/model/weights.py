"""Weights and the document that belongs to them, as files of one folder: what any checkpoint needs."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from realnet_edge.errors import CheckpointError
from realnet_edge.files import atomic_folder, read_json, sha256_file, write_json

_VERSION, _DIGEST = "format_version", "weights_sha256"


@dataclass(frozen=True)
class WeightsFolder:
    """One kind of checkpoint.

    Attributes:
        weights: name of the safetensors file.
        document: name of the JSON file.
        version: of the document's fields.
        fields: those that the document must have, besides the version and the weights' hash.
    """

    weights: str
    document: str
    version: int
    fields: Collection[str]

    def write(self, folder: Path, model: nn.Module, document: dict[str, Any]) -> None:
        """Write a folder; what was there before is replaced only when all is written."""
        with atomic_folder(folder) as temporary:
            weights = temporary / self.weights
            state = {k: v.detach().cpu().contiguous() for k, v in model.state_dict().items()}
            save_file(state, weights, metadata={"format": "pt"})
            whole = {_VERSION: self.version, **document, _DIGEST: sha256_file(weights)}
            write_json(temporary / self.document, whole)

    def read_document(self, folder: Path, absent: str) -> dict[str, Any]:
        """The document, complete and of this version.

        Args:
            absent: what to say where there is none.

        Raises:
            CheckpointError: it is missing, damaged, of another version, or lacks fields.
        """
        path = folder / self.document
        if not path.is_file():
            raise CheckpointError(absent)
        try:
            document = read_json(path)
        except ValueError as error:
            raise CheckpointError(f"{path}: not valid JSON ({error}).") from error
        version = document.get(_VERSION) if isinstance(document, dict) else None
        if version != self.version:
            raise CheckpointError(f"{path}: format version {version!r}; this version reads {self.version}.")
        missing = sorted({*self.fields, _DIGEST} - set(document))
        if missing:
            raise CheckpointError(f"{path}: the fields {missing} are missing.")
        return dict(document)

    def verify(self, folder: Path, document: dict[str, Any]) -> str:
        """The weights' SHA-256, once it is what the document says.

        Raises:
            CheckpointError: the weights are missing, or were changed.
        """
        weights = folder / self.weights
        if not weights.is_file():
            raise CheckpointError(f"{weights}: missing. Train again, or restore the folder from a backup.")
        digest = sha256_file(weights)
        if digest != document[_DIGEST]:
            raise CheckpointError(
                f"{weights}: its SHA-256 is {digest[:12]}..., {self.document} says "
                f"{document[_DIGEST][:12]}...; the file was changed or damaged. "
                "Restore it or train again."
            )
        return digest

    def load(self, folder: Path, model: nn.Module) -> None:
        """Copy the weights into a model.

        Raises:
            CheckpointError: the file cannot be read, or does not fit; the first tensor is named.
        """
        weights = folder / self.weights
        try:
            load_state(model, load_file(weights))
        except SafetensorError as error:
            raise CheckpointError(f"{weights}: not a readable safetensors file ({error}).") from error


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
