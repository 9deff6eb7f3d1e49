"""Settings of the network."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from realnet_edge.backbones import BACKBONES, DEFAULT_PLANES
from realnet_edge.config.architecture import cell_size, grouped, multiple_of, norm_groups
from realnet_edge.config.storing import from_dict, require, to_dict
from realnet_edge.tiles import TileGrid

SCORE_RULES = ("avgpool16", "max")
SCORE_WINDOW = 16
RRS_ORDERS = ("score", "plane")
SELECTIONS = ("afs", "random", "projection")
# What a stored `ModelConfig` means that was written before these settings existed.
UNSTORED_MODEL: dict[str, Any] = {"tiles": [1, 1], "tile_overlap": 0, "align": [], "align_from": []}

_Item = TypeVar("_Item")


@dataclass(frozen=True)
class ModelConfig:
    """The network: backbone, taps, their grouping, selected planes, reconstruction widths, RRS, score rule.

    Attributes:
        backbone: a timm name in `BACKBONES`.
        taps: positions of the tapped feature maps, finest first.
        planes: channels that AFS keeps of each tap (m_k, paper eq. 4).
        selection: how a tap's channels become its planes: "afs"; or, to see what AFS is worth (paper table
            5a), "random", channels drawn at random, or "projection", random sums of all of them.
        widths: base width of each block's reconstruction U-Net; its levels are 1, 2 and 4 times it.
        rrs_max, rrs_mean: residual planes that RRS keeps by global maximum and by global mean.
        rrs_order: how the discriminator sees the kept planes. "score", as published: one after the other by
            rank, so that noise which swaps ranks permutes its input. "plane": every plane in a place of its
            own, zero where it was not kept.
        standardise: subtract the mean and divide by the deviation of each tap channel, taken on
            normal training images.
        image_size: height and width in pixels of the square that the network sees: the whole input, or a
            tile of it.
        match_exposure: bring every image's mean grey level to that of the training images, by one gain.
        group_width: fewest channels that a group of GroupNorm takes in the U-Nets; 1 is as published, 0 puts
            all channels of a layer into one group.
        attention_limit: most positions (height x width) that a U-Net attends over; layers with more go
            without. What attention takes grows with their square. 0 is no limit, as published.
        blocks: how many taps each block takes, finest first: the taps of a block are brought to the finest
            one's resolution and reconstructed together. Empty for a block a tap, the paper's architecture A;
            `blocks_of` gives those of B and C.
        score_rule: "avgpool16" (maximum after 16 x 16 average pooling with stride 1, the official
            evaluation) or "max" (the paper's text).
        tiles: rows and columns of squares that an image is cut into, each seen by the network by itself;
            see `input_size`. (1, 1), as published, is the image as a whole.
        tile_overlap: pixels of the input that neighbouring tiles share; over them one tile's anomaly map
            fades into the next one's.
        align: (height, width) in pixels of the strip along the part's main axis that the network sees instead
            of the image: `realnet_edge.model.alignment`. Empty, as published, for images as they are.
        align_from: with `align`, (height, width) in pixels of the images that strips are taken from: what the
            engine takes, in place of the square of `image_size`.
    """

    backbone: str = "wide_resnet50_2"
    taps: tuple[int, ...] = (1, 2, 3, 4)
    planes: tuple[int, ...] = (256, 512, 512, 256)
    widths: tuple[int, ...] = (128, 256, 256, 128)
    rrs_max: int = 256
    rrs_mean: int = 256
    standardise: bool = False
    image_size: int = 256
    score_rule: str = "avgpool16"
    match_exposure: bool = False
    group_width: int = 1
    attention_limit: int = 0
    selection: str = "afs"
    blocks: tuple[int, ...] = ()
    rrs_order: str = "score"
    tiles: tuple[int, int] = (1, 1)
    tile_overlap: int = 0
    align: tuple[int, ...] = ()
    align_from: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        require(self.backbone in BACKBONES, "backbone", self.backbone, f"one of {sorted(BACKBONES)}")
        available = BACKBONES[self.backbone].channels
        require(
            len(self.taps) > 0
            and list(self.taps) == sorted(set(self.taps))
            and all(0 <= tap < len(available) for tap in self.taps),
            "taps",
            self.taps,
            f"ascending positions in 0..{len(available) - 1}",
        )
        require(
            len(self.planes) == len(self.taps), "planes", self.planes, f"{len(self.taps)} numbers, one a tap"
        )
        require(
            not self.blocks or (min(self.blocks) >= 1 and sum(self.blocks) == len(self.taps)),
            "blocks",
            self.blocks,
            f"numbers of taps that add up to {len(self.taps)}, or none for a block a tap",
        )
        count = len(self.grouped(self.taps))
        require(len(self.widths) == count, "widths", self.widths, f"{count} numbers, one a block")
        for tap, planes in zip(self.taps, self.planes, strict=True):
            require(1 <= planes <= available[tap], "planes", planes, f"1..{available[tap]} for tap {tap}")
        for width in self.widths:
            require(width >= 8 and width % 8 == 0, "widths", width, "multiples of 8, at least 8")
        total = sum(self.planes)
        for name, kept in (("rrs_max", self.rrs_max), ("rrs_mean", self.rrs_mean)):
            require(0 <= kept <= total, name, kept, f"0..{total}, the number of residual planes")
        require(self.rrs_max + self.rrs_mean > 0, "rrs_max + rrs_mean", 0, "at least 1")
        require(self.selection in SELECTIONS, "selection", self.selection, f"one of {SELECTIONS}")
        require(self.rrs_order in RRS_ORDERS, "rrs_order", self.rrs_order, f"one of {RRS_ORDERS}")
        strides = self.block_strides
        multiple = self.size_multiple
        require(
            self.image_size >= multiple and self.image_size % multiple == 0,
            "image_size",
            self.image_size,
            f"a positive multiple of {multiple}: each block's U-Net halves it twice",
        )
        self._check_align()
        require(0 <= self.group_width <= 32, "group_width", self.group_width, "0..32 channels")
        for stride, width in zip(strides, self.widths, strict=True):
            self._refuse_single_values(stride, width)
        limit = self.attention_limit
        require(limit >= 0, "attention_limit", limit, "a number of positions, or 0 for no limit")
        require(self.score_rule in SCORE_RULES, "score_rule", self.score_rule, f"one of {SCORE_RULES}")
        require(min(self.seen_size) >= SCORE_WINDOW, "image_size", self.seen_size, f"at least {SCORE_WINDOW}")
        require(len(self.tiles) == 2, "tiles", self.tiles, "two numbers, rows and columns")
        TileGrid(*self.tiles, self.image_size, self.tile_overlap)

    def _refuse_single_values(self, stride: int, width: int) -> None:
        """GroupNorm of one value is none: PyTorch refuses it for one image, and makes zeros of several.

        The narrowest normalisation at a U-Net's coarsest level is over the channels of the level before.
        """
        level, finest = multiple_of(stride), self.size_multiple
        channels = 2 * width
        positions = math.prod(length // level for length in self.seen_size)
        values = channels // norm_groups(channels, self.group_width) * positions
        larger = finest * (level // finest + 1)
        require(
            values > 1,
            "image_size",
            self.image_size,
            f"{larger} or more for a block of stride {stride} and width {width}, or a group width of 2 or "
            "more: its coarsest level is one pixel now, where a group of one channel holds one value",
        )

    def _check_align(self) -> None:
        multiple = self.size_multiple
        require(
            len(self.align) in (0, 2)
            and all(length >= multiple and length % multiple == 0 for length in self.align),
            "align",
            self.align,
            f"height and width of a strip in pixels, multiples of {multiple}",
        )
        require(
            not self.align or tuple(self.tiles) == (1, 1),
            "tiles",
            self.tiles,
            "(1, 1) with align: a strip is not cut",
        )
        require(
            len(self.align_from) == len(self.align) and all(length >= 16 for length in self.align_from),
            "align_from",
            self.align_from,
            "height and width of at least 16 pixels with align, and nothing without",
        )
        if self.align_from:
            cell = cell_size(self.input_size)
            require(
                all(length % cell == 0 for length in self.align_from),
                "align_from",
                self.align_from,
                f"multiples of {cell}, the pixels of a cell for a longer side of {max(self.align_from)}",
            )

    @property
    def seen_size(self) -> tuple[int, int]:
        """(height, width) in pixels of what the network sees: the square, or the strip of `align`."""
        height, width = self.align or (self.image_size, self.image_size)
        return height, width

    @property
    def grid(self) -> TileGrid:
        """The tiles that an image is cut into."""
        return TileGrid(*self.tiles, self.image_size, self.tile_overlap)

    @property
    def input_size(self) -> tuple[int, int]:
        """(height, width) in pixels of the images that the engine takes and of its maps."""
        if self.align_from:
            height, width = self.align_from
            return height, width
        return self.grid.size

    @property
    def size_multiple(self) -> int:
        """What `image_size` has to be a multiple of, in pixels."""
        return max(multiple_of(self.block_strides[-1]), self.strides[-1])

    @property
    def tap_channels(self) -> tuple[int, ...]:
        """Channels of each tapped feature map before AFS."""
        return tuple(BACKBONES[self.backbone].channels[tap] for tap in self.taps)

    @property
    def strides(self) -> tuple[int, ...]:
        """Stride of each tap in input pixels."""
        return tuple(BACKBONES[self.backbone].strides[tap] for tap in self.taps)

    def grouped(self, items: Sequence[_Item]) -> list[tuple[_Item, ...]]:
        """One item a tap to the items of each block."""
        return grouped(items, self.blocks)

    @property
    def block_planes(self) -> tuple[int, ...]:
        """Channels that each block reconstructs."""
        return tuple(sum(planes) for planes in self.grouped(self.planes))

    @property
    def block_strides(self) -> tuple[int, ...]:
        """Stride of each block in input pixels: that of its finest tap."""
        return tuple(strides[0] for strides in self.grouped(self.strides))

    def with_planes(self, planes: tuple[int, ...]) -> ModelConfig:
        """The same network with other planes, and with widths and RRS in the proportion they had to them.

        Half of all planes is then half a network in all its parts, as in the paper's ablation (Table S4).
        Widths stay multiples of 8, and a mode of RRS that was used stays in use.

        Raises:
            ConfigError: not one number a tap, or one that a tap does not have.
        """
        require(len(planes) == len(self.planes), "planes", planes, f"{len(self.planes)} numbers, one a tap")
        before, after = self.block_planes, [sum(block) for block in self.grouped(planes)]
        blocks = zip(self.widths, after, before, strict=True)
        # 0 stays 0: a mode that is left out.
        kept = [
            max(min(mode, 1), mode * sum(planes) // sum(self.planes))
            for mode in (self.rrs_max, self.rrs_mean)
        ]
        return dataclasses.replace(
            self,
            planes=planes,
            widths=tuple(max(8, width * new // old // 8 * 8) for width, new, old in blocks),
            rrs_max=kept[0],
            rrs_mean=kept[1],
        )

    @classmethod
    def for_backbone(cls, backbone: str, **changes: Any) -> ModelConfig:
        """The published proportions on any backbone.

        Planes: the paper's where it states them, else half of each tap (at least 64 or all);
        widths: half of a block's planes; RRS keeps a third of all planes, half of them in each mode.
        """
        require(backbone in BACKBONES, "backbone", backbone, f"one of {sorted(BACKBONES)}")
        known = BACKBONES[backbone]
        taps = tuple(changes.pop("taps", known.default_taps))
        require(
            all(0 <= tap < len(known.channels) for tap in taps), "taps", taps, f"0..{len(known.channels) - 1}"
        )
        channels = [known.channels[tap] for tap in taps]
        default = DEFAULT_PLANES.get(backbone) if taps == known.default_taps else None
        planes = tuple(changes.pop("planes", default or (max(c // 2, min(c, 64)) for c in channels)))
        kept = max(1, sum(planes) // 6)
        blocks = [sum(block) for block in grouped(planes, changes.get("blocks", ()))]
        settings: dict[str, Any] = {
            "widths": tuple(max(8, p // 2 // 8 * 8) for p in blocks),
            "rrs_max": kept,
            "rrs_mean": kept,
            "standardise": known.standardise,
        }
        return cls(backbone=backbone, taps=taps, planes=planes, **{**settings, **changes})

    def to_dict(self) -> dict[str, Any]:
        return to_dict(self)

    @classmethod
    def from_dict(cls, document: dict[str, Any]) -> ModelConfig:
        return from_dict(cls, {**UNSTORED_MODEL, **document})
