"""This package's own ablation as data: what each setting of its `edge` preset is worth, one change at a time.

None of this is in the paper. Every row is compared with the preset as it is, seed by seed.
"""

from __future__ import annotations

from realnet_edge.experiments.experiment import Change, Experiment, Row
from realnet_edge.experiments.paper_figures import Published

_BASE = "base"
_WITH_CHIPS = "patches:0.3,bends:0.2,cutpaste:0.15,scratches:0.15,chips:0.2"


def _row(name: str, label: str, change: Change) -> Row:
    return Row(name, label, change, Published())


ABLATION = Experiment(
    "ablation",
    "Ablation of this package",
    "one change at a time against the preset as it is",
    "mvtec",
    ("image_auroc", "pixel_auroc", "au_pro"),
    (
        _row(_BASE, "base: the preset as it is", Change()),
        _row("not-aligned", "parts as they lie", Change(align=False)),
        _row("rotated", "parts as they lie, turned in training", Change(align=False, rotate=180.0)),
        _row("coarser", "without the finest tap", Change(drop_finest=True)),
        _row("wider", "U-Nets half as wide again", Change(widen=1.5)),
        _row("not-standardised", "taps not standardised", Change(standardise=False)),
        _row("patches", "patches alone", Change(source="patches:1")),
        _row("cutpaste", "CutPaste alone", Change(source="cutpaste:1")),
        _row("no-bends", "without bends", Change(without_source="bends")),
        _row("no-scratches", "without scratches", Change(without_source="scratches")),
        _row("chips", "a fifth of the anomalies at the outline (chips)", Change(source=_WITH_CHIPS)),
        _row("no-noise", "without noise on the images", Change(noise=0.0)),
        _row("constant-rate", "constant learning rate", Change(schedule="constant")),
        _row("ema", "weights averaged, EMA 0.998", Change(ema=0.998)),
        _row("rank-noise", "residual planes exchanged in training, spread 0.1", Change(rank_noise=0.1)),
        _row("joint", "segmentation loss trains the U-Nets, too", Change(joint=True)),
        _row("few-afs-batches", "AFS over 8 batches", Change(afs_batches=8)),
        _row("score-order", "RRS planes in order of their score", Change(rrs_order="score")),
        _row("larger", "images 320x320", Change(image_size=320)),
    ),
    (
        "Steps and minutes are limits for every row: where minutes end a run before its steps, rows are "
        "compared at equal time, and a row that costs more a step has fewer of them.",
        "Checkpoints are chosen on anomalies of the row's own source: other sources differ in that, too.",
        "Without the finest tap RRS keeps the same share of the planes that are left; larger images raise "
        "the limit of attention with the area, so that the same layers attend.",
    ),
    preset="edge",
    base=_BASE,
)
