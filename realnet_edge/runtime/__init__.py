"""Runners: one contract over TensorRT, ONNX Runtime and OpenVINO. Nothing here imports torch."""

from realnet_edge.runtime.backends import (
    SUPPORTED,
    BackendInfo,
    best_backend,
    check_precision,
    detect,
    detect_backend,
    require_backend,
)
from realnet_edge.runtime.base import DEFAULT_BATCH_RANGE, Prediction, Runner
from realnet_edge.runtime.opening import choose_bundle, open_runner
from realnet_edge.runtime.ort import OnnxRuntimeGpuRunner, OnnxRuntimeRunner
from realnet_edge.runtime.ov import OpenVinoRunner
from realnet_edge.runtime.tensorrt.runner import TensorRtRunner

__all__ = [
    "DEFAULT_BATCH_RANGE",
    "SUPPORTED",
    "BackendInfo",
    "OnnxRuntimeGpuRunner",
    "OnnxRuntimeRunner",
    "OpenVinoRunner",
    "Prediction",
    "Runner",
    "TensorRtRunner",
    "best_backend",
    "check_precision",
    "choose_bundle",
    "detect",
    "detect_backend",
    "open_runner",
    "require_backend",
]
