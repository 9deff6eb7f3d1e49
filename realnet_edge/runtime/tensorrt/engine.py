"""Loading an engine file and reading what it takes and gives."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from realnet_edge.errors import BackendError
from realnet_edge.runtime.tensorrt import versions
from realnet_edge.runtime.tensorrt.messages import Messages

INPUT = "image"
# Name -> type and axes of an output.
OUTPUTS = {
    "anomaly_map": (np.dtype(np.float32), 3),
    "score": (np.dtype(np.float32), 1),
    "rrs_indices": (np.dtype(np.int32), 2),
}


@dataclass(frozen=True)
class Tensor:
    """An input or output.

    Attributes:
        name: of the tensor.
        shape: of one image's part, without the batch axis.
        dtype: of its elements.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def image_bytes(self) -> int:
        """Bytes of one image's part."""
        return int(np.prod(self.shape, dtype=np.int64)) * self.dtype.itemsize


@dataclass(frozen=True)
class LoadedEngine:
    """An engine; the runtime must outlive it, and the messages both."""

    engine: Any
    runtime: Any
    messages: Messages


def load_engine(trt: Any, path: Path, version_compatible: bool = False) -> LoadedEngine:
    """Deserialise an engine that is known to be this machine's own.

    Args:
        trt: the module that built it.
        path: the engine file.
        version_compatible: the engine brings its own runtime, whose code TensorRT runs only if told to.

    Raises:
        BackendError: it cannot be read or TensorRT gives none; the message has TensorRT's own.
    """
    messages = Messages(trt)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BackendError(f"{path}: cannot be read ({error}).") from error
    runtime = trt.Runtime(messages.logger)
    if version_compatible:
        runtime.engine_host_code_allowed = True
    engine = runtime.deserialize_cuda_engine(content)
    if engine is None:
        said = messages.last(errors_only=False) or "nothing"
        raise BackendError(
            f"{path}: {versions.describe(trt)} does not load this engine. It said: {said}. Build the bundle "
            "again on this machine."
        )
    return LoadedEngine(engine, runtime, messages)


def read_tensors(
    trt: Any, engine: Any, path: Path, input_size: tuple[int, int], batch_range: tuple[int, int]
) -> tuple[Tensor, list[Tensor]]:
    """The input and the outputs, which must be those of the runner contract.

    Raises:
        BackendError: other tensors, types or shapes, or a profile that does not hold the batch range.
    """
    names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
    found = {name: _tensor(trt, engine, name) for name in names}
    inputs = {name for name in names if engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT}
    image = Tensor(INPUT, (*input_size, 3), np.dtype(np.uint8))
    good = inputs == {INPUT} and found[INPUT] == image and {"anomaly_map", "score"} <= set(found)
    outputs = [tensor for name, tensor in found.items() if name not in inputs]
    if not good or not all(_fits(tensor, input_size) for tensor in outputs):
        raise BackendError(
            f"{path}: takes and gives {', '.join(_shown(t) for t in found.values())}; an engine takes "
            f"{_shown(image)} and gives anomaly_map and score. Build the bundle again."
        )
    low, _, high = (shape[0] for shape in engine.get_tensor_profile_shape(INPUT, 0))
    if not low <= batch_range[0] <= batch_range[1] <= high:
        raise BackendError(
            f"{path}: takes batches of {low} to {high}, its manifest says {batch_range[0]} to "
            f"{batch_range[1]}. Build the bundle again."
        )
    return image, outputs


def _tensor(trt: Any, engine: Any, name: str) -> Tensor:
    shape = tuple(engine.get_tensor_shape(name))
    return Tensor(name, shape[1:], np.dtype(trt.nptype(engine.get_tensor_dtype(name))))


def _fits(tensor: Tensor, input_size: tuple[int, int]) -> bool:
    if tensor.name not in OUTPUTS:
        return False
    dtype, axes = OUTPUTS[tensor.name]
    known = all(length > 0 for length in tensor.shape)
    whole = tensor.name != "anomaly_map" or tensor.shape == input_size
    return tensor.dtype == dtype and len(tensor.shape) == axes - 1 and known and whole


def _shown(tensor: Tensor) -> str:
    return f"{tensor.name} {tensor.dtype} (N, {', '.join(map(str, tensor.shape))})"
