"""Measures every engine of a category: accuracy, drift and speed in the same row.

Names are imported when first used: the process in which an engine is measured imports this package
too, and its memory must not hold what only the parent needs.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from realnet_edge.bench.accuracy import Accuracy, Evidence, measure_accuracy
    from realnet_edge.bench.drift import Drift, measure_drift, verdict
    from realnet_edge.bench.harness import BenchResult, run_bench
    from realnet_edge.bench.measure import Timing, measure
    from realnet_edge.bench.output import document, write_bench
    from realnet_edge.bench.predictions import Predictions, predict
    from realnet_edge.bench.record import record_accuracy
    from realnet_edge.bench.settings import BenchSettings

_HOMES = {
    "Accuracy": "accuracy",
    "BenchResult": "harness",
    "BenchSettings": "settings",
    "Drift": "drift",
    "Evidence": "accuracy",
    "Predictions": "predictions",
    "Timing": "measure",
    "document": "output",
    "measure": "measure",
    "measure_accuracy": "accuracy",
    "measure_drift": "drift",
    "predict": "predictions",
    "record_accuracy": "record",
    "run_bench": "harness",
    "verdict": "drift",
    "write_bench": "output",
}

__all__ = [
    "Accuracy",
    "BenchResult",
    "BenchSettings",
    "Drift",
    "Evidence",
    "Predictions",
    "Timing",
    "document",
    "measure",
    "measure_accuracy",
    "measure_drift",
    "predict",
    "record_accuracy",
    "run_bench",
    "verdict",
    "write_bench",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
