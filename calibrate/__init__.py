"""From a checkpoint to an engine bundle: INT8 ranges, engines, the threshold, and drift as measured.

Names are imported when first used: most need PyTorch, and a machine that builds the engine of a prepared
bundle has none.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from realnet_edge.calibrate.build import BuildOptions, build_bundle
    from realnet_edge.calibrate.on_target import TargetOptions, build_on_target
    from realnet_edge.calibrate.prepare import prepare_bundle
    from realnet_edge.calibrate.quantise import Quantisation, quantise_onnx
    from realnet_edge.calibrate.sources import Sources, ensure_onnx, open_sources
    from realnet_edge.calibrate.threshold import conformal_threshold, normals_needed, shortfall

_HOMES = {
    "BuildOptions": "build",
    "Quantisation": "quantise",
    "Sources": "sources",
    "TargetOptions": "on_target",
    "build_bundle": "build",
    "build_on_target": "on_target",
    "conformal_threshold": "threshold",
    "ensure_onnx": "sources",
    "normals_needed": "threshold",
    "open_sources": "sources",
    "prepare_bundle": "prepare",
    "quantise_onnx": "quantise",
    "shortfall": "threshold",
}

__all__ = [
    "BuildOptions",
    "Quantisation",
    "Sources",
    "TargetOptions",
    "build_bundle",
    "build_on_target",
    "conformal_threshold",
    "ensure_onnx",
    "normals_needed",
    "open_sources",
    "prepare_bundle",
    "quantise_onnx",
    "shortfall",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
