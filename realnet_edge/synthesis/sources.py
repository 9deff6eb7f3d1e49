"""Mixing sources, building them from a specification, and `synthesise`, the one entry training uses."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from realnet_edge.errors import ConfigError, DataError
from realnet_edge.synthesis.base import AnomalySource, Synthetic, blend, visible_difference
from realnet_edge.synthesis.bends import BendSource
from realnet_edge.synthesis.chips import ChipSource
from realnet_edge.synthesis.cutpaste import CutPasteSource
from realnet_edge.synthesis.donors import Images
from realnet_edge.synthesis.foreground import ForegroundRule
from realnet_edge.synthesis.nsa import NsaSource
from realnet_edge.synthesis.patches import PatchSource
from realnet_edge.synthesis.perlin import MIN_PIXELS
from realnet_edge.synthesis.scratches import ScratchSource
from realnet_edge.synthesis.shapes import blob_alpha
from realnet_edge.synthesis.sia import SiaSource
from realnet_edge.synthesis.specification import Part, parse_spec
from realnet_edge.synthesis.textures import TextureSource

# An anomaly that changes its pixels by less than this on average would teach noise as anomalous.
MIN_DIFFERENCE = 6.0
ATTEMPTS = 5
_FALLBACK_SHIFT = 60.0


class MixtureSource:
    """Draws one of several sources for each sample, by weight.

    Args:
        parts: (source, weight) pairs; weights are positive and need not sum to 1.

    Raises:
        ConfigError: there are no parts, or a weight is not positive.
    """

    def __init__(self, parts: Sequence[tuple[AnomalySource, float]]) -> None:
        """Check the weights and normalise them."""
        if not parts:
            raise ConfigError("a mixture needs at least one anomaly source.")
        for source, weight in parts:
            if not (np.isfinite(weight) and weight > 0.0):
                raise ConfigError(f"weight {weight} of source '{source.name}' is not a positive number.")
        self.sources = tuple(source for source, _ in parts)
        weights = np.array([weight for _, weight in parts], np.float64)
        self.shares = weights / weights.sum()

    @property
    def name(self) -> str:
        """The parts with their shares, as in a specification."""
        return ",".join(
            f"{source.name}:{share:.3g}" for source, share in zip(self.sources, self.shares, strict=True)
        )

    def __call__(
        self, image: npt.NDArray[np.uint8], foreground: npt.NDArray[np.bool_], rng: np.random.Generator
    ) -> Synthetic:
        """One anomaly of one of the sources; see `AnomalySource`."""
        index = int(rng.choice(len(self.sources), p=self.shares))
        return self.sources[index](image, foreground, rng)


def make_source(
    spec: str,
    train_images: Images,
    size: int | tuple[int, int],
    rule: ForegroundRule | Sequence[ForegroundRule] | None = None,
    donor_size: tuple[int, int] | None = None,
) -> MixtureSource:
    """Build the source that a specification names.

    Args:
        spec: `NAME:WEIGHT` parts joined by commas, such as "patches:0.5,bends:0.25,scratches:0.25",
            "nsa=mvtec/screw" or "textures=/data/dtd/images:1", as `parse_spec` reads them.
        train_images: the category's normal training images, files or (H, W, 3) uint8 arrays.
        size: side of the square image that anomalies are put on, or its (height, width), in pixels.
        rule: the category's foreground, or one for each image; None lets it be chosen from them.
        donor_size: (height, width) of the images that patches are taken from, where the images that
            anomalies are put on are tiles of such; None is `size`.

    Returns:
        The mixture, its `sources` in the order of the specification.

    Raises:
        ConfigError: an unknown name, a weight that is no positive number, or a name given twice.
        DataError: images that cannot be read, or a folder without images.
    """
    shape = (size, size) if isinstance(size, int) else size

    def built(part: Part) -> AnomalySource:
        if part.name == "patches":
            return PatchSource(train_images, donor_size or shape, rule)
        if part.name == "nsa":
            return NsaSource(train_images, donor_size or shape, rule, part.choice)
        if part.name == "bends":
            return BendSource()
        if part.name == "chips":
            return ChipSource()
        if part.name == "cutpaste":
            return CutPasteSource(part.choice)
        if part.name == "scratches":
            return ScratchSource()
        if part.name == "sia":
            return SiaSource(Path(part.choice), shape)
        return TextureSource(Path(part.choice), shape)

    return MixtureSource([(built(part), part.weight) for part in parse_spec(spec)])


def synthesise(
    image: npt.NDArray[np.uint8],
    foreground: npt.NDArray[np.bool_],
    source: AnomalySource,
    rng: np.random.Generator,
) -> Synthetic:
    """Put one synthetic anomaly on a normal image.

    The mask is never empty and what it marks can be seen: a sample whose mask has fewer than 4 pixels,
    or whose masked pixels change by less than 6 grey levels on average, is drawn again, up to 5
    times; then the most visible of them is taken, or, if nothing changed in any, a blob of the
    foreground shifted by 60 grey levels. Textures label the whole blended mask, as the paper does;
    patches, bends, chips and CutPaste label only the part that changed, and its close surroundings.

    Args:
        image: (H, W, 3) uint8 RGB, normal.
        foreground: (H, W) bool, where anomalies may lie. An empty one stands for the whole image.
        source: what makes the anomaly.
        rng: all randomness comes from it: the same state gives the same bytes.

    Returns:
        The anomalous image and its mask.

    Raises:
        DataError: image and foreground do not fit each other.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise DataError(f"expected an (H, W, 3) uint8 RGB image, got {image.shape} {image.dtype}.")
    if foreground.shape != image.shape[:2] or foreground.dtype != np.bool_:
        raise DataError(
            f"expected a foreground of {image.shape[:2]} bool, got {foreground.shape} {foreground.dtype}."
        )
    if not foreground.any():
        foreground = np.ones_like(foreground)
    best: Synthetic | None = None
    best_difference = 0.0
    for _ in range(ATTEMPTS):
        candidate = source(image, foreground, rng)
        difference = visible_difference(image, candidate.image, candidate.mask)
        if difference >= MIN_DIFFERENCE and np.count_nonzero(candidate.mask) >= MIN_PIXELS:
            return candidate
        if difference > best_difference:
            best, best_difference = candidate, difference
    return best if best is not None else _shifted_blob(image, foreground, rng)


def _shifted_blob(
    image: npt.NDArray[np.uint8], foreground: npt.NDArray[np.bool_], rng: np.random.Generator
) -> Synthetic:
    """A blob shifted away from the nearer end of the grey scale: always visible."""
    alpha = blob_alpha(foreground, rng)
    mask = alpha > 0.5
    direction = 1.0 if float(image[mask].mean()) < 128.0 else -1.0
    shifted = image + np.float32(direction * _FALLBACK_SHIFT)
    return Synthetic(blend(image, shifted, mask, 1.0), mask)
