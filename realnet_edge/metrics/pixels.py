"""All pixel metrics of one set of maps, from one sort and one labelling."""

from __future__ import annotations

from dataclasses import dataclass

import numpy.typing as npt

from realnet_edge.errors import DataError
from realnet_edge.metrics.checks import masks_and_maps
from realnet_edge.metrics.official import pro_reference_from
from realnet_edge.metrics.precision_recall import (
    average_precision_from,
    counts_at_anomalous,
    f1_max_from,
)
from realnet_edge.metrics.pro import au_pro_from
from realnet_edge.metrics.ranking import NormalPixels, auroc_from_ranks
from realnet_edge.metrics.regions import label_regions


@dataclass(frozen=True)
class PixelScores:
    """Pixel metrics in [0, 1]; `pro_reference` is None where the maps are too flat to define it."""

    pixel_auroc: float
    au_pro: float
    pro_reference: float | None
    average_precision: float
    f1_max: float


def pixel_scores(masks: npt.ArrayLike, maps: npt.ArrayLike) -> PixelScores:
    """Pixel AUROC, AU-PRO at 0.3, the official PRO, AP and F1-max, sharing the sort of the normal pixels.

    Args:
        masks: (N, H, W) ground truth; non-zero marks an anomalous pixel.
        maps: (N, H, W) anomaly maps.

    Raises:
        DataError: shapes differ, a map is not finite, or the masks mark no pixel or every pixel.
    """
    truth, values = masks_and_maps(masks, maps)
    normal = NormalPixels.of(truth, values)
    try:
        official = pro_reference_from(normal, label_regions(truth, filled=True), values)
    except DataError:
        # Flat maps of a barely trained model: the other two metrics still say how bad they are.
        official = None
    anomalous = values[truth]
    found, others, levels = counts_at_anomalous(normal, anomalous)
    return PixelScores(
        pixel_auroc=auroc_from_ranks(normal, anomalous),
        au_pro=au_pro_from(normal, label_regions(truth), values),
        pro_reference=official,
        average_precision=float(average_precision_from(found, others)),
        f1_max=f1_max_from(found, others, levels)[0],
    )
