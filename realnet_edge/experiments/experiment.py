"""What an experiment is: rows, each a change of a preset's settings, beside the paper's or a base row."""

from __future__ import annotations

from dataclasses import dataclass

from realnet_edge.errors import ConfigError
from realnet_edge.experiments.paper_figures import Published

# Metrics by the names of `RunResult`'s fields; "fps", "fid" and "lpips" are the paper's alone.
METRIC_LABELS = {
    "image_auroc": "image AUROC",
    "pixel_auroc": "pixel AUROC",
    "pro_reference": "PRO",
    "au_pro": "AU-PRO",
    "fps": "FPS",
    "size_gib": "size, GiB",
    "fid": "FID",
    "lpips": "cluster LPIPS",
}
ACCURACY = ("image_auroc", "pixel_auroc", "pro_reference")
AUROCS = ("image_auroc", "pixel_auroc")
RRS_MODES = ("max", "mean", "both", "none")
# What a `Change.source` of these names stands for is the folder that the user gives.
TEXTURES = "textures"
SIA = "sia"
# Strengths of SDAS that the paper compares (Table 5b), as `synth sample --strength` takes them.
STRENGTHS = ("0", "0.1", "0.2", "0.1:0.2")


@dataclass(frozen=True)
class Change:
    """What a row changes in the settings it starts from; the defaults change nothing.

    Attributes:
        source: anomaly source: "textures" or "sia", the user's folder of such, or a specification as
            `realnet_edge.synthesis.make_source` reads it.
        strength: of the SIA images, as the paper names it, one of `STRENGTHS`; for source "sia" alone. Empty
            takes the folder that is given without one.
        without_source: name of the one source that is left out; the weights of the others stay.
        noise, rotate: as in `SynthesisConfig`; None leaves them.
        selection: how channels become planes, as `ModelConfig.selection`.
        standardise: as `ModelConfig.standardise`; None leaves it.
        drop_finest: leave the finest tap out; RRS keeps its share of the planes that remain.
        rrs: "max", "mean" or "both" (half by each), or "none": all residual planes in their own order.
        retention: share of the residual planes that RRS keeps (the paper's P), in (0, 1]; for `rrs` alone.
        rrs_order: as `ModelConfig.rrs_order`.
        architecture: which taps are reconstructed together, as `realnet_edge.config.blocks_of`.
        halve: half the planes of each tap, half the U-Nets' widths, half the planes that RRS keeps.
        widen: the U-Nets' widths times this, rounded up to multiples of 8.
        scale: the image size times this.
        image_size: the image size itself, in pixels; 0 leaves it.
        backbone: another feature extractor in the published proportions, with `planes` of each tap.
        schedule: as `TrainConfig.schedule`.
        ema: as `TrainConfig.ema`; None leaves it.
        rank_noise: as `TrainConfig.rank_noise`; None leaves it.
        joint: as `TrainConfig.joint`; None leaves it.
        afs_batches: as `TrainConfig.afs_batches`; 0 leaves it.
        align: as `Settings.align`; None leaves it.

    Raises:
        ConfigError: no such mode or strength, or a retention that belongs to none or is out of range.
    """

    source: str = ""
    strength: str = ""
    without_source: str = ""
    noise: float | None = None
    rotate: float | None = None
    selection: str = ""
    standardise: bool | None = None
    drop_finest: bool = False
    rrs: str = ""
    retention: float = 0.0
    rrs_order: str = ""
    architecture: str = ""
    halve: bool = False
    widen: float = 1.0
    scale: int = 1
    image_size: int = 0
    backbone: str = ""
    planes: tuple[int, ...] = ()
    schedule: str = ""
    ema: float | None = None
    rank_noise: float | None = None
    joint: bool | None = None
    afs_batches: int = 0
    align: bool | None = None

    def __post_init__(self) -> None:
        if self.rrs not in ("", *RRS_MODES):
            raise ConfigError(f"rrs is {self.rrs!r}; valid: {', '.join(RRS_MODES)}, or empty.")
        if self.strength not in (("", *STRENGTHS) if self.source == SIA else ("",)):
            raise ConfigError(
                f"strength is {self.strength!r}; valid: {', '.join(STRENGTHS)} with source {SIA}."
            )
        chooses = self.rrs in ("max", "mean", "both")
        if chooses != (self.retention > 0) or not 0 <= self.retention <= 1:
            raise ConfigError(
                f"retention is {self.retention:g} for RRS {self.rrs!r}; valid: above 0 and at most 1 with "
                "max, mean and both, 0 without them."
            )


@dataclass(frozen=True)
class Row:
    """One setting of an experiment.

    Attributes:
        name: short and unique within the experiment.
        label: as tables show it.
        change: what it changes in the settings; None where it cannot be run here.
        published: the paper's figures.
        missing: why it cannot be run here, as it reads after "not available: "; empty where it can.
    """

    name: str
    label: str
    change: Change | None
    published: Published
    missing: str = ""

    @classmethod
    def absent(cls, name: str, label: str, published: Published, missing: str) -> Row:
        """A row that cannot be run here."""
        return cls(name, label, None, published, missing)


@dataclass(frozen=True)
class Experiment:
    """One table or figure of the paper, or an ablation of our own.

    Attributes:
        name: as the command line takes it, such as "table5a".
        title: as the paper calls it, such as "Table 5a"; of our own, one that nobody takes for the paper's.
        caption: what it compares.
        data_set: short name of the data set, as `realnet_edge.data.DATA_SETS`.
        metrics: names in `METRIC_LABELS`, in the order of the published figures.
        rows: the settings.
        notes: where ours is not what the paper did, a sentence each.
        curves: whether metrics are also drawn over the retention ratio.
        joined: whether one model is trained for all categories together, instead of one for each.
        of_images: whether the images that the rows' sources make are measured, and nothing is trained.
        preset: whose settings the rows change unless the user names another.
        base: name of the row that the others are compared with, seed by seed; the experiment is then this
            package's own, and the paper has no figures of it. Empty for the paper's.
    """

    name: str
    title: str
    caption: str
    data_set: str
    metrics: tuple[str, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()
    curves: bool = False
    joined: bool = False
    of_images: bool = False
    preset: str = "paper"
    base: str = ""
