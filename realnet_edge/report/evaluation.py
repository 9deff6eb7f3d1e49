"""What an engine answered, image by image: the material of figures and pictures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from realnet_edge.errors import DataError
from realnet_edge.report.rows import ResultRow


@dataclass(frozen=True, eq=False)
class Evaluation:
    """One engine's answers on the test images, in the order of `paths`.

    Attributes:
        row: The figures that were computed from these arrays.
        paths: N image files.
        names: N short names shown to the reader, such as "scratch_head/003.png"; not trusted.
        labels: (N,) integers, 0 good, 1 defect.
        scores: (N,) float image scores.
        maps: (N, H, W) float16 or float32 anomaly maps in [0, 1].
        masks: (N, H, W) bool ground truth at the maps' size, or None for a category without masks.
        engine_ms: (M,) float milliseconds of the timed engine calls, one a call.
        end_to_end_ms: (K,) float milliseconds from the encoded frame to the decision; may be empty.

    Raises:
        DataError: shapes that do not fit each other, or values that are not finite.
    """

    row: ResultRow
    paths: tuple[Path, ...]
    names: tuple[str, ...]
    labels: npt.NDArray[np.integer[Any]]
    scores: npt.NDArray[np.floating[Any]]
    maps: npt.NDArray[np.floating[Any]]
    masks: npt.NDArray[np.bool_] | None
    engine_ms: npt.NDArray[np.floating[Any]]
    end_to_end_ms: npt.NDArray[np.floating[Any]]

    def __post_init__(self) -> None:
        count = len(self.paths)
        lengths = {
            "names": len(self.names),
            "labels": len(self.labels),
            "scores": len(self.scores),
            "maps": len(self.maps),
        }
        wrong = {name: length for name, length in lengths.items() if length != count}
        if wrong:
            raise DataError(f"evaluation of {self.row.label}: {count} paths, but {wrong}; all must agree.")
        if self.labels.ndim != 1 or self.scores.ndim != 1 or self.maps.ndim != 3:
            raise DataError(
                f"evaluation of {self.row.label}: labels {self.labels.shape}, scores {self.scores.shape}, "
                f"maps {self.maps.shape}; expected (N,), (N,) and (N, H, W)."
            )
        if self.masks is not None and (self.masks.shape != self.maps.shape or self.masks.dtype != np.bool_):
            raise DataError(
                f"evaluation of {self.row.label}: masks {self.masks.shape} {self.masks.dtype}; "
                f"expected {self.maps.shape} bool."
            )
        if not np.isin(self.labels, (0, 1)).all():
            raise DataError(f"evaluation of {self.row.label}: labels are 0 (good) or 1 (defect).")
        for name in ("scores", "maps", "engine_ms", "end_to_end_ms"):
            if not np.isfinite(getattr(self, name)).all():
                raise DataError(f"evaluation of {self.row.label}: {name} holds values that are not finite.")

    @property
    def is_defect(self) -> npt.NDArray[np.bool_]:
        """(N,) bool: what each image really is."""
        return np.asarray(self.labels == 1)

    @property
    def called_defect(self) -> npt.NDArray[np.bool_] | None:
        """(N,) bool: what the engine decided: a score above the row's threshold; None without one."""
        if self.row.threshold is None:
            return None
        return np.asarray(self.scores > self.row.threshold)
