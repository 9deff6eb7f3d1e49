"""What an engine answered on the test images, in memory and as a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from realnet_edge.errors import DataError
from realnet_edge.files import atomic_path
from realnet_edge.imaging import load_batch
from realnet_edge.runtime import Runner


@dataclass(frozen=True, eq=False)
class Predictions:
    """One engine's answers, image by image.

    Attributes:
        maps: (N, H, W) float32 anomaly maps in [0, 1].
        scores: (N,) float32 image scores.
        rrs_indices: (N, k) int32 channels that RRS chose, best first; None where the engine does not tell.
    """

    maps: npt.NDArray[np.float32]
    scores: npt.NDArray[np.float32]
    rrs_indices: npt.NDArray[np.int32] | None

    def save(self, path: Path) -> None:
        """Write an uncompressed `.npz`, atomically."""
        arrays = {"maps": self.maps, "scores": self.scores}
        if self.rrs_indices is not None:
            arrays["rrs_indices"] = self.rrs_indices  # type: ignore[assignment]  # arrays of several types
        with atomic_path(path) as temporary, temporary.open("wb") as stream:
            np.savez(stream, **arrays)  # type: ignore[arg-type]  # NumPy's stub takes them for allow_pickle

    @classmethod
    def load(cls, path: Path) -> Predictions:
        """Read what `save` wrote.

        Raises:
            DataError: the file is damaged or of another kind.
        """
        try:
            with np.load(path, allow_pickle=False) as stored:
                return cls(stored["maps"], stored["scores"], stored.get("rrs_indices"))
        except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
            raise DataError(f"{path}: not readable predictions ({error}). Remove the file.") from error


def predict(runner: Runner, paths: Sequence[Path], batch: int, diagnostics: bool = False) -> Predictions:
    """Run all images through an open runner, `batch` at a time.

    Args:
        runner: inside its `with` block.
        paths: image files, at least one.
        batch: images a call, within the runner's range.
        diagnostics: also collect the channels that RRS chose; the engine must tell them.

    Raises:
        DataError: an image cannot be decoded, or there is none.
        BackendError: the engine failed.
    """
    if not paths:
        raise DataError("there is no image to predict on.")
    maps, scores, indices = [], [], []
    for start in range(0, len(paths), batch):
        chunk = list(paths[start : start + batch])
        answer = runner.infer_filled(load_batch(chunk, runner.input_size), diagnostics)
        maps.append(answer.anomaly_map)
        scores.append(answer.score)
        if answer.rrs_indices is not None:
            indices.append(answer.rrs_indices)
    return Predictions(
        np.concatenate(maps), np.concatenate(scores), np.concatenate(indices) if indices else None
    )
