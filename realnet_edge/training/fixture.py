"""How parts are found and framed, taken from the training images; see `realnet_edge.model.alignment`."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from realnet_edge.config.architecture import MAX_CELLS, cell_size
from realnet_edge.errors import DataError
from realnet_edge.imaging import load_batch
from realnet_edge.model.alignment import FADE, PartAlignment, Pose
from realnet_edge.synthesis import View

# Less than that and the main axis lies where noise puts it.
MIN_ELONGATION = 1.3
# Less than that and which end is which is up to noise.
MIN_SKEWNESS = 0.03
# Percent of good images that may be odd: a shadow in a corner must not set the frame for all.
_ODD = 2.0
# Percent of good images in which no part may be found.
_MAX_EMPTY = 5.0
# Room around the part within the strip, a share of its length at each end: it shows where the part ends.
_MARGIN = 0.02
_LEVELS = 256
# Images in memory at once while parts are measured.
_AT_ONCE = 16


@dataclass(frozen=True)
class Extent:
    """What the parts of many images cover around their centres, in pixels of the image.

    Attributes:
        images: how many were looked at.
        empty: in how many nothing stands out from the background; they count for nothing else.
        along: smallest and largest coordinate along the main axis, but for odd images.
        across: the same at right angles to it.
        elongation: of the least elongated part but for odd ones, as `Pose.elongation`.
        skewness: the same of `Pose.skewness`.
        border: share of the images' outermost cells that belongs to parts, in [0, 1].
        spread: standard deviation of the parts' areas over their mean.
        turned: circular standard deviation of the axes, whichever end points ahead, in degrees.
    """

    images: int
    empty: int
    along: tuple[float, float]
    across: tuple[float, float]
    elongation: float
    skewness: float
    border: float
    spread: float
    turned: float

    @property
    def size(self) -> tuple[float, float]:
        """(height, width) of the upright rectangle that holds the aligned parts."""
        return self.across[1] - self.across[0], self.along[1] - self.along[0]

    def objection(self) -> str | None:
        """Why such parts cannot be aligned, in words; None where they can."""
        if self.empty * 100 > _MAX_EMPTY * self.images:
            return f"nothing stands out from the background in {self.empty} of {self.images} good images"
        if self.elongation < MIN_ELONGATION:
            return (
                f"they have no main axis at {self.elongation:.2f} times as long as wide; "
                f"{MIN_ELONGATION} are needed"
            )
        return None

    def refuse_unalignable(self) -> None:
        """Raise a DataError where there is an `objection`."""
        if (objection := self.objection()) is not None:
            raise DataError(
                f"parts cannot be aligned: {objection}. Give --align off; --rotate 180 helps where parts lie "
                "in any direction."
            )

    @property
    def two_ended(self) -> bool:
        """Whether the ends differ enough to tell which is which."""
        return self.skewness >= MIN_SKEWNESS


def fitted_view(alignment: PartAlignment, paths: Sequence[Path]) -> tuple[View, str]:
    """What the network sees of an image whose part is aligned, and how parts were found, in a line.

    Args:
        alignment: fitted here, in place, and kept by the view: on the CPU, where images are loaded.
        paths: good images.

    Raises:
        DataError: images that cannot be decoded, or parts that cannot be aligned.
    """
    starts = range(0, len(paths), _AT_ONCE)
    extent = fit_alignment(alignment, (load_batch(paths[i : i + _AT_ONCE], alignment.size) for i in starts))
    return View(alignment.size, partial(strip_of, alignment)), describe(extent, alignment)


def fit_alignment(alignment: PartAlignment, parts: Iterable[npt.NDArray[np.uint8]]) -> Extent:
    """Set `contrast` and `frame` by training images, in place.

    Contrast is Otsu's threshold over the differences from the background of all images' cells; the frame
    holds the parts of all but odd images, with some room around them.

    Args:
        alignment: its sizes given.
        parts: uint8 (N, H, W, 3) good images of its size, some at a time.

    Raises:
        DataError: nothing stands out from the background, or parts have no main axis.
    """
    extent = measure_parts(alignment, parts)
    extent.refuse_unalignable()
    scale = 1 / enlargement(extent.size, alignment.strip)
    middles = [(low + high) / 2 for low, high in (extent.along, extent.across)]
    alignment.frame.copy_(torch.tensor([scale, *middles]))
    return extent


def measure_parts(alignment: PartAlignment, parts: Iterable[npt.NDArray[np.uint8]]) -> Extent:
    """Set `contrast` by images of good parts, and measure these; arguments as `fit_alignment` has them."""
    differences = torch.cat([alignment.differences(torch.from_numpy(part)) for part in parts])
    alignment.contrast.copy_(_otsu(differences))
    found = differences > alignment.contrast
    seen = found.flatten(1).any(dim=1)
    pose = alignment.pose_of(differences)
    if not seen.any():
        return Extent(len(found), len(found), (0.0, 0.0), (0.0, 0.0), 1.0, 0.0, 0.0, 0.0, 0.0)
    images, found, pose = len(found), found[seen], Pose(*(values[seen] for values in pose))
    along, across = _extents(alignment, found, pose)
    border = torch.cat([found[:, 0], found[:, -1], found[:, :, 0], found[:, :, -1]], dim=1)
    area = found.float().sum((1, 2))
    # Axes have no direction: doubled, their angles are those of directions.
    double = torch.stack([pose.axis[:, 0] ** 2 - pose.axis[:, 1] ** 2, 2 * pose.axis.prod(dim=1)])
    agreement = min(1.0, max(1e-6, float(double.mean(dim=1).square().sum().sqrt())))
    return Extent(
        images=images,
        empty=int((~seen).sum()),
        along=along,
        across=across,
        elongation=float(np.percentile(pose.elongation.numpy(), _ODD)),
        skewness=float(np.percentile(pose.skewness.numpy(), _ODD)),
        border=float(border.float().mean()),
        spread=float(area.std(correction=0) / area.mean()),
        turned=math.degrees(math.sqrt(-2 * math.log(agreement)) / 2),
    )


def strip_size(part: tuple[float, float], side: int, multiple: int) -> tuple[int, int]:
    """The strip that shows a part largest at no more than the cost of a square image.

    Of strips that show it equally large the smallest.

    Args:
        part: its height and width when aligned, in any unit.
        side: of the square in pixels.
        multiple: what both lengths of the strip have to be multiples of; at most `side`.
    """
    lengths = range(multiple, side**2 // multiple + 1, multiple)
    fitting = [(h, w) for h in lengths for w in range(multiple, side**2 // h + 1, multiple)]
    return max(fitting, key=lambda strip: (_fit(part, strip), -math.prod(strip)))


def source_size(
    extent: Extent, seen: tuple[int, int], strip: tuple[int, int], native: tuple[int, int]
) -> tuple[int, int]:
    """The size of images that gives strips all the detail they can show, and hardly more than cameras gave.

    Args:
        extent: of parts in images of the size `seen`, (height, width).
        strip: height and width.
        native: median height and width of the image files.

    Returns:
        Height and width, as `ModelConfig.align_from` takes them, in proportion as near to `native` as whole
        cells allow.
    """
    enlarged = _fit(extent.size, strip)
    longest = min(max(native), enlarged * max(native) * max(s / n for s, n in zip(seen, native, strict=True)))
    longer = MAX_CELLS * max(1, math.ceil(longest / MAX_CELLS))
    cell = cell_size((longer, longer))
    least = math.ceil(16 / cell)
    height, width = (cell * max(least, round(longer * n / max(native) / cell)) for n in native)
    return height, width


def strip_of(alignment: PartAlignment, image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """The strip (h, w, 3) uint8 of an image (H, W, 3) uint8, in whole grey levels."""
    one = torch.from_numpy(image)[None]
    strip = alignment(one, alignment.pose(one))[0]
    return np.asarray(strip.round().clamp(0, 255).to(torch.uint8).numpy())


def describe(extent: Extent, alignment: PartAlignment) -> str:
    """How parts were found and what they are shown as, in a line."""
    (height, width), (tall, long) = alignment.strip, extent.size
    scale = float(alignment.frame[0])
    shown = f"{1 / scale:.2f} times enlarged" if scale <= 1 else f"{scale:.2f} times shrunk"
    either = "" if extent.two_ended else "; both ends look alike, so a part may lie either way round"
    return (
        f"parts of up to {long:.0f} x {tall:.0f} pixels in an input of {alignment.size[1]} x "
        f"{alignment.size[0]}, at least {extent.elongation:.1f} times as long as wide, {shown} in strips of "
        f"{width} x {height}{either}"
    )


def enlargement(part: tuple[float, float], strip: tuple[int, int]) -> float:
    """How many times as large a strip shows a part whose height and width are given, with room around it."""
    # At its ends a strip's map fades.
    return _fit(part, (strip[0] - 2 * FADE, strip[1] - 2 * FADE)) * (1 - 2 * _MARGIN)


def _fit(part: tuple[float, float], strip: tuple[float, float]) -> float:
    return min(strip[0] / part[0], strip[1] / part[1])


def _otsu(differences: Tensor) -> Tensor:
    """The threshold between two classes of values that explains most of their variance (Otsu 1979)."""
    top = max(float(differences.max()), 1e-6)
    counts = torch.histc(differences, _LEVELS, 0.0, top).double()
    edges = torch.linspace(0.0, top, _LEVELS + 1, dtype=torch.float64)
    below, sums = counts.cumsum(0), (counts * (edges[1:] + edges[:-1]) / 2).cumsum(0)
    above = counts.sum() - below
    gap = sums / below.clamp_min(1) - (sums[-1] - sums) / above.clamp_min(1)
    return edges[1 + int((below * above * gap.square())[:-1].argmax())].float()


def _extents(
    alignment: PartAlignment, found: Tensor, pose: Pose
) -> tuple[tuple[float, float], tuple[float, float]]:
    """From where to where parts reach, along and across, but for odd images."""
    half = alignment.cell / 2
    x, y = (places * half for places in alignment.cell_places())
    x, y = x[None, None, :] - pose.centre[:, 0, None, None], y[None, :, None] - pose.centre[:, 1, None, None]
    cosine, sine = pose.axis[:, 0, None, None], pose.axis[:, 1, None, None]
    reaches = []
    for coordinate in (x * cosine + y * sine, y * cosine - x * sine):
        low = coordinate.masked_fill(~found, math.inf).amin((1, 2)).numpy() - half
        high = coordinate.masked_fill(~found, -math.inf).amax((1, 2)).numpy() + half
        reaches.append((float(np.percentile(low, _ODD)), float(np.percentile(high, 100 - _ODD))))
    return reaches[0], reaches[1]
