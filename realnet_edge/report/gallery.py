"""The images worth a look: false alarms, misses, the clearest finds and the largest drift."""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from realnet_edge.imaging import load_image, preprocess
from realnet_edge.report import text
from realnet_edge.report.compare import map_differences
from realnet_edge.report.evaluation import Evaluation
from realnet_edge.report.overlay import overlay

LARGEST_SIDE = 256
_QUALITY = 80


@dataclass(frozen=True)
class Picture:
    """One test image with what the engine made of it.

    Attributes:
        name: Name of the image file; not trusted.
        facts: What a caption says, a phrase each.
        wrong: The decision is wrong.
        views: WebP pictures, each with its short title and a description for those who cannot see it.
    """

    name: str
    facts: tuple[str, ...]
    wrong: bool
    views: tuple[tuple[str, str, bytes], ...]


@dataclass(frozen=True)
class Section:
    """Pictures of one kind, with a heading and a sentence that says what was chosen."""

    title: str
    note: str
    pictures: tuple[Picture, ...]


def gallery(evaluation: Evaluation, reference: Evaluation | None, count: int = 6) -> list[Section]:
    """The sections that this evaluation has images for.

    Args:
        evaluation: The engine that is shown.
        reference: FP32 PyTorch's answers on the same images, or None: then drift is not shown.
        count: Most pictures a section, at least 1.

    Raises:
        DataError: an image file is gone or cannot be decoded, or the reference saw other images.
    """
    good = np.flatnonzero(~evaluation.is_defect)
    defect = np.flatnonzero(evaluation.is_defect)
    # Stable sorts on (score, position): the same answers give the same report.
    best_first = defect[np.argsort(-evaluation.scores[defect], kind="stable")]
    worst_good = good[np.argsort(-evaluation.scores[good], kind="stable")]
    sections = []
    if len(defect):
        misses = best_first[::-1][:count]
        sections.append(_section(evaluation, "Lowest-scored defects", _misses_note(evaluation), misses))
    if len(good):
        sections.append(
            _section(evaluation, "Highest-scored good images", _alarms_note(evaluation), worst_good[:count])
        )
    if reference is not None and reference is not evaluation:
        sections.append(_drift_section(evaluation, reference, count))
    if len(defect) > 2 * count:
        note = "The defects with the highest scores: what a good find looks like."
        sections.append(_section(evaluation, "Clearest finds", note, best_first[:count]))
    return sections


def webp(image: npt.NDArray[np.uint8]) -> bytes:
    """(H, W, 3) uint8 RGB as WebP bytes."""
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "WEBP", quality=_QUALITY, method=4)
    return stream.getvalue()


def _misses_note(evaluation: Evaluation) -> str:
    called = evaluation.called_defect
    if called is None:
        return "The hardest defects. Without a threshold none of them is decided."
    total = int(evaluation.is_defect.sum())
    return f"The hardest defects. {int((~called & evaluation.is_defect).sum())} of {total} are missed."


def _alarms_note(evaluation: Evaluation) -> str:
    called = evaluation.called_defect
    if called is None:
        return "The good images that look worst to the engine. Without a threshold none is decided."
    alarms = int((called & ~evaluation.is_defect).sum())
    total = int((~evaluation.is_defect).sum())
    return f"The good images that look worst to the engine. {alarms} of {total} are false alarms."


def _section(evaluation: Evaluation, title: str, note: str, indices: Iterable[np.intp]) -> Section:
    return Section(title, note, tuple(_picture(evaluation, int(index)) for index in indices))


def _drift_section(evaluation: Evaluation, reference: Evaluation, count: int) -> Section:
    differences = map_differences(reference, evaluation)
    order = np.argsort(-differences, kind="stable")[:count]
    pictures = tuple(_picture(evaluation, int(i), reference, float(differences[i])) for i in order)
    note = (
        "The images on which the engine's anomaly map departs most from FP32 PyTorch's, at its worst pixel."
    )
    return Section("Largest drift", note, pictures)


def _picture(
    evaluation: Evaluation, index: int, reference: Evaluation | None = None, difference: float | None = None
) -> Picture:
    name = evaluation.names[index]
    image = _shrink(load_image(evaluation.paths[index]))
    views = [("image", f"Test image {name}", webp(image)), _map_view(evaluation, index, image)]
    if reference is not None:
        views.append(_map_view(reference, index, image))
    wrong, decision = _decision(evaluation, index)
    facts = [f"score {text.small(float(evaluation.scores[index]))}"]
    if evaluation.row.threshold is not None:
        facts.append(f"threshold {text.small(evaluation.row.threshold)}")
    if reference is not None and difference is not None:
        facts.insert(1, f"{text.small(float(reference.scores[index]))} with FP32 PyTorch")
        facts.append(f"map difference {text.small(difference)}")
    return Picture(name, (decision, *facts), wrong, tuple(views))


def _map_view(evaluation: Evaluation, index: int, image: npt.NDArray[np.uint8]) -> tuple[str, str, bytes]:
    masks = evaluation.masks
    mask = masks[index] if masks is not None and masks[index].any() else None
    drawn = overlay(image, evaluation.maps[index], mask=mask)
    outline = "; the white line is the marked defect" if mask is not None else ""
    row, name = evaluation.row, evaluation.names[index]
    peak = text.small(float(evaluation.maps[index].max()))
    description = f"Anomaly map of {row.label} over {name}, highest value {peak}{outline}"
    return row.label, description, webp(drawn)


def _decision(evaluation: Evaluation, index: int) -> tuple[bool, str]:
    defect = bool(evaluation.is_defect[index])
    called = evaluation.called_defect
    if called is None:
        return False, "defect" if defect else "good"
    if bool(called[index]) == defect:
        return False, "defect, found" if defect else "good, passed"
    return True, "missed defect" if defect else "false alarm"


def _shrink(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    height, width = image.shape[:2]
    scale = min(1.0, LARGEST_SIDE / max(height, width))
    return preprocess(image, (max(1, round(height * scale)), max(1, round(width * scale))))
