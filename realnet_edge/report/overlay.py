"""Anomaly maps over images: what a person looks at to believe or doubt a score.

A map is always drawn on the fixed scale [0, 1]. Stretching each picture to its own range would
paint the noise of a good part as red as a real defect.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from realnet_edge.errors import DataError

UInt8Image = npt.NDArray[np.uint8]

# Share of the heat colour where the map is high; the rest is the image, so the defect stays visible.
MAX_OPACITY = 0.75
# The share rises in proportion to the map up to here: a score of 0.2 may be a decision, and must be seen.
FULL_AT = 0.5
_CONTOUR = (255, 255, 255)
_CONTOUR_EDGE = (0, 0, 0)
_DEFECT_STRIP = (158, 27, 27)
_GOOD_STRIP = (27, 94, 46)
_NEUTRAL_STRIP = (38, 42, 48)
_TEXT = (255, 255, 255)
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_MARGIN = 4


def overlay(
    image: UInt8Image,
    anomaly_map: npt.NDArray[np.floating],
    label: str | None = None,
    threshold: float | None = None,
    mask: npt.NDArray[np.bool_] | None = None,
    score: float | None = None,
) -> UInt8Image:
    """Draw an anomaly map over its image.

    The heat colour is mixed in proportion to the map (none at 0, `MAX_OPACITY` from `FULL_AT` on),
    so a map of zeros leaves the image as it is. The ground truth, if given, is outlined in white
    with a dark edge.
    With a label, a score or a threshold a caption strip is added below the picture; it is red when
    the score is above the threshold, green when not, grey when there is no verdict.

    Args:
        image: (H, W, 3) uint8 RGB, any size.
        anomaly_map: (h, w) float in [0, 1]; resized bilinearly to the image. Values outside are cut.
        label: Words for the caption, such as the file's name.
        threshold: Image score above which the verdict is a defect.
        mask: (m, n) bool ground truth; resized (nearest) to the image.
        score: The image score.

    Returns:
        (H + strip, W, 3) uint8 RGB; strip is 0 without a caption.

    Raises:
        DataError: an array of another shape or type, or a map that is not finite.
    """
    _check(image, anomaly_map, mask)
    height, width = image.shape[:2]
    heat = _resize_map(anomaly_map, (height, width))
    picture = _blend(image, heat)
    if mask is not None:
        picture = draw_contour(picture, mask)
    if label is None and score is None and threshold is None:
        return picture
    return np.vstack([picture, _caption(width, label, score, threshold)])


def draw_contour(image: UInt8Image, mask: npt.NDArray[np.bool_]) -> UInt8Image:
    """A copy of `image` with a line just outside `mask`, readable on light and dark ground."""
    height, width = image.shape[:2]
    # Shrinking must not lose a defect of few pixels; growing must not draw stairs.
    grows = height * width >= mask.size
    method, level = (cv2.INTER_LINEAR, 0.5) if grows else (cv2.INTER_AREA, 1e-6)
    resized = cv2.resize(mask.astype(np.float32), (width, height), interpolation=method)
    region = (resized >= level).astype(np.uint8)
    line = max(1, round(min(height, width) / 256))
    # Rings outside the region: what the line surrounds stays visible, however small it is.
    inner, white, outer = (_grow(region, line * steps) for steps in (1, 2, 3))
    drawn: UInt8Image = image.copy()
    drawn[outer > inner] = _CONTOUR_EDGE
    drawn[white > inner] = _CONTOUR
    return drawn


def _grow(region: UInt8Image, by: int) -> UInt8Image:
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * by + 1, 2 * by + 1))
    return np.asarray(cv2.dilate(region, disc), dtype=np.uint8)


def heat_colours(values: npt.NDArray[np.floating]) -> UInt8Image:
    """(H, W) float in [0, 1] to (H, W, 3) uint8 RGB on the inferno map, whose lightness only rises."""
    levels = np.rint(np.clip(values, 0.0, 1.0) * 255.0).astype(np.uint8)
    coloured = cv2.applyColorMap(levels, cv2.COLORMAP_INFERNO)
    return np.ascontiguousarray(coloured[:, :, ::-1])


def heat_legend(width: int = 256, height: int = 24) -> UInt8Image:
    """The colour scale from 0 (left) to 1 (right), with both ends and the middle named below.

    Args:
        width: Pixels, at least 64.
        height: Pixels of the colour bar alone, at least 4.

    Returns:
        (height + text, width, 3) uint8 RGB.

    Raises:
        DataError: too small to be read.
    """
    if width < 64 or height < 4:
        raise DataError(f"a legend of {width} x {height} pixels cannot be read; give at least 64 x 4.")
    ramp = np.tile(np.linspace(0.0, 1.0, width, dtype=np.float32), (height, 1))
    text = np.full((14, width, 3), _NEUTRAL_STRIP, dtype=np.uint8)
    for words, share in (("0", 0.0), ("0.5", 0.5), ("1", 1.0)):
        (length, _), _ = cv2.getTextSize(words, _FONT, 0.35, 1)
        x = round((width - length - 2 * _MARGIN) * share) + _MARGIN
        cv2.putText(text, words, (x, 11), _FONT, 0.35, _TEXT, 1, cv2.LINE_AA)
    return np.vstack([heat_colours(ramp), text])


def _check(
    image: UInt8Image, anomaly_map: npt.NDArray[np.floating], mask: npt.NDArray[np.bool_] | None
) -> None:
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or not image.size:
        raise DataError(f"expected an (H, W, 3) uint8 RGB image, got {image.shape} {image.dtype}.")
    if anomaly_map.ndim != 2 or not anomaly_map.size or not np.issubdtype(anomaly_map.dtype, np.floating):
        raise DataError(f"expected an (h, w) float map, got {anomaly_map.shape} {anomaly_map.dtype}.")
    if not np.isfinite(anomaly_map).all():
        raise DataError("the anomaly map holds values that are not finite; the engine's output is broken.")
    if mask is not None and (mask.ndim != 2 or not mask.size or mask.dtype != np.bool_):
        raise DataError(f"expected an (m, n) bool mask, got {mask.shape} {mask.dtype}.")


def _resize_map(anomaly_map: npt.NDArray[np.floating], size: tuple[int, int]) -> npt.NDArray[np.float32]:
    values = np.clip(anomaly_map.astype(np.float32), 0.0, 1.0)
    if values.shape == size:
        return values
    return np.asarray(
        cv2.resize(values, (size[1], size[0]), interpolation=cv2.INTER_LINEAR), dtype=np.float32
    )


def _blend(image: UInt8Image, heat: npt.NDArray[np.float32]) -> UInt8Image:
    share = (np.minimum(heat / FULL_AT, 1.0) * MAX_OPACITY)[:, :, None]
    mixed = image.astype(np.float32) * (1.0 - share) + heat_colours(heat).astype(np.float32) * share
    return np.asarray(np.rint(mixed), dtype=np.uint8)


def _caption(width: int, label: str | None, score: float | None, threshold: float | None) -> UInt8Image:
    """Strip of one or two lines, never wider than the picture: words shrink, then are cut."""
    colour = _NEUTRAL_STRIP
    lines = [] if label is None else [label]
    figures = [] if score is None else [f"score {score:.3f}"]
    if threshold is not None:
        figures.append(f"threshold {threshold:.3f}")
    if score is not None and threshold is not None:
        defect = score > threshold
        colour = _DEFECT_STRIP if defect else _GOOD_STRIP
        figures[:] = [
            f"{'DEFECT' if defect else 'good'}  {score:.3f} {'>' if defect else '<='} {threshold:.3f}"
        ]
    if figures:
        lines.append("  ".join(figures))
    scale = float(np.clip(width / 512, 0.4, 1.2))
    step = round(26 * scale) + _MARGIN
    strip = np.full((step * len(lines) + _MARGIN, width, 3), colour, dtype=np.uint8)
    thickness = 1 if scale < 0.9 else 2
    for number, words in enumerate(lines, start=1):
        shown, size = _fit(words, width - 2 * _MARGIN, scale, thickness)
        cv2.putText(
            strip, shown, (_MARGIN, step * number - _MARGIN), _FONT, size, _TEXT, thickness, cv2.LINE_AA
        )
    return strip


def _fit(words: str, width: int, scale: float, thickness: int) -> tuple[str, float]:
    """Words and font scale that stay within `width` pixels."""
    # The built-in font knows ASCII alone; other letters would be drawn as runs of question marks.
    shown = words.encode("ascii", "replace").decode()
    for size in (scale, scale * 0.85, scale * 0.7):
        if cv2.getTextSize(shown, _FONT, size, thickness)[0][0] <= width:
            return shown, size
    size = scale * 0.7
    while shown and cv2.getTextSize(f"{shown}..", _FONT, size, thickness)[0][0] > width:
        shown = shown[:-1]
    return f"{shown}.." if shown else "", size
