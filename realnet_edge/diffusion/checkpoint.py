"""A diffusion model, or its classifier, as files: weights as safetensors, JSON for everything else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from realnet_edge.config.diffusion import ClassifierConfig, DiffusionModelConfig
from realnet_edge.diffusion.classifier import NoisedClassifier
from realnet_edge.diffusion.unet import NoisePredictor
from realnet_edge.errors import CheckpointError, ConfigError
from realnet_edge.model.weights import WeightsFolder

Network = TypeVar("Network", NoisePredictor, NoisedClassifier)


@dataclass(frozen=True)
class NetworkCheckpoint(Generic[Network]):
    """A network and where it came from.

    Attributes:
        model: the network with the weights to use, in evaluation mode.
        training: settings, length, losses, files and versions of the training.
        sha256: hash of the weights file; empty before the first save.
    """

    model: Network
    training: dict[str, Any] = field(default_factory=dict)
    sha256: str = ""


@dataclass(frozen=True)
class NetworkFolder(Generic[Network]):
    """Where one kind of network is written to and read from.

    Attributes:
        files: names and version.
        make: a network from the settings of its structure, as JSON values.
        absent: what to say where there is none, with a place for the folder.
    """

    files: WeightsFolder
    make: Callable[[dict[str, Any]], Network]
    absent: str

    def save(self, folder: Path, checkpoint: NetworkCheckpoint[Network]) -> None:
        """Write a checkpoint folder; what was there before is replaced only when all is written."""
        model = checkpoint.model
        self.files.write(folder, model, {"model": model.config.to_dict(), "training": checkpoint.training})

    def load(self, folder: Path) -> NetworkCheckpoint[Network]:
        """Read a checkpoint folder into a network in evaluation mode.

        Raises:
            CheckpointError: files are missing, damaged, of another version, or of another structure than
                stated.
        """
        document = self.files.read_document(folder, self.absent.format(folder))
        digest = self.files.verify(folder, document)
        try:
            model = self.make(document["model"])
        except ConfigError as error:
            raise CheckpointError(f"{folder}: {error}") from error
        self.files.load(folder, model)
        return NetworkCheckpoint(model.eval(), document["training"], digest)


_FIELDS = ("model", "training")
DIFFUSION = NetworkFolder(
    WeightsFolder(weights="diffusion.safetensors", document="diffusion.json", version=1, fields=_FIELDS),
    lambda settings: NoisePredictor(DiffusionModelConfig.from_dict(settings)),
    "no diffusion model in {}. Train one with `realnet-edge synth train --data DIR`.",
)
CLASSIFIER = NetworkFolder(
    WeightsFolder(weights="classifier.safetensors", document="classifier.json", version=1, fields=_FIELDS),
    lambda settings: NoisedClassifier(ClassifierConfig.from_dict(settings)),
    "no classifier in {}. Train one with `realnet-edge synth classifier --data DIR`, DIR being a folder of "
    "several categories, or sample without --guidance.",
)
DiffusionCheckpoint = NetworkCheckpoint[NoisePredictor]
ClassifierCheckpoint = NetworkCheckpoint[NoisedClassifier]
