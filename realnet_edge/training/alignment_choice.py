"""Whether parts are aligned, and in which strip of which image size, where that is left to the images.

The rule by which the preset `edge` aligns parts, looked at in up to 64 images. All of it must hold:

- in each something stands out from the background;
- it stands free: at most 5% of the images' outermost cells belong to it;
- it covers about as much of every image: the deviation of its area is at most a quarter of the mean;
- it is 1.5 times as long as wide or longer, but for 2% of the images;
- there is something to gain: parts are turned by 5 degrees or more (standard deviation), or a strip at the
  cost of the image size shows them 1.25 times enlarged or more.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from realnet_edge.config import ModelConfig
from realnet_edge.config.architecture import MAX_CELLS
from realnet_edge.errors import DataError
from realnet_edge.imaging import evenly_spread, load_image, preprocess
from realnet_edge.model.alignment import PartAlignment
from realnet_edge.tile_advice import FAR_SHRUNK, MOST_TILES, SHRUNK, VISIBLE
from realnet_edge.training.fixture import Extent, enlargement, measure_parts, source_size, strip_size

MAX_BORDER = 0.05
MAX_SPREAD = 0.25
SAFE_ELONGATION = 1.5
TURNED = 5.0
ENLARGED = 1.25
# Degrees; axes that deviate more prefer no direction.
_ANY = 40.0
# Enough to know how large parts are and how they lie.
_SAMPLE = 64
_LONGEST = 256


@dataclass(frozen=True)
class Look:
    """What some of the good images show.

    Attributes:
        extent: of the parts, in images of `seen`.
        seen: height and width that images were brought to, in their own proportion.
        native: median height and width of the files, in pixels.
    """

    extent: Extent
    seen: tuple[int, int]
    native: tuple[int, int]


def look(paths: Sequence[Path]) -> Look:
    """Look for parts in up to 64 images, evenly spaced.

    Raises:
        DataError: none of them can be decoded.
    """
    sizes: list[tuple[int, int]] = []
    images: list[npt.NDArray[np.uint8]] = []
    for index in evenly_spread(len(paths), _SAMPLE):
        # The check of all images names those that cannot be decoded.
        with suppress(DataError):
            image = load_image(paths[index])
            sizes.append((image.shape[0], image.shape[1]))
            # Made small at once: 64 images of a camera would fill the memory.
            images.append(preprocess(image, _small(sizes[-1])))
    if not images:
        raise DataError(f"none of {len(paths)} good images could be decoded, so parts cannot be aligned.")
    height, width = (int(np.median([size[axis] for size in sizes])) for axis in (0, 1))
    seen = _small((height, width))
    extent = measure_parts(PartAlignment(seen, seen), [preprocess(image, seen)[None] for image in images])
    return Look(extent, seen, (height, width))


def _small(size: tuple[int, int]) -> tuple[int, int]:
    """A size of the same proportion, as nearly as whole cells allow, in which parts can be told."""
    cell = _LONGEST // MAX_CELLS
    height, width = (cell * max(8, round(MAX_CELLS * length / max(size))) for length in size)
    return height, width


def aligned(model: ModelConfig, found: Look, strip: tuple[int, int] | None = None) -> ModelConfig:
    """A model that sees aligned parts instead of whole images.

    Args:
        model: its `image_size` says what the network may cost: the strip covers no more pixels than a square
            of that size.
        found: in the good images.
        strip: height and width in pixels of the strip, where they are given.

    Raises:
        ConfigError: sizes that the network cannot take.
        DataError: such parts cannot be aligned.
    """
    found.extent.refuse_unalignable()
    if strip is None:
        strip = strip_size(found.extent.size, model.image_size, model.size_multiple)
    # Its lengths are checked before anything follows from them.
    checked = dataclasses.replace(model, align=strip, align_from=found.seen)
    source = source_size(found.extent, found.seen, strip, found.native)
    return dataclasses.replace(checked, align_from=source)


def reason_against(model: ModelConfig, found: Look) -> str | None:
    """Why parts are not aligned by this module's rule, in words; None where they are."""
    extent = found.extent
    if (objection := extent.objection()) is not None:
        return objection
    if extent.empty:
        return f"nothing stands out from the background in {extent.empty} of {extent.images} good images"
    if extent.border > MAX_BORDER:
        return f"they do not stand free: {extent.border:.0%} of the images' border belongs to them"
    if extent.spread > MAX_SPREAD:
        return f"they cover now more, now less of the image: their area varies by {extent.spread:.0%}"
    if extent.elongation < SAFE_ELONGATION:
        return f"they are only {extent.elongation:.2f} times as long as wide"
    if extent.turned < TURNED and _gain(model, found) < ENLARGED:
        return "they lie alike already and fill the image"
    return None


def reason_for(model: ModelConfig, found: Look) -> str:
    """What speaks for aligning parts that nothing speaks against, in words."""
    extent = found.extent
    lie = f"turned by {extent.turned:.0f} degrees (standard deviation)"
    if extent.turned > _ANY:
        lie = "lie in any direction"
    return (
        f"they stand free, {extent.elongation:.1f} times as long as wide, {lie}, and a strip shows them "
        f"{_gain(model, found):.2f} times as large"
    )


def strip_advice(model: ModelConfig, found: Look) -> str | None:
    """What to tell someone whose aligned parts lose too much on their way into the strip.

    By the rule of `realnet_edge.tile_advice`: where parts of the image files are shrunk twice or more.

    Args:
        model: with its strip.
        found: in the good images.
    """
    shrunk = _shrunk(found, model.align)
    if shrunk < FAR_SHRUNK:
        return None
    wanted = min(MOST_TILES, shrunk / SHRUNK)
    multiple = model.size_multiple
    height, width = (multiple * math.ceil(wanted * length / multiple) for length in model.align)
    left = _shrunk(found, (height, width))
    cost = height * width / math.prod(model.align)
    return (
        f"parts are shrunk {shrunk:.1f} times in strips of {model.align[1]} x {model.align[0]}: defects "
        f"narrower than about {math.ceil(VISIBLE * shrunk)} pixels of the image files hardly show. `--align "
        f"{width}x{height}` shrinks them {left:.1f} times and keeps those of {math.ceil(VISIBLE * left)}; an "
        f"image then takes about {cost:.0f} times as long."
    )


def _shrunk(found: Look, strip: tuple[int, ...]) -> float:
    """How many pixels of the image files become one of a strip of this height and width."""
    height, width = strip
    return max(found.native) / max(found.seen) / enlargement(found.extent.size, (height, width))


def _gain(model: ModelConfig, found: Look) -> float:
    """How many times as large as in the square a strip of no higher cost shows parts."""
    strip = strip_size(found.extent.size, model.image_size, model.size_multiple)
    return enlargement(found.extent.size, strip) * max(found.seen) / model.image_size
