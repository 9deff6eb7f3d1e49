"""Anomalies from a folder of synthetic industrial anomaly images (SIA), whole images that SDAS has drawn."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from realnet_edge.synthesis.textures import ANOMALY_OPACITY, TextureSource


class SiaSource(TextureSource):
    """Blends a random image of a folder into a Perlin mask within the foreground, as it is.

    Args:
        source: a folder, searched with its subfolders, or the image files themselves.
        size: (height, width) that they are resized to; resized images are cached up to 256 MiB.

    Raises:
        DataError: the folder is missing or holds no images.
    """

    name = "sia"

    def __init__(self, source: Path | Sequence[Path], size: tuple[int, int]) -> None:
        """List the files; opacity is 0.5 to 1 (RealNet paper, appendix B)."""
        super().__init__(source, size, augment=False, opacity=ANOMALY_OPACITY)
