"""From a checkpoint to one fused ONNX graph."""
