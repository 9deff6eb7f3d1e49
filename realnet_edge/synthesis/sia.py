"""Anomalous images made by diffusion (SDAS), blended by Perlin masks: what RealNet was trained with.

Reads folders that `realnet-edge synth sample` writes, and a category's folder of the published Synthetic
Industrial Anomaly data set (SIA), which holds nothing but images.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from realnet_edge.errors import DataError
from realnet_edge.files import read_json
from realnet_edge.imaging import IMAGE_SUFFIXES, natural_key
from realnet_edge.synthesis.textures import ANOMALY_OPACITY, TextureSource

# What a folder of ours holds beside its images: its settings, and a line for each image.
MANIFEST = "manifest.json"
IMAGE_LIST = "images.jsonl"
FORMAT_VERSION = 1


class SiaSource(TextureSource):
    """Blends a random image of a folder into a Perlin mask within the foreground, unchanged (paper eq. 3).

    Args:
        folder: see `sia_files`.
        size: (height, width) that the images are resized to.

    Raises:
        DataError: the folder is missing, holds no images, or those of several categories.
    """

    name = "sia"

    def __init__(self, folder: Path, size: tuple[int, int]) -> None:
        super().__init__(sia_files(folder), size, augment=False, opacity=ANOMALY_OPACITY)


def sia_files(folder: Path) -> list[Path]:
    """The images of a folder, in natural order.

    Args:
        folder: with a manifest, what its list names and is there; without, the images that lie in it.

    Raises:
        DataError: no such folder, no image in it, or folders of categories instead.
    """
    if not folder.is_dir():
        raise DataError(
            f"{folder}: no such folder of anomalous images. Make one with `realnet-edge synth sample`, or "
            "unpack the published SIA and name the folder of one category."
        )
    if (folder / MANIFEST).is_file():
        read_manifest(folder)
        found = [folder / entry["file"] for entry in read_image_list(folder)]
        files = [path for path in found if path.is_file()]
    else:
        files = sorted(_images_in(folder), key=natural_key)
    if files:
        return files
    inner = sorted(path.name for path in folder.iterdir() if path.is_dir() and _images_in(path))
    if inner:
        raise DataError(f"{folder}: holds folders of images ({', '.join(inner[:8])}). Name one of them.")
    raise DataError(
        f"{folder}: holds no images ({', '.join(sorted(IMAGE_SUFFIXES))}). Name a folder that does."
    )


def read_manifest(folder: Path) -> dict[str, Any]:
    """The settings that a folder's images were made with.

    Raises:
        DataError: not readable, or of another version.
    """
    path = folder / MANIFEST
    try:
        document = read_json(path)
        version = document["format_version"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: not a manifest of anomalous images ({error}).") from error
    if version != FORMAT_VERSION:
        raise DataError(f"{path}: format version {version!r}; this version reads {FORMAT_VERSION}.")
    return dict(document)


def read_image_list(folder: Path) -> list[dict[str, Any]]:
    """The entries of a folder's list of images; a last line that a kill cut short is left out.

    Raises:
        DataError: another line is damaged.
    """
    path = folder / IMAGE_LIST
    if not path.is_file():
        return []
    text = path.read_text(encoding="utf-8")
    whole = text[: text.rfind("\n") + 1].splitlines()
    try:
        return [dict(json.loads(line)) for line in whole]
    except (ValueError, TypeError) as error:
        raise DataError(f"{path}: damaged ({error}). Make the folder again with --overwrite.") from error


def _images_in(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES]
