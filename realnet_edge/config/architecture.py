"""How taps make blocks, and what the blocks' U-Nets ask of sizes and widths."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate
from typing import TypeVar

from realnet_edge.config.storing import require

# Names of the published structures; any other grouping of taps is given as numbers.
ARCHITECTURES = ("A", "B", "C")

# Cells that an image's longer side is divided into at most, to find the part in it.
MAX_CELLS = 128

_Item = TypeVar("_Item")


def grouped(items: Sequence[_Item], blocks: Sequence[int]) -> list[tuple[_Item, ...]]:
    """One item a tap to the items of each block of `ModelConfig.blocks`."""
    ends = list(accumulate(blocks or [1] * len(items)))
    return [tuple(items[start:end]) for start, end in zip([0, *ends], ends, strict=False)]


def blocks_of(architecture: str, taps: int) -> tuple[int, ...]:
    """`ModelConfig.blocks` of a published architecture (paper, supplementary) over that many taps.

    A: every tap a block of its own. B: all taps in one block. C: the first two taps and the others.

    Raises:
        ConfigError: another name, or C over fewer than three taps.
    """
    require(architecture in ARCHITECTURES, "architecture", architecture, f"one of {ARCHITECTURES}")
    if architecture == "A":
        return ()
    if architecture == "B":
        return (taps,)
    require(taps >= 3, "taps", taps, "at least 3 for architecture C")
    return (2, taps - 2)


def cell_size(size: tuple[int, int]) -> int:
    """Side in pixels of the cells that an image of (height, width) is divided into to find its part."""
    return math.ceil(max(size) / MAX_CELLS)


def multiple_of(stride: int) -> int:
    """What the image size must be a multiple of for a tap of this stride: each U-Net halves it twice."""
    return 4 * stride


def norm_groups(channels: int, group_width: int) -> int:
    """Groups of a GroupNorm over so many channels: 32 as published, or fewer that `group_width` allows.

    Args:
        channels: of the layer.
        group_width: as `ModelConfig.group_width`.
    """
    return math.gcd(32, channels, max(1, channels // group_width)) if group_width else 1
