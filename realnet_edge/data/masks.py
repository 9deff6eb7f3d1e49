"""Which ground-truth mask belongs to which defective image."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from realnet_edge.errors import DataError
from realnet_edge.imaging import IMAGE_SUFFIXES

# Lossless formats only: JPEG leaves values of 1 to 10 around an edge, and any value above 0 is defect.
MASK_SUFFIXES = (".png", ".bmp", ".tif", ".tiff")
_NAMING = (
    f"A mask is called <name>_mask or <name> after its image, lies in the folder of its kind and ends in "
    f"{', '.join(MASK_SUFFIXES)} (JPEG blurs the edges)."
)
# Folders of good images' masks.
_GOOD = ("good", "ok")
_LISTED = 20


@dataclass(frozen=True)
class MaskMatches:
    """What belongs together, and what is left over on either side.

    Attributes:
        folder: the folder of masks.
        found: the mask of each defect that has one.
        missing: defects without a mask.
        orphans: masks that match no defective image.
    """

    folder: Path
    found: Mapping[Path, Path]
    missing: tuple[Path, ...]
    orphans: tuple[Path, ...]

    def refuse_gaps(self) -> None:
        """In a folder that somebody made, a left-over means a wrong name.

        Raises:
            DataError: some defects have a mask and others none, or a mask belongs to no image.
        """
        if self.orphans:
            raise DataError(f"{self._orphans()} {_NAMING}")
        if self.found and self.missing:
            raise DataError(
                f"{self._missing()} {_NAMING} Add those, or move all masks away to measure whole images only."
            )

    def gaps(self) -> list[str]:
        """In a copy of a published data set, a left-over means that files are missing: a sentence each."""
        said = []
        if self.orphans:
            said.append(f"{self._orphans()} Those images are missing.")
        if self.missing:
            said.append(f"{self._missing()} Without them pixel metrics cannot be measured.")
        return said

    def _orphans(self) -> str:
        return f"{len(self.orphans)} files in {self.folder} match no defective image: {_some(self.orphans)}."

    def _missing(self) -> str:
        total = len(self.missing) + len(self.found)
        return f"{len(self.missing)} of {total} defects have no mask in {self.folder}: {_some(self.missing)}."


def match_masks(kinds: Mapping[str, Sequence[Path]], masks: Path, flat: str) -> MaskMatches:
    """Match masks to defects by name: `<name>_mask.png` or `<name>.png` in the folder of their kind.

    Args:
        kinds: the defective images of each kind.
        masks: the folder of masks, with a subfolder a kind.
        flat: the kind whose masks may also lie in `masks` itself.

    Raises:
        DataError: an image has two masks, or a mask two images.
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
    _refuse_shared(found)
    return MaskMatches(masks, found, tuple(missing), _orphans(masks, set(found.values())))


def _matches(folders: Sequence[Path], stem: str) -> list[Path]:
    names = [stem + ending + suffix for ending in ("_mask", "") for suffix in MASK_SUFFIXES]
    return [folder / name for folder in folders for name in names if (folder / name).is_file()]


def _orphans(masks: Path, used: set[Path]) -> tuple[Path, ...]:
    """Masks that no image claims: one with a wrong name would pass for a defect without a mask."""
    if not masks.is_dir():
        return ()
    # Some collections keep empty masks of good images too; those say nothing.
    folders = [masks, *(path for path in masks.iterdir() if path.is_dir() and path.name not in _GOOD)]
    images = (p for folder in folders for p in folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES)
    return tuple(sorted(path for path in images if path not in used and not path.name.startswith(".")))


def _refuse_shared(found: Mapping[Path, Path]) -> None:
    owner: dict[Path, Path] = {}
    for image, mask in found.items():
        other = owner.setdefault(mask, image)
        if other != image:
            raise DataError(f"{mask} would be the mask of both {other} and {image}: rename one image.")


def _some(paths: Iterable[Path]) -> str:
    names = [f"{path.parent.name}/{path.name}" for path in paths]
    return ", ".join(names[:_LISTED]) + (f" and {len(names) - _LISTED} more" if len(names) > _LISTED else "")
