"""What FP32 PyTorch answered, kept so that it need not run again, nor be installed everywhere."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from realnet_edge import __version__
from realnet_edge.bench.accuracy import Accuracy
from realnet_edge.bench.predictions import Predictions
from realnet_edge.bundle import Manifest
from realnet_edge.errors import DataError


@dataclass(frozen=True)
class ReferenceStore:
    """Reference answers of one category, in one folder, by what they depend on.

    A name in it is the hash of the checkpoint, the images and this package's version: another of any
    of them is another file, so an answer is never taken for that of another model. Only the newest
    few are kept, for each is as large as all its maps.
    """

    folder: Path
    keep: int = 2

    def load(self, checkpoint_sha256: str, images: str) -> Predictions | None:
        """The stored answers, or None. A damaged file counts as none: it is made again.

        Args:
            checkpoint_sha256: of the checkpoint.
            images: digest of the test images.
        """
        path = self._path(checkpoint_sha256, images)
        if not path.is_file():
            return None
        try:
            return Predictions.load(path)
        except DataError:
            return None

    def store(self, checkpoint_sha256: str, images: str, predictions: Predictions) -> None:
        """Keep answers, and drop the oldest above `keep`."""
        path = self._path(checkpoint_sha256, images)
        predictions.save(path)
        others = [other for other in self.folder.glob("*.npz") if other != path]
        others.sort(key=lambda other: other.stat().st_mtime, reverse=True)
        for other in others[self.keep - 1 :]:
            other.unlink(missing_ok=True)

    def _path(self, checkpoint_sha256: str, images: str) -> Path:
        key = hashlib.sha256(f"{checkpoint_sha256}\n{images}\n{__version__}".encode()).hexdigest()
        return self.folder / f"{key[:32]}.npz"


def recorded_accuracy(manifest: Manifest | None, images: str) -> Accuracy | None:
    """FP32 PyTorch's accuracy as `record_accuracy` wrote it into the bundle.

    It stands under `accuracy.reference` in the manifest, in percent, by the names of `Accuracy`.

    Args:
        manifest: the bundle's; None for PyTorch itself.
        images: digest of the test images at hand.

    Returns:
        None where none is recorded, or where it is that of other images.
    """
    stated = _stated(manifest)
    if stated is None or not _is_of(stated, images):
        return None
    known = {name: stated["reference"].get(name) for name in Accuracy(None).to_dict()}
    return Accuracy(**{name: float(value) for name, value in known.items() if isinstance(value, int | float)})


def recorded_of_others(manifest: Manifest | None, images: str) -> bool:
    """Whether the bundle records FP32 PyTorch's accuracy, but not on these images."""
    stated = _stated(manifest)
    return stated is not None and not _is_of(stated, images)


def _stated(manifest: Manifest | None) -> Mapping[str, Any] | None:
    accuracy = manifest.accuracy if manifest is not None else None
    return accuracy if accuracy is not None and isinstance(accuracy.get("reference"), dict) else None


def _is_of(stated: Mapping[str, Any], images: str) -> bool:
    return bool(stated.get("images_sha256") == images)
