"""Choosing the foreground rule of a category that nobody has chosen one for.

The stated rule: Otsu's and the triangle threshold, each with the object dark and bright, are tried
on a sample of the images. A candidate shows an object if

- the mask covers 3% to 70% of the image on average (an object that fills more leaves too little
  background to be worth hiding),
- it covers that much steadily: the deviation between images is at most a quarter of the mean,
- at most 5% of the image's border pixels lie in it: the object stands free,
- its three largest connected components hold at least 80% of it, and
- the threshold explains at least 55% of the grey variance (Otsu's separability).

Of the candidates that pass, the one with the highest separability wins; if none does, the whole
image is the foreground.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from realnet_edge.errors import ConfigError, DataError
from realnet_edge.imaging import evenly_spread, load_image, preprocess
from realnet_edge.synthesis.foreground import ForegroundRule, Method, Polarity, foreground_mask
from realnet_edge.synthesis.foreground_presets import PRESETS

MAX_IMAGES = 32
AREA = (0.03, 0.70)
MAX_SPREAD = 0.25
MAX_BORDER = 0.05
MIN_COMPACT = 0.80
MIN_SEPARABILITY = 0.55
# The published square for objects is 6 pixels at 256.
SQUARE_SHARE = 6 / 256
_CANDIDATES: tuple[tuple[Method, Polarity], ...] = (
    ("otsu", "dark"),
    ("otsu", "bright"),
    ("triangle", "dark"),
    ("triangle", "bright"),
)


@dataclass(frozen=True)
class View:
    """What the network sees of images, where that is another picture made of them.

    Attributes:
        size: (height, width) in pixels that images are brought to first.
        make: from such an image to the picture, both (H, W, 3) uint8 RGB.
    """

    size: tuple[int, int]
    make: Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.uint8]]


@dataclass(frozen=True)
class CandidateFigures:
    """What one candidate's masks look like over the sampled images; all are shares in [0, 1].

    Attributes:
        area: mean share of the image inside the mask.
        spread: standard deviation of that share between images, over its mean.
        border: mean share of the outermost pixels inside the mask.
        compact: mean share of the mask that its three largest components hold.
        separability: mean between-class share of the grey variance.
    """

    area: float
    spread: float
    border: float
    compact: float
    separability: float

    def objection(self) -> str | None:
        """The first demand that is not met, in words; None when all are."""
        if not AREA[0] <= self.area <= AREA[1]:
            return f"area {self.area:.0%} outside {AREA[0]:.0%}..{AREA[1]:.0%}"
        if self.border > MAX_BORDER:
            return f"{self.border:.0%} of the border inside, over {MAX_BORDER:.0%}"
        if self.spread > MAX_SPREAD:
            return f"area varies by {self.spread:.0%}, over {MAX_SPREAD:.0%}"
        if self.compact < MIN_COMPACT:
            return f"scattered: {self.compact:.0%} in three components, under {MIN_COMPACT:.0%}"
        if self.separability < MIN_SEPARABILITY:
            return f"separability {self.separability:.2f} under {MIN_SEPARABILITY:.2f}"
        return None

    def __str__(self) -> str:
        """The figures in one line."""
        return (
            f"area {self.area:.1%} (varies by {self.spread:.0%}), {self.border:.1%} of the border, "
            f"{self.compact:.0%} in three components, separability {self.separability:.2f}"
        )


def choose_foreground(images: Sequence[npt.NDArray[np.uint8]]) -> tuple[ForegroundRule, str]:
    """Pick the foreground rule of a category by the rule stated at the top of this module.

    Args:
        images: normal images, (H, W, 3) uint8 RGB; up to 32 of them, evenly spaced, are looked at.

    Returns:
        The rule, and the reason in words with the figures behind it.

    Raises:
        DataError: there are no images.
    """
    if not len(images):
        raise DataError("a foreground rule cannot be chosen from no images. Give at least one normal image.")
    sample = [images[index] for index in evenly_spread(len(images), MAX_IMAGES)]
    side = max(2, round(SQUARE_SHARE * min(sample[0].shape[:2])))
    passed: list[tuple[ForegroundRule, CandidateFigures]] = []
    refused: list[str] = []
    for method, polarity in _CANDIDATES:
        rule = ForegroundRule(method, None, polarity, side, side)
        figures = candidate_figures(sample, rule)
        objection = figures.objection()
        if objection is None:
            passed.append((rule, figures))
        else:
            refused.append(f"{method}:{polarity} {objection}")
    seen = f"{len(sample)} of {len(images)} images"
    if not passed:
        return (
            ForegroundRule(),
            f"whole image: no threshold shows a free-standing object on {seen} ({'; '.join(refused)})",
        )
    rule, figures = max(passed, key=lambda candidate: candidate[1].separability)
    return rule, f"{rule}: {figures}, on {seen}"


def resolve_foreground(
    text: str, images: Sequence[npt.NDArray[np.uint8]], published: str | None = None
) -> tuple[ForegroundRule, str]:
    """The rule a setting stands for, and why.

    Args:
        text: "auto" (the published rule where there is one, else chosen from the images), a published
            preset such as "mvtec/screw", or a rule as `ForegroundRule.parse` reads it.
        images: normal images, (H, W, 3) uint8 RGB; only "auto" looks at them.
        published: the preset of the data set and category that the images were recognised as, if any;
            some data sets have no published rules.

    Raises:
        ConfigError: the text is none of these.
        DataError: "auto" without images.
    """
    if text == "auto" and published in PRESETS:
        return PRESETS[published], f"{PRESETS[published]}: published for {published}, which this is a copy of"
    if text == "auto":
        return choose_foreground(images)
    if "/" in text:
        if text not in PRESETS:
            raise ConfigError(f"foreground preset '{text}' is unknown. Valid: {', '.join(PRESETS)}.")
        return PRESETS[text], f"{PRESETS[text]}: published for {text}"
    rule = ForegroundRule.parse(text)
    return rule, f"{rule}: as given"


def foreground_of_files(
    paths: Sequence[Path],
    size: tuple[int, int],
    text: str,
    published: str | None = None,
    view: View | None = None,
) -> tuple[ForegroundRule, str]:
    """`resolve_foreground` of image files, as training, preview and contact sheet look at them.

    Up to 32 files, evenly spaced, are decoded. Those that cannot be are passed over: the check of all images
    names them.

    Args:
        paths: good images.
        size: (height, width) in pixels that they are brought to.
        text, published: as `resolve_foreground`.
        view: what is made of them; its own size counts then.

    Raises:
        ConfigError: `text` is no rule.
        DataError: "auto" where no file could be decoded.
    """
    images = []
    for index in evenly_spread(len(paths), MAX_IMAGES):
        with suppress(DataError):
            image = preprocess(load_image(paths[index]), view.size if view else size)
            images.append(view.make(image) if view else image)
    return resolve_foreground(text, images, published)


def candidate_figures(images: Sequence[npt.NDArray[np.uint8]], rule: ForegroundRule) -> CandidateFigures:
    """Measure one rule's masks on images, (H, W, 3) uint8 RGB each."""
    rows = []
    for image in images:
        mask = foreground_mask(image, rule)
        border = np.concatenate([mask[0], mask[-1], mask[1:-1, 0], mask[1:-1, -1]])
        rows.append((mask.mean(), border.mean(), _compactness(mask), _separability(image, mask)))
    area, border_share, compact, separability = np.asarray(rows, np.float64).T
    mean = float(area.mean())
    return CandidateFigures(
        area=mean,
        spread=float(area.std()) / mean if mean > 0.0 else 0.0,
        border=float(border_share.mean()),
        compact=float(compact.mean()),
        separability=float(separability.mean()),
    )


def _compactness(mask: npt.NDArray[np.bool_]) -> float:
    """Share of the mask in its three largest 8-connected components; 0 for an empty mask."""
    count, _, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    if count < 2:
        return 0.0
    areas = np.sort(np.asarray(stats)[1:, cv2.CC_STAT_AREA])[::-1]
    return float(areas[:3].sum() / areas.sum())


def _separability(image: npt.NDArray[np.uint8], mask: npt.NDArray[np.bool_]) -> float:
    """Between-class variance of grey over its total variance (Otsu 1979), 0 for one class alone."""
    grey = np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.float64)
    share, variance = float(mask.mean()), float(grey.var())
    if not 0.0 < share < 1.0 or variance == 0.0:
        return 0.0
    return share * (1.0 - share) * float(grey[mask].mean() - grey[~mask].mean()) ** 2 / variance
