"""Anomalies from a folder of foreign images blended by Perlin masks: textures such as DTD.

DTD is the Describable Textures Dataset (Cimpoi et al., CVPR 2014); the recipe is DRAEM's (ICCV 2021).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from realnet_edge.errors import DataError
from realnet_edge.imaging import IMAGE_SUFFIXES, load_image, preprocess
from realnet_edge.synthesis.base import Synthetic, blend
from realnet_edge.synthesis.shapes import mixed_mask
from realnet_edge.synthesis.texture_augment import augment_texture

TEXTURE_OPACITY = (0.2, 1.0)
ANOMALY_OPACITY = (0.5, 1.0)
# Resized textures are kept up to this much memory; beyond it they are decoded again when drawn.
CACHE_BYTES = 256 << 20


class TextureSource:
    """Blends a random image of a folder into a Perlin mask within the foreground.

    Args:
        source: a folder, searched with its subfolders, or the image files themselves.
        size: (height, width) that they are resized to; resized images are cached up to 256 MiB.
        augment: change each texture by three of the ten published augmentations.
        opacity: range of the blending opacity.

    Raises:
        DataError: the folder is missing or holds no images.
    """

    name = "textures"

    def __init__(
        self,
        source: Path | Sequence[Path],
        size: tuple[int, int],
        augment: bool = True,
        opacity: tuple[float, float] = TEXTURE_OPACITY,
    ) -> None:
        """List the files; they are decoded when first drawn."""
        self._files = image_files(source) if isinstance(source, Path) else list(source)
        if not self._files:
            raise DataError("no texture images given. Name a folder with at least one image.")
        self._size = size
        self._augment = augment
        self._opacity = opacity
        self._cache: dict[int, npt.NDArray[np.uint8]] = {}
        self._room = CACHE_BYTES // (size[0] * size[1] * 3)

    def __call__(
        self, image: npt.NDArray[np.uint8], foreground: npt.NDArray[np.bool_], rng: np.random.Generator
    ) -> Synthetic:
        """One anomaly; see `AnomalySource`.

        Raises:
            DataError: the texture drawn cannot be decoded, or its size is not the image's.
        """
        texture = self._texture(int(rng.integers(len(self._files))))
        if self._augment:
            texture = augment_texture(texture, rng)
        mask = mixed_mask(foreground, rng, (1.0, 0.0, 0.0))
        return Synthetic(blend(image, texture, mask, float(rng.uniform(*self._opacity))), mask, texture)

    def _texture(self, index: int) -> npt.NDArray[np.uint8]:
        cached = self._cache.get(index)
        if cached is None:
            cached = preprocess(load_image(self._files[index]), self._size)
            if len(self._cache) < self._room:
                self._cache[index] = cached
        return cached


def image_files(folder: Path) -> list[Path]:
    """All images below a folder, sorted by path.

    Raises:
        DataError: the folder is missing or holds no images.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder. Name one of images, such as DTD's images/.")
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES)
    if not files:
        raise DataError(
            f"{folder}: holds no images ({', '.join(sorted(IMAGE_SUFFIXES))}). Name a folder that does."
        )
    return files
