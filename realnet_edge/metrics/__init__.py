"""Accuracy metrics of anomaly detection, in NumPy and OpenCV alone."""

from __future__ import annotations

from realnet_edge.metrics.auroc import image_auroc, pixel_auroc
from realnet_edge.metrics.bootstrap import image_auroc_interval
from realnet_edge.metrics.correlation import spearman
from realnet_edge.metrics.official import pro_reference
from realnet_edge.metrics.pixels import PixelScores, pixel_scores
from realnet_edge.metrics.pro import au_pro

__all__ = [
    "PixelScores",
    "au_pro",
    "image_auroc",
    "image_auroc_interval",
    "pixel_auroc",
    "pixel_scores",
    "pro_reference",
    "spearman",
]
