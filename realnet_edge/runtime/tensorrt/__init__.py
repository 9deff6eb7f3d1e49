"""TensorRT and TensorRT for RTX: building engines and running them. Nothing here imports either."""

from realnet_edge.runtime.tensorrt.build import EngineBuild, engine_from_onnx, network_from_onnx
from realnet_edge.runtime.tensorrt.options import EngineOptions

__all__ = ["EngineBuild", "EngineOptions", "engine_from_onnx", "network_from_onnx"]
