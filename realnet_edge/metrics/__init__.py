"""Accuracy metrics of anomaly detection, in NumPy and OpenCV alone."""

from __future__ import annotations

from realnet_edge.metrics.auroc import image_auroc, pixel_auroc
from realnet_edge.metrics.bootstrap import image_auroc_interval, image_precision_intervals
from realnet_edge.metrics.correlation import spearman
from realnet_edge.metrics.official import pro_reference
from realnet_edge.metrics.pixel_bootstrap import PixelCounts, PixelIntervals, pixel_intervals
from realnet_edge.metrics.pixels import PixelScores, pixel_scores
from realnet_edge.metrics.precision_recall import (
    image_average_precision,
    image_f1_max,
    pixel_average_precision,
    pixel_f1_max,
)
from realnet_edge.metrics.pro import au_pro
from realnet_edge.metrics.streaming import PixelStream, StreamedScores

__all__ = [
    "PixelCounts",
    "PixelIntervals",
    "PixelScores",
    "PixelStream",
    "StreamedScores",
    "au_pro",
    "image_auroc",
    "image_auroc_interval",
    "image_average_precision",
    "image_f1_max",
    "image_precision_intervals",
    "pixel_auroc",
    "pixel_average_precision",
    "pixel_f1_max",
    "pixel_intervals",
    "pixel_scores",
    "pro_reference",
    "spearman",
]
