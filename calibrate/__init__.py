"""From a checkpoint to an engine bundle: INT8 ranges, engines, the threshold, and drift as measured."""

from __future__ import annotations

from realnet_edge.calibrate.build import BuildOptions, build_bundle
from realnet_edge.calibrate.quantise import Quantisation, quantise_onnx
from realnet_edge.calibrate.sources import Sources, ensure_onnx, open_sources
from realnet_edge.calibrate.threshold import conformal_threshold, normals_needed, shortfall

__all__ = [
    "BuildOptions",
    "Quantisation",
    "Sources",
    "build_bundle",
    "conformal_threshold",
    "ensure_onnx",
    "normals_needed",
    "open_sources",
    "quantise_onnx",
    "shortfall",
]
