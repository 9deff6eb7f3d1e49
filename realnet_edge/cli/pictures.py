"""Pictures that commands write."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from realnet_edge.errors import ConfigError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")


def refuse_other_suffixes(option: str, path: Path) -> None:
    """Refuse a file name that stands for no picture format, before any work is done for it.

    Args:
        option: the option that named it, for the message.
        path: the file to write.

    Raises:
        ConfigError: another suffix than PNG's, JPEG's, WebP's or BMP's.
    """
    if path.suffix.lower() not in _SUFFIXES:
        raise ConfigError(
            f"{option} {path}: a picture cannot be written as '{path.suffix}'. Use {', '.join(_SUFFIXES)}."
        )


def write_picture(path: Path, picture: npt.NDArray[np.uint8]) -> None:
    """Write an (H, W, 3) uint8 RGB picture aside, then rename it to `path`."""
    from PIL import Image

    from realnet_edge.files import atomic_path

    with atomic_path(path) as temporary:
        Image.fromarray(picture).save(temporary)
