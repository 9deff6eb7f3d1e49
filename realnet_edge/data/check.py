"""Decode every file before work starts: one error that names all bad images, not one crash each."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from realnet_edge.errors import DataError
from realnet_edge.imaging import decode_image, image_mode

# Decoding leaves Python, so threads help; a few are enough to keep a disk busy.
_MAX_THREADS = 4
_LISTED = 20


@dataclass(frozen=True)
class ImageFacts:
    """What decoding one file showed.

    Attributes:
        path: the file.
        size: (height, width) upright; (0, 0) where it cannot be decoded.
        mode: Pillow's name for the stored pixels, such as "L", "RGB" or "I;16".
        brightest: largest value of the decoded 8-bit image.
        sha256: of the file's bytes; empty where it cannot be read.
        problem: why it cannot be used, or None.
    """

    path: Path
    size: tuple[int, int]
    mode: str
    brightest: int
    sha256: str
    problem: str | None


def check_images(paths: Sequence[Path], minimum: int, purpose: str) -> None:
    """Decode every file and count them.

    Args:
        paths: image files.
        minimum: how many good files are needed.
        purpose: what they are for, as it reads after "needs at least N images": "to train screw".

    Raises:
        DataError: some files cannot be decoded (all are listed), or too few are left.
    """
    facts = inspect_images(paths)
    problems = [fact.problem for fact in facts if fact.problem is not None]
    usable = len(facts) - len(problems)
    messages = []
    if problems:
        messages.append(f"{len(problems)} of {len(facts)} images cannot be used:\n" + list_some(problems))
    if usable < minimum:
        where = ", ".join(sorted({str(path.parent) for path in paths})) or "no folder"
        messages.append(f"at least {minimum} usable images are needed {purpose}; found {usable} in {where}.")
    if messages:
        raise DataError("\n".join(messages))


def inspect_images(paths: Sequence[Path]) -> list[ImageFacts]:
    """Read, hash and decode files, a few at a time, in the order given. Nothing is raised."""
    with ThreadPoolExecutor(min(_MAX_THREADS, os.cpu_count() or 1)) as pool:
        return list(pool.map(_inspect, paths))


def duplicates(facts: Iterable[ImageFacts]) -> list[tuple[Path, ...]]:
    """Groups of files with the same bytes, each of two or more, in order of their first file.

    A group across training and test images is a leak: it makes the test look easier than it is.
    """
    groups: dict[str, list[Path]] = {}
    for fact in facts:
        if fact.sha256:
            groups.setdefault(fact.sha256, []).append(fact.path)
    return [tuple(group) for group in groups.values() if len(group) > 1]


def list_some(lines: Sequence[str]) -> str:
    """Indented lines, at most twenty, with the count of the rest."""
    rest = [f"and {len(lines) - _LISTED} more"] if len(lines) > _LISTED else []
    return "\n".join(f"  {line}" for line in [*lines[:_LISTED], *rest])


def _inspect(path: Path) -> ImageFacts:
    digest, mode = "", ""
    try:
        data = path.read_bytes()
        digest, mode = sha256(data).hexdigest(), image_mode(data)
        image = decode_image(data, str(path))
    except OSError as error:
        return ImageFacts(path, (0, 0), mode, 0, digest, f"{path}: cannot be read ({error.strerror}).")
    except DataError as error:
        return ImageFacts(path, (0, 0), mode, 0, digest, str(error))
    height, width = image.shape[:2]
    return ImageFacts(path, (height, width), mode, int(image.max()), digest, None)
