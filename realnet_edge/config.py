"""Settings as frozen data classes, checked when made, and stored as JSON beside the weights."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, TypeVar

from realnet_edge.backbones import BACKBONES, DEFAULT_PLANES
from realnet_edge.errors import ConfigError
from realnet_edge.tiles import TileGrid

SCORE_RULES = ("avgpool16", "max")
SCORE_WINDOW = 16
RRS_ORDERS = ("score", "plane")
SELECTIONS = ("afs", "random", "projection")
# Sources and weights that need nothing but the category's own images.
DEFAULT_SOURCE = "patches:0.5,cutpaste:0.25,scratches:0.25"
# Names of the published structures; any other grouping of taps is given as numbers.
ARCHITECTURES = ("A", "B", "C")
# What a training step may compute in.
PRECISIONS = ("auto", "fp32", "bf16", "fp16")
# Where it may run.
DEVICES = ("auto", "cpu", "cuda")
# What a training's checkpoint is chosen by. The published figures took the test set; a checkpoint that is to
# inspect parts never does.
CHECKPOINT_BY = ("validation", "test-set")
# What a stored `ModelConfig` means that was written before these settings existed.
BEFORE_TILES: dict[str, Any] = {"tiles": [1, 1], "tile_overlap": 0}


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

    def __post_init__(self) -> None:
        _require(self.backbone in BACKBONES, "backbone", self.backbone, f"one of {sorted(BACKBONES)}")
        available = BACKBONES[self.backbone].channels
        _require(
            len(self.taps) > 0
            and list(self.taps) == sorted(set(self.taps))
            and all(0 <= tap < len(available) for tap in self.taps),
            "taps",
            self.taps,
            f"ascending positions in 0..{len(available) - 1}",
        )
        _require(
            len(self.planes) == len(self.taps), "planes", self.planes, f"{len(self.taps)} numbers, one a tap"
        )
        _require(
            not self.blocks or (min(self.blocks) >= 1 and sum(self.blocks) == len(self.taps)),
            "blocks",
            self.blocks,
            f"numbers of taps that add up to {len(self.taps)}, or none for a block a tap",
        )
        count = len(self.grouped(self.taps))
        _require(len(self.widths) == count, "widths", self.widths, f"{count} numbers, one a block")
        for tap, planes in zip(self.taps, self.planes, strict=True):
            _require(1 <= planes <= available[tap], "planes", planes, f"1..{available[tap]} for tap {tap}")
        for width in self.widths:
            _require(width >= 8 and width % 8 == 0, "widths", width, "multiples of 8, at least 8")
        total = sum(self.planes)
        for name, kept in (("rrs_max", self.rrs_max), ("rrs_mean", self.rrs_mean)):
            _require(0 <= kept <= total, name, kept, f"0..{total}, the number of residual planes")
        _require(self.rrs_max + self.rrs_mean > 0, "rrs_max + rrs_mean", 0, "at least 1")
        _require(self.selection in SELECTIONS, "selection", self.selection, f"one of {SELECTIONS}")
        _require(self.rrs_order in RRS_ORDERS, "rrs_order", self.rrs_order, f"one of {RRS_ORDERS}")
        strides = self.block_strides
        multiple = self.size_multiple
        _require(
            self.image_size >= multiple and self.image_size % multiple == 0,
            "image_size",
            self.image_size,
            f"a positive multiple of {multiple}: each block's U-Net halves it twice",
        )
        for stride, width in zip(strides, self.widths, strict=True):
            _require(
                self.image_size > multiple_of(stride) or width > 8,
                "widths",
                width,
                f"16 or more where the coarsest U-Net level is one pixel (stride {stride} here)",
            )
        _require(0 <= self.group_width <= 32, "group_width", self.group_width, "0..32 channels")
        limit = self.attention_limit
        _require(limit >= 0, "attention_limit", limit, "a number of positions, or 0 for no limit")
        _require(self.score_rule in SCORE_RULES, "score_rule", self.score_rule, f"one of {SCORE_RULES}")
        _require(self.image_size >= SCORE_WINDOW, "image_size", self.image_size, f"at least {SCORE_WINDOW}")
        _require(len(self.tiles) == 2, "tiles", self.tiles, "two numbers, rows and columns")
        TileGrid(*self.tiles, self.image_size, self.tile_overlap)

    @property
    def grid(self) -> TileGrid:
        """The tiles that an image is cut into."""
        return TileGrid(*self.tiles, self.image_size, self.tile_overlap)

    @property
    def input_size(self) -> tuple[int, int]:
        """(height, width) in pixels of the images that the engine takes and of its maps."""
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

    @classmethod
    def for_backbone(cls, backbone: str, **changes: Any) -> ModelConfig:
        """The published proportions on any backbone.

        Planes: the paper's where it states them, else half of each tap (at least 64 or all);
        widths: half of a block's planes; RRS keeps a third of all planes, half of them in each mode.
        """
        _require(backbone in BACKBONES, "backbone", backbone, f"one of {sorted(BACKBONES)}")
        known = BACKBONES[backbone]
        taps = tuple(changes.pop("taps", known.default_taps))
        _require(
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
        return from_dict(cls, {**BEFORE_TILES, **document})


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
        _require(0.0 < share < 1.0, "anomalous_share", share, "a number between 0 and 1, both excluded")
        _require(0.0 <= self.rotate <= 180.0, "rotate", self.rotate, "0..180 degrees")
        _require(0.0 <= self.light <= 1.0, "light", self.light, "0..1, a share of the brightness")
        _require(0.0 <= self.noise <= 64.0, "noise", self.noise, "0..64 grey levels of 255")

    @property
    def varies_normals(self) -> bool:
        """Whether normal images differ from one epoch to the next."""
        return self.flip or max(self.rotate, self.light, self.noise) > 0

    def to_dict(self) -> dict[str, Any]:
        return to_dict(self)

    @classmethod
    def from_dict(cls, document: dict[str, Any]) -> SynthesisConfig:
        return from_dict(cls, document)


@dataclass(frozen=True)
class TrainConfig:
    """How long and how fast.

    Attributes:
        steps: most optimiser steps; training may stop earlier.
        minutes: most minutes of training (0: no limit); whichever limit comes first ends it.
        patience: validations without improvement after which training stops (0: never).
        batch: samples a step; half of them anomalous by the paper.
        learning_rate: Adam's peak rate (the paper: 1e-4, betas 0.9 and 0.999).
        schedule: "constant" (the paper) or "cosine" to a hundredth of the peak over the budget.
        warmup: steps over which the rate rises linearly from zero.
        validate_every: steps between validations and saved states.
        afs_batches: synthetic batches over which AFS averages its loss (official: 64).
        statistics_batches: batches over which BatchNorm statistics are averaged anew before every
            validation, and so in the checkpoint (0: those of the last training batches, as published).
        seed: of weights, splits, synthesis and order.
        workers: processes that synthesise; 0 does it in the training process.
        threads: threads of PyTorch (0: all cores).
        precision: "fp32"; "bf16" or "fp16", mixed precision by autocast (weights, losses and RRS stay
            float32; fp16 scales its losses); or "auto": bf16 on a processor that computes in it, else fp32,
            and bf16 or fp16 on a GPU.
        device: "cpu", "cuda", or "auto", a GPU where there is one.
        accumulate: parts that every batch is computed in, one after the other; the same gradients in less
            memory, but BatchNorm sees a part at a time.
        gradient_checkpointing: compute the U-Nets' stages twice instead of keeping what they computed for the
            way back.
        compile: have `torch.compile` compile the U-Nets and the discriminator; it takes minutes at first.
        feature_cache: most memory, in MiB, for the features of the normal images, which are computed once
            where no augmentation changes these images; 0 keeps none.
    """

    steps: int = 20000
    minutes: float = 0.0
    patience: int = 20
    batch: int = 16
    learning_rate: float = 1e-4
    schedule: str = "constant"
    warmup: int = 0
    validate_every: int = 200
    afs_batches: int = 64
    statistics_batches: int = 0
    seed: int = 0
    workers: int = 1
    threads: int = 0
    precision: str = "fp32"
    device: str = "auto"
    accumulate: int = 1
    gradient_checkpointing: bool = False
    compile: bool = False
    feature_cache: int = 2048

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "validate_every", "afs_batches", "accumulate"):
            _require(getattr(self, name) >= 1, name, getattr(self, name), "at least 1")
        for name in (
            "minutes",
            "patience",
            "warmup",
            "workers",
            "threads",
            "statistics_batches",
            "seed",
            "feature_cache",
        ):
            _require(getattr(self, name) >= 0, name, getattr(self, name), "0 or more")
        _require(self.batch >= 2, "batch", self.batch, "at least 2: BatchNorm needs more than one sample")
        part, rest = divmod(self.batch, self.accumulate)
        _require(
            part >= 2 and rest == 0,
            "accumulate",
            self.accumulate,
            f"a divisor of the batch ({self.batch}) that leaves at least 2 samples a part",
        )
        _require(self.device in DEVICES, "device", self.device, f"one of {DEVICES}")
        _require(0 < self.learning_rate < 1, "learning_rate", self.learning_rate, "a number in (0, 1)")
        _require(self.precision in PRECISIONS, "precision", self.precision, f"one of {PRECISIONS}")
        _require(self.schedule in ("constant", "cosine"), "schedule", self.schedule, "constant or cosine")

    def to_dict(self) -> dict[str, Any]:
        return to_dict(self)

    @classmethod
    def from_dict(cls, document: dict[str, Any]) -> TrainConfig:
        return from_dict(cls, document)


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
    _require(architecture in ARCHITECTURES, "architecture", architecture, f"one of {ARCHITECTURES}")
    if architecture == "A":
        return ()
    if architecture == "B":
        return (taps,)
    _require(taps >= 3, "taps", taps, "at least 3 for architecture C")
    return (2, taps - 2)


def multiple_of(stride: int) -> int:
    """What the image size must be a multiple of for a tap of this stride: each U-Net halves it twice."""
    return 4 * stride


_T = TypeVar("_T", ModelConfig, SynthesisConfig, TrainConfig)


def to_dict(config: ModelConfig | SynthesisConfig | TrainConfig) -> dict[str, Any]:
    """A configuration as plain JSON values (tuples become lists)."""
    return {
        key: list(value) if isinstance(value, tuple) else value
        for key, value in dataclasses.asdict(config).items()
    }


def from_dict(cls: type[_T], document: dict[str, Any]) -> _T:
    """The inverse of `to_dict`; unknown or missing keys are refused by name."""
    names = {field.name for field in dataclasses.fields(cls)}
    unknown, missing = sorted(set(document) - names), sorted(names - set(document))
    if unknown or missing:
        raise ConfigError(f"{cls.__name__}: unknown settings {unknown}, missing settings {missing}.")
    values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in document.items()}
    return cls(**values)


def _require(condition: bool, name: str, value: object, valid: str) -> None:
    if not condition:
        raise ConfigError(f"{name} is {value!r}; valid: {valid}.")
