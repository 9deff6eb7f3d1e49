"""Settings of the synthetic anomalies and of the normal images' augmentation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from realnet_edge.config.storing import from_dict, require, to_dict

# Sources and weights that need nothing but the category's own images.
DEFAULT_SOURCE = "patches:0.5,cutpaste:0.25,scratches:0.25"


@dataclass(frozen=True)
class SynthesisConfig:
    """Which anomalies the training sees.

    Attributes:
        source: sources and weights, as `realnet_edge.synthesis.make_source` reads them.
        foreground: a foreground rule, or "auto" to have one chosen from the training images.
        anomalous_share: share of samples that carry an anomaly (the paper: 0.5).
        rotate: largest rotation, in degrees, of normal images before anything else, for parts that
            lie in any orientation. Every second image is turned by any angle up to this (uncovered
            corners repeat the border), the others by quarter turns within it, which blur nothing.
        flip: mirror normal images at random.
        light: largest relative change of brightness and of contrast about the image's mean: factors
            between 1 / (1 + light) and 1 + light, log-uniform. Lamps age and exposure drifts.
        noise: largest standard deviation, in grey levels of 255, of Gaussian noise on every pixel and
            channel; each sample draws its own between 0 and this. A network that never saw noise makes
            much of differences that neither a camera nor 16-bit arithmetic keeps.
    """

    source: str = DEFAULT_SOURCE
    foreground: str = "auto"
    anomalous_share: float = 0.5
    rotate: float = 0.0
    flip: bool = False
    light: float = 0.0
    noise: float = 0.0

    def __post_init__(self) -> None:
        share = self.anomalous_share
        require(0.0 < share < 1.0, "anomalous_share", share, "a number between 0 and 1, both excluded")
        require(0.0 <= self.rotate <= 180.0, "rotate", self.rotate, "0..180 degrees")
        require(0.0 <= self.light <= 1.0, "light", self.light, "0..1, a share of the brightness")
        require(0.0 <= self.noise <= 64.0, "noise", self.noise, "0..64 grey levels of 255")

    @property
    def varies_normals(self) -> bool:
        """Whether normal images differ from one epoch to the next."""
        return self.flip or max(self.rotate, self.light, self.noise) > 0

    def to_dict(self) -> dict[str, Any]:
        return to_dict(self)

    @classmethod
    def from_dict(cls, document: dict[str, Any]) -> SynthesisConfig:
        return from_dict(cls, document)
