"""The state of a training as files: enough to go on after a kill as if nothing had happened."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from realnet_edge.errors import CheckpointError
from realnet_edge.files import atomic_folder, read_json, write_json
from realnet_edge.model.weights import load_state
from realnet_edge.training.averaging import WeightAverage

_TENSORS = "state.safetensors"
_DOCUMENT = "state.json"
_OPTIMISER = "optimiser."
_BEST = "best."
_AVERAGE = "average."


class Stepper(Protocol):
    """What computes the steps of a training, as far as its state goes."""

    @property
    def optimiser(self) -> torch.optim.Optimizer: ...
    @property
    def scaler(self) -> torch.amp.GradScaler: ...


@dataclass
class Progress:
    """How far a training is.

    Attributes:
        step: optimiser steps done.
        minutes: minutes spent in steps and validations so far, over all runs.
        best_score: best validation score so far (percent), at `best_step`.
        stale: validations since then.
        history: one entry a validation: step, minutes, learning rate, mean losses, figures.
    """

    step: int = 0
    minutes: float = 0.0
    best_score: float = -1.0
    best_step: int = 0
    stale: int = 0
    history: list[dict[str, float]] = field(default_factory=list)


def save_training_state(
    folder: Path,
    model: nn.Module,
    step: Stepper,
    best: dict[str, Tensor],
    progress: Progress,
    settings: dict[str, Any],
    average: WeightAverage | None = None,
) -> None:
    """Write everything the next run needs; the state before stays until all is written.

    Args:
        step: its optimiser and gradient scaler are part of the state.
        best: state_dict of the best model so far.
        settings: what must be the same for a resumed run to be the same training.
        average: of the weights, where there is one.
    """
    tensors = {k: v.detach().clone() for k, v in model.state_dict().items()}
    for index, moments in step.optimiser.state_dict()["state"].items():
        tensors.update({f"{_OPTIMISER}{index}.{k}": torch.as_tensor(v).clone() for k, v in moments.items()})
    # The frozen backbone and AFS are in the model's own entries already.
    tensors.update({f"{_BEST}{k}": v.clone() for k, v in best.items() if not k.startswith("backbone.")})
    if average is not None:
        tensors.update({f"{_AVERAGE}{k}": v for k, v in average.state().items()})
    with atomic_folder(folder) as temporary:
        save_file(tensors, temporary / _TENSORS)
        write_json(
            temporary / _DOCUMENT,
            {"progress": asdict(progress), "settings": settings, "scaler": step.scaler.state_dict()},
        )


def read_settings(folder: Path) -> tuple[Progress, dict[str, Any]] | None:
    """Progress and settings of an unfinished training, or None where there is none.

    Raises:
        CheckpointError: there is something else in its place.
    """
    saved = _read_document(folder)
    return None if saved is None else saved[:2]


def _read_document(folder: Path) -> tuple[Progress, dict[str, Any], dict[str, Any]] | None:
    """Progress, settings and the gradient scaler's state."""
    if not (folder / _DOCUMENT).is_file():
        return None
    try:
        document = read_json(folder / _DOCUMENT)
        return Progress(**document["progress"]), document["settings"], document.get("scaler", {})
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"{folder / _DOCUMENT}: not a training state ({error}). Start again with --overwrite."
        ) from error


def load_training_state(
    folder: Path, model: nn.Module, step: Stepper, average: WeightAverage | None = None
) -> tuple[Progress, dict[str, Tensor]]:
    """Fill model, optimiser, gradient scaler and the weights' average from a saved state.

    Returns:
        The progress and the best model's state_dict.

    Raises:
        CheckpointError: there is no readable state in `folder`, or none of the average.
    """
    saved = _read_document(folder)
    if saved is None:
        raise CheckpointError(f"no unfinished training in {folder} to resume.")
    progress, _, scaler = saved
    try:
        tensors = load_file(folder / _TENSORS)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(
            f"{folder / _TENSORS}: not a readable training state ({error}). Start again with --overwrite."
        ) from error
    moments: dict[int, dict[str, Tensor]] = {}
    best: dict[str, Tensor] = {}
    current: dict[str, Tensor] = {}
    averages: dict[str, Tensor] = {}
    for key, tensor in tensors.items():
        if key.startswith(_OPTIMISER):
            index, _, name = key.removeprefix(_OPTIMISER).partition(".")
            moments.setdefault(int(index), {})[name] = tensor
        elif key.startswith(_BEST):
            best[key.removeprefix(_BEST)] = tensor
        elif key.startswith(_AVERAGE):
            averages[key.removeprefix(_AVERAGE)] = tensor
        else:
            current[key] = tensor
    load_state(model, current)
    if average is not None:
        average.load(averages)
    document = step.optimiser.state_dict()
    document["state"] = moments
    step.optimiser.load_state_dict(document)
    if scaler:
        step.scaler.load_state_dict(scaler)
    frozen = {k: v.clone() for k, v in model.state_dict().items() if k.startswith("backbone.")}
    return progress, {**frozen, **best}
