"""The figures of a result row in the order they are shown, with their names and digits.

The terminal table and the HTML report are both made from this list.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from realnet_edge.report import text
from realnet_edge.report.rows import ResultRow


@dataclass(frozen=True)
class Column:
    """One figure of a row.

    Attributes:
        group: Heading that it stands under.
        name: Short name with its unit.
        show: Its text for a row.
        heading: Name on two lines for the terminal's wide layout; None keeps it out of the terminal.
        words: The text is words, not a number.
    """

    group: str
    name: str
    show: Callable[[ResultRow], str]
    heading: str | None = None
    words: bool = False


_INTERVAL = "its 95% interval"
COLUMNS: tuple[Column, ...] = (
    Column("Engine", "arithmetic", lambda r: r.arithmetic, "arithmetic", words=True),
    Column("Engine", "size (MB)", lambda r: text.number(r.size_mb), "size\nMB"),
    Column("Engine", "peak memory (MB)", lambda r: text.number(r.peak_memory_mb, 0)),
    Column("Speed", "engine p50 (ms)", lambda r: text.milliseconds(r.latency_ms_p50), "engine ms\np50"),
    Column("Speed", "engine p90 (ms)", lambda r: text.milliseconds(r.latency_ms_p90), "\np90"),
    Column("Speed", "engine p99 (ms)", lambda r: text.milliseconds(r.latency_ms_p99), "\np99"),
    Column("Speed", "engine FPS", lambda r: text.rate(r.fps), "engine\nFPS"),
    Column("Speed", "e2e p50 (ms)", lambda r: text.milliseconds(r.e2e_ms_p50), "e2e ms\np50"),
    Column("Speed", "e2e p90 (ms)", lambda r: text.milliseconds(r.e2e_ms_p90), "\np90"),
    Column("Speed", "e2e p99 (ms)", lambda r: text.milliseconds(r.e2e_ms_p99), "\np99"),
    Column("Speed", "e2e FPS", lambda r: text.rate(r.e2e_fps), "e2e\nFPS"),
    Column("Accuracy", "image AUROC (%)", lambda r: text.number(r.image_auroc, 2), "image\nAUROC"),
    Column("Accuracy", _INTERVAL, lambda r: text.interval(r.image_auroc_low, r.image_auroc_high)),
    Column("Accuracy", "by the maximum (%)", lambda r: text.number(r.image_auroc_max, 2)),
    Column("Accuracy", "by 16x16 means (%)", lambda r: text.number(r.image_auroc_avgpool16, 2)),
    Column("Accuracy", "image AP (%)", lambda r: text.number(r.image_ap, 2)),
    Column("Accuracy", _INTERVAL, lambda r: text.interval(r.image_ap_low, r.image_ap_high)),
    Column("Accuracy", "image F1-max (%)", lambda r: text.number(r.image_f1_max, 2)),
    Column("Accuracy", _INTERVAL, lambda r: text.interval(r.image_f1_max_low, r.image_f1_max_high)),
    Column("Accuracy", "pixel AUROC (%)", lambda r: text.number(r.pixel_auroc, 2), "pixel\nAUROC"),
    Column("Accuracy", _INTERVAL, lambda r: text.interval(r.pixel_auroc_low, r.pixel_auroc_high, 2)),
    Column("Accuracy", "AU-PRO (%)", lambda r: text.number(r.au_pro, 2), "AU-PRO\n30%"),
    Column("Accuracy", _INTERVAL, lambda r: text.interval(r.au_pro_low, r.au_pro_high)),
    Column("Accuracy", "PRO reference (%)", lambda r: text.number(r.pro_reference, 2), "PRO\nref."),
    Column("Accuracy", _INTERVAL, lambda r: text.interval(r.pro_reference_low, r.pro_reference_high)),
    Column("Accuracy", "pixel AP (%)", lambda r: text.number(r.pixel_ap, 2)),
    Column("Accuracy", _INTERVAL, lambda r: text.interval(r.pixel_ap_low, r.pixel_ap_high)),
    Column("Accuracy", "pixel F1-max (%)", lambda r: text.number(r.pixel_f1_max, 2)),
    Column("Accuracy", _INTERVAL, lambda r: text.interval(r.pixel_f1_max_low, r.pixel_f1_max_high)),
    Column("Accuracy", "threshold", lambda r: text.small(r.threshold)),
    Column("Drift", "drift image (pts)", lambda r: text.points(r.drift_image_auroc_points), "drift\nimage"),
    Column(
        "Drift",
        _INTERVAL,
        lambda r: text.interval(r.drift_image_auroc_low, r.drift_image_auroc_high, signed=True),
    ),
    Column("Drift", "drift pixel (pts)", lambda r: text.points(r.drift_pixel_auroc_points), "\npixel"),
    Column(
        "Drift",
        _INTERVAL,
        lambda r: text.interval(r.drift_pixel_auroc_low, r.drift_pixel_auroc_high, 2, signed=True),
    ),
    Column("Drift", "drift AU-PRO (pts)", lambda r: text.points(r.drift_au_pro_points)),
    Column(
        "Drift", _INTERVAL, lambda r: text.interval(r.drift_au_pro_low, r.drift_au_pro_high, 2, signed=True)
    ),
    Column("Drift", "decisions flipped", lambda r: text.count(r.drift_decisions_flipped), "flips"),
    Column("Drift", "map difference, max", lambda r: text.small(r.drift_map_max_abs)),
    Column("Drift", "map difference, mean", lambda r: text.small(r.drift_map_mean_abs)),
    Column("Drift", "score rank correlation", lambda r: text.number(r.drift_score_spearman, 4)),
    Column("Drift", "RRS rank swaps an image", lambda r: text.count(r.drift_rrs_rank_swaps)),
    Column("Drift", "RRS planes exchanged an image", lambda r: text.count(r.drift_rrs_exchanged)),
)


def verdict(row: ResultRow) -> str:
    """The verdict and, where there is one, the budget behind it: "pass 99%"."""
    if row.verdict in ("pass", "fail") and row.budget is not None:
        return f"{row.verdict} {100 * row.budget:g}%"
    return row.verdict
