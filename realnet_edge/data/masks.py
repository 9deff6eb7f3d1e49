"""Which ground-truth mask belongs to which defective image."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from realnet_edge.errors import DataError
from realnet_edge.imaging import IMAGE_SUFFIXES

# Lossless formats only: JPEG leaves values of 1 to 10 around an edge, and any value above 0 is defect.
MASK_SUFFIXES = (".png", ".bmp", ".tif", ".tiff")
_NAMING = (
    f"A mask is called <name>_mask or <name> after its image, lies in the folder of its kind and ends in "
    f"{', '.join(MASK_SUFFIXES)} (JPEG blurs the edges)."
)
_LISTED = 20


def find_masks(kinds: Mapping[str, Sequence[Path]], masks: Path, flat: str) -> dict[Path, Path]:
    """Match masks to defects by name: `<name>_mask.png` or `<name>.png` in the folder of their kind.

    Args:
        kinds: the defective images of each kind.
        masks: the folder of masks, with a subfolder a kind.
        flat: the kind whose masks may also lie in `masks` itself.

    Returns:
        The mask of every defect, or nothing at all where there are no masks.

    Raises:
        DataError: some defects have a mask and others none, a mask belongs to no image or to two,
            or an image has two.
    """
    found: dict[Path, Path] = {}
    missing: list[Path] = []
    for kind, images in kinds.items():
        folders = [masks / kind, masks] if kind == flat else [masks / kind]
        for image in images:
            matches = _matches(folders, image.stem)
            if len(matches) > 1:
                raise DataError(f"{image} has several masks: {', '.join(map(str, matches))}. Keep one.")
            if matches:
                found[image] = matches[0]
            else:
                missing.append(image)
    _refuse_orphans(masks, set(found.values()))
    _refuse_shared(found)
    if found and missing:
        raise DataError(
            f"{len(missing)} of {len(missing) + len(found)} defects have no mask in {masks}: "
            f"{_some(missing)}. "
            f"{_NAMING} Add those, or move all masks away to measure whole images only."
        )
    return found


def _matches(folders: Sequence[Path], stem: str) -> list[Path]:
    names = [stem + ending + suffix for ending in ("_mask", "") for suffix in MASK_SUFFIXES]
    return [folder / name for folder in folders for name in names if (folder / name).is_file()]


def _refuse_orphans(masks: Path, used: set[Path]) -> None:
    """Masks that no image claims mean a wrong name, which would pass for a defect without a mask."""
    if not masks.is_dir():
        return
    # Some collections keep empty masks of good images too; those say nothing.
    folders = [masks, *(path for path in masks.iterdir() if path.is_dir() and path.name != "good")]
    images = (p for folder in folders for p in folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES)
    orphans = sorted(path for path in images if path not in used and not path.name.startswith("."))
    if orphans:
        raise DataError(
            f"{len(orphans)} files in {masks} match no defective image: {_some(orphans)}. {_NAMING}"
        )


def _refuse_shared(found: Mapping[Path, Path]) -> None:
    owner: dict[Path, Path] = {}
    for image, mask in found.items():
        other = owner.setdefault(mask, image)
        if other != image:
            raise DataError(f"{mask} would be the mask of both {other} and {image}: rename one image.")


def _some(paths: Iterable[Path]) -> str:
    names = [f"{path.parent.name}/{path.name}" for path in paths]
    return ", ".join(names[:_LISTED]) + (f" and {len(names) - _LISTED} more" if len(names) > _LISTED else "")
