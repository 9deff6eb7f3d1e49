"""The result row: one flat record an engine, accuracy and speed in the same place.

JSON, CSV, the terminal table and the HTML report all show these fields, under these names.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from realnet_edge.errors import DataError
from realnet_edge.files import atomic_path

VERDICTS = ("reference", "pass", "fail", "unmeasured")


def _with_ends(*names: str) -> tuple[str, ...]:
    """Each figure and the two ends of its interval."""
    return tuple(f"{name}{end}" for name in names for end in ("", "_low", "_high"))


# Above zero: a latency or a rate of 0 is a clock that did not tick.
_TINY = 5e-324
_RANGES: dict[tuple[float, float], tuple[str, ...]] = {
    (1, math.inf): ("batch", "images"),
    (0, math.inf): (
        "peak_memory_mb",
        "size_mb",
        *_with_ends("pro_reference"),
        "drift_decisions_flipped",
        "drift_rrs_rank_swaps",
        "drift_rrs_exchanged",
    ),
    (_TINY, math.inf): ("fps", "e2e_fps", "latency_ms_p50", "e2e_ms_p50"),
    (0, 100): (
        *_with_ends("image_auroc", "image_ap", "image_f1_max"),
        *_with_ends("pixel_auroc", "au_pro", "pixel_ap", "pixel_f1_max"),
        "image_auroc_max",
        "image_auroc_avgpool16",
    ),
    (0, 1): ("threshold", "budget", "drift_map_max_abs", "drift_map_mean_abs"),
    (-100, 100): (
        "drift_image_auroc_points",
        "drift_image_auroc_low",
        "drift_image_auroc_high",
        "drift_pixel_auroc_points",
        "drift_pixel_auroc_low",
        "drift_pixel_auroc_high",
        "drift_au_pro_points",
        "drift_au_pro_low",
        "drift_au_pro_high",
    ),
    (-1, 1): ("drift_score_spearman",),
}
_NAMES = ("category", "backend", "precision")
_LATENCIES = ("latency_ms", "e2e_ms")


@dataclass(frozen=True)
class ResultRow:
    """What one engine did on one category's test images. `None` means not measured, never NaN.

    Attributes:
        category: Category name, such as "screw".
        backend: "pytorch" or the backend of a bundle, such as "openvino".
        precision: The precision asked for: "fp32", "fp16" or "int8".
        arithmetic: What the hardware really computed with, such as "int8 + bf16".
        device: The processor or accelerator, in words.
        versions: Software that took part, "name version" joined by ", ".
        batch: Images handed to the engine at once, >= 1.
        images: Test images behind the figures, >= 1.
        latency_ms_p50: Median milliseconds of one engine call at `batch`, > 0.
        latency_ms_p90: 90th percentile of the same.
        latency_ms_p99: 99th percentile of the same.
        fps: Images a second of the engine alone, > 0.
        e2e_ms_p50: Median milliseconds from the encoded frame to the decision, > 0.
        e2e_ms_p90: 90th percentile of the same.
        e2e_ms_p99: 99th percentile of the same.
        e2e_fps: Images a second end to end, > 0.
        peak_memory_mb: Peak memory of the measuring process, megabytes of 10^6 bytes, >= 0.
        image_auroc: Area under the image-level ROC, percent in [0, 100], never flipped.
        image_auroc_low: Lower end of its 95% bootstrap interval: what other test sets of as many images
            would give, percent.
        image_auroc_high: Upper end of the same.
        image_auroc_max: The image AUROC if an image's score were the largest value of its map, percent.
        image_auroc_avgpool16: The same with the largest mean over 16 x 16 pixels, the official rule.
        image_ap: Average precision of the image scores, percent.
        image_ap_low: Lower end of its 95% interval.
        image_ap_high: Upper end of the same.
        image_f1_max: Best F1 of the image scores over all thresholds, percent.
        image_f1_max_low: Lower end of its 95% interval.
        image_f1_max_high: Upper end of the same.
        pixel_auroc: Area under the pixel-level ROC, percent; None without masks.
        pixel_auroc_low: Lower end of its 95% interval; whole images are drawn.
        pixel_auroc_high: Upper end of the same.
        au_pro: MVTec's area under the per-region overlap up to 30% false positives, percent;
            None without masks.
        au_pro_low: Lower end of its 95% interval.
        au_pro_high: Upper end of the same.
        pro_reference: The same as the official RealNet code computes it, percent, >= 0 and above 100 only
            where regions have holes; None without masks.
        pro_reference_low: Lower end of its 95% interval.
        pro_reference_high: Upper end of the same.
        pixel_ap: Average precision of all pixels, percent; None without masks.
        pixel_ap_low: Lower end of its 95% interval.
        pixel_ap_high: Upper end of the same.
        pixel_f1_max: Best F1 of all pixels over all thresholds, percent; None without masks.
        pixel_f1_max_low: Lower end of its 95% interval.
        pixel_f1_max_high: Upper end of the same.
        drift_image_auroc_points: This row's image AUROC minus FP32 PyTorch's, percentage points.
        drift_image_auroc_low: Lower end of its 95% bootstrap interval over the images, percentage points. An
            interval that holds 0 says that these images cannot tell the engine from FP32 PyTorch.
        drift_image_auroc_high: Upper end of the same.
        drift_pixel_auroc_points: This row's pixel AUROC minus FP32 PyTorch's; None without masks.
        drift_pixel_auroc_low: Lower end of its 95% interval, percentage points.
        drift_pixel_auroc_high: Upper end of the same.
        drift_au_pro_points: The same for AU-PRO; None without masks.
        drift_au_pro_low: Lower end of its 95% interval, percentage points.
        drift_au_pro_high: Upper end of the same.
        drift_map_max_abs: Largest absolute anomaly map difference against FP32 PyTorch, in [0, 1].
        drift_map_mean_abs: Mean of the same, in [0, 1].
        drift_score_spearman: Rank correlation of image scores against FP32 PyTorch, in [-1, 1].
        drift_decisions_flipped: Images on the other side of the threshold than with FP32 PyTorch, >= 0.
        drift_rrs_rank_swaps: Reconstruction residuals chosen at another rank than FP32 PyTorch
            chose them, mean count an image, >= 0.
        drift_rrs_exchanged: Reconstruction residuals that were chosen and are not among FP32 PyTorch's,
            whatever their ranks, mean count an image, >= 0.
        threshold: Image score above which an image is called a defect, in [0, 1].
        budget: Share of FP32 PyTorch's accuracy that must be kept, in (0, 1], such as 0.99.
        verdict: "reference" (this is FP32 PyTorch), "pass" or "fail" (against `budget`), or
            "unmeasured" (no reference to compare with).
        size_mb: Size of the engine's files, megabytes of 10^6 bytes, >= 0.

    Raises:
        DataError: a value outside its range, NaN, infinity, or percentiles out of order.
    """

    category: str
    backend: str
    precision: str
    arithmetic: str
    device: str
    versions: str
    batch: int
    images: int
    latency_ms_p50: float
    latency_ms_p90: float
    latency_ms_p99: float
    fps: float
    e2e_ms_p50: float | None = None
    e2e_ms_p90: float | None = None
    e2e_ms_p99: float | None = None
    e2e_fps: float | None = None
    peak_memory_mb: float | None = None
    image_auroc: float | None = None
    image_auroc_low: float | None = None
    image_auroc_high: float | None = None
    image_auroc_max: float | None = None
    image_auroc_avgpool16: float | None = None
    image_ap: float | None = None
    image_ap_low: float | None = None
    image_ap_high: float | None = None
    image_f1_max: float | None = None
    image_f1_max_low: float | None = None
    image_f1_max_high: float | None = None
    pixel_auroc: float | None = None
    pixel_auroc_low: float | None = None
    pixel_auroc_high: float | None = None
    au_pro: float | None = None
    au_pro_low: float | None = None
    au_pro_high: float | None = None
    pro_reference: float | None = None
    pro_reference_low: float | None = None
    pro_reference_high: float | None = None
    pixel_ap: float | None = None
    pixel_ap_low: float | None = None
    pixel_ap_high: float | None = None
    pixel_f1_max: float | None = None
    pixel_f1_max_low: float | None = None
    pixel_f1_max_high: float | None = None
    drift_image_auroc_points: float | None = None
    drift_image_auroc_low: float | None = None
    drift_image_auroc_high: float | None = None
    drift_pixel_auroc_points: float | None = None
    drift_pixel_auroc_low: float | None = None
    drift_pixel_auroc_high: float | None = None
    drift_au_pro_points: float | None = None
    drift_au_pro_low: float | None = None
    drift_au_pro_high: float | None = None
    drift_map_max_abs: float | None = None
    drift_map_mean_abs: float | None = None
    drift_score_spearman: float | None = None
    drift_decisions_flipped: int | None = None
    drift_rrs_rank_swaps: float | None = None
    drift_rrs_exchanged: float | None = None
    threshold: float | None = None
    budget: float | None = None
    verdict: str = "unmeasured"
    size_mb: float | None = None

    def __post_init__(self) -> None:
        for field in fields(self):
            _check_type(field.name, str(field.type), getattr(self, field.name))
        for name in _NAMES:
            if not getattr(self, name):
                raise DataError(f"result row: {name} is empty; give the name it is known by.")
        for (low, high), names in _RANGES.items():
            for name in names:
                _check_range(name, getattr(self, name), low, high)
        for prefix in _LATENCIES:
            _check_percentiles(prefix, [getattr(self, f"{prefix}_p{q}") for q in (50, 90, 99)])
        if self.verdict not in VERDICTS:
            raise DataError(f"result row: verdict is {self.verdict!r}; it is one of {', '.join(VERDICTS)}.")

    @property
    def name(self) -> str:
        """Backend and precision, as bundles are named: "openvino-int8"."""
        return f"{self.backend}-{self.precision}"

    @property
    def label(self) -> str:
        """The name for a reader, with a batch above 1: "openvino-int8 x8"."""
        return self.name if self.batch == 1 else f"{self.name} x{self.batch}"

    def to_dict(self) -> dict[str, Any]:
        """Field names and plain values, in the order of the columns."""
        return asdict(self)


COLUMNS: tuple[str, ...] = tuple(field.name for field in fields(ResultRow))


def write_csv(path: Path, rows: Sequence[ResultRow]) -> None:
    """Write rows as CSV with a header, atomically; what was not measured is an empty cell."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(row.to_dict() for row in rows)
    with atomic_path(path) as temporary:
        temporary.write_text(text.getvalue(), encoding="utf-8", newline="")


def _check_type(name: str, kind: str, value: Any) -> None:
    base, _, optional = kind.partition(" | ")
    if value is None and optional:
        return
    valid = {"str": (str,), "int": (int,), "float": (int, float)}[base]
    # True is an int to Python, and never what a column means.
    if isinstance(value, bool) or not isinstance(value, valid):
        raise DataError(f"result row: {name} is {value!r}; it is {kind}.")
    if isinstance(value, float) and not math.isfinite(value):
        raise DataError(f"result row: {name} is {value}; give None for what was not measured.")


def _check_range(name: str, value: float | None, low: float, high: float) -> None:
    if value is not None and not low <= value <= high:
        bounds = (
            f"in [{low:g}, {high:g}]"
            if math.isfinite(high)
            else (f"at least {low:g}" if low in (0, 1) else "above 0")
        )
        raise DataError(f"result row: {name} is {value}; it is {bounds}.")


def _check_percentiles(prefix: str, values: Sequence[float | None]) -> None:
    known = [value for value in values if value is not None]
    if len(known) not in (0, 3) or known != sorted(known):
        raise DataError(f"result row: {prefix} p50, p90, p99 are {values}; give all three, rising, or none.")
