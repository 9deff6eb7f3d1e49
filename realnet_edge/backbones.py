"""The feature extractors that RealNet can tap, and what each offers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Backbone:
    """A feature extractor that RealNet can tap, by its timm name.

    Attributes:
        channels: channels of each tap that timm offers, finest first.
        strides: the taps' strides in pixels of the input.
        default_taps: positions in `channels` that are tapped unless told otherwise.
        standardise: whether the taps are so unevenly scaled that per-channel standardisation is
            on by default (linear bottlenecks without a final activation).
    """

    channels: tuple[int, ...]
    strides: tuple[int, ...]
    default_taps: tuple[int, ...]
    standardise: bool = False


_FIVE = (2, 4, 8, 16, 32)
BACKBONES: dict[str, Backbone] = {
    # timm counts the stem as tap 0, so layer1..layer4 are 1..4.
    "resnet18": Backbone((64, 64, 128, 256, 512), _FIVE, (1, 2, 3, 4)),
    "resnet34": Backbone((64, 64, 128, 256, 512), _FIVE, (1, 2, 3, 4)),
    "resnet50": Backbone((64, 256, 512, 1024, 2048), _FIVE, (1, 2, 3, 4)),
    "wide_resnet50_2": Backbone((64, 256, 512, 1024, 2048), _FIVE, (1, 2, 3, 4)),
    # The official implementation taps strides 2 to 16 here.
    "efficientnet_b4": Backbone((24, 32, 56, 160, 448), _FIVE, (0, 1, 2, 3)),
    "tf_efficientnet_lite0": Backbone((16, 24, 40, 112, 320), _FIVE, (1, 2, 3), standardise=True),
    "tf_efficientnet_lite2": Backbone((16, 24, 48, 120, 352), _FIVE, (1, 2, 3), standardise=True),
}

# Channels that the paper keeps of each tap, where it says so.
DEFAULT_PLANES = {"resnet50": (256, 512, 512, 256), "wide_resnet50_2": (256, 512, 512, 256)}
