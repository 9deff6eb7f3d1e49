"""From a checkpoint to one ONNX graph that computes what the model computes."""

from __future__ import annotations

from realnet_edge.export.graph import OUTPUTS, EngineGraph
from realnet_edge.export.onnx_export import onnx_from_checkpoint
from realnet_edge.export.parity import Parity, StageDifference
from realnet_edge.export.report import ExportReport
from realnet_edge.export.torch_runner import TorchRunner

__all__ = [
    "OUTPUTS",
    "EngineGraph",
    "ExportReport",
    "Parity",
    "StageDifference",
    "TorchRunner",
    "onnx_from_checkpoint",
]
