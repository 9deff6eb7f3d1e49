"""OpenVINO on the CPU."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from realnet_edge.errors import BackendError
from realnet_edge.runtime.backends import import_backend
from realnet_edge.runtime.base import DEFAULT_BATCH_RANGE, Prediction, Runner

_DEVICE = "CPU"
_OUTPUTS = ("anomaly_map", "score")
# The layers that nearly all of the time goes to, by OpenVINO's names for them.
_HEAVY_LAYERS = frozenset({"Convolution", "Deconvolution", "MatMul", "FullyConnected"})
_INTEGERS = frozenset({"i8", "u8"})


class OpenVinoRunner(Runner):
    """Runs an IR (.xml) or ONNX engine graph with OpenVINO's CPU plugin.

    The float arithmetic is set by `precision_hint` and read back after compiling; `arithmetic` then says
    what the compiled layers compute in, which is not what was asked for on a CPU without 16-bit units.

    Args:
        model_path: the .xml file (its .bin beside it) or an ONNX file.
        precision: "fp32", "fp16" or "int8".
        input_size: (height, width) of the images.
        batch_range: smallest and largest batch.
        threads: CPU threads for one inference; None takes OpenVINO's default for lowest latency.

    Raises:
        BackendError: on entering: OpenVINO missing, a precision it does not do, a model that it cannot
            load, or a precision hint that it did not take.
    """

    def __init__(
        self,
        model_path: Path,
        *,
        precision: str = "fp32",
        input_size: tuple[int, int],
        batch_range: tuple[int, int] = DEFAULT_BATCH_RANGE,
        threads: int | None = None,
    ) -> None:
        super().__init__(
            backend="openvino",
            precision=precision,
            arithmetic="not compiled yet",
            batch_range=batch_range,
            input_size=input_size,
            threads=threads,
        )
        self._model_path = model_path
        self._request: Any = None

    def _open(self) -> None:
        ov = import_backend("openvino", self.precision)
        core = ov.Core()
        capabilities = core.get_property(_DEVICE, "OPTIMIZATION_CAPABILITIES")
        hint = precision_hint(self.precision, capabilities)
        config: dict[str, Any] = {"INFERENCE_PRECISION_HINT": hint, "PERFORMANCE_HINT": "LATENCY"}
        if self.threads is not None:
            config["INFERENCE_NUM_THREADS"] = self.threads
        try:
            model = core.read_model(self._model_path)
            _check_graph(model, self._model_path, self.input_size)
            # One image at a time, whatever the batch: with every shape known OpenVINO fuses more, and an
            # image's map is the same to the bit in every batch, so that the threshold holds in all.
            model.reshape({"image": [1, *self.input_size, 3]})
            keep_coordinates(model)
            compiled = core.compile_model(model, _DEVICE, config)
        except RuntimeError as error:
            raise BackendError(f"{self._model_path}: OpenVINO cannot load it ({error}).") from error
        taken = compiled.get_property("INFERENCE_PRECISION_HINT").to_string()
        if taken != hint:
            raise BackendError(f"{self._model_path}: OpenVINO computes in {taken}, asked for {hint}.")
        self.arithmetic = describe_arithmetic(compiled)
        self._request = compiled.create_infer_request()

    def _close(self) -> None:
        self._request = None

    def _execute(self, images: npt.NDArray[np.uint8], diagnostics: bool) -> Prediction:
        names = (*_OUTPUTS, "rrs_indices") if diagnostics else _OUTPUTS
        single = [self._infer_one(image, names) for image in images]
        maps, scores, *indices = (np.concatenate(parts) for parts in zip(*single, strict=True))
        return Prediction(maps, scores, indices[0] if indices else None)

    def _infer_one(self, image: npt.NDArray[np.uint8], names: tuple[str, ...]) -> list[npt.NDArray[Any]]:
        """The outputs of these names for one image, each with a batch axis of 1."""
        try:
            self._request.infer({"image": image[np.newaxis]}, share_inputs=True)
        except RuntimeError as error:
            raise BackendError(f"OpenVINO failed on an image: {error}") from error
        # Copies: the tensors are the request's own and the next inference writes over them.
        return [np.array(self._request.get_tensor(name).data) for name in names]


def precision_hint(precision: str, capabilities: list[str]) -> str:
    """The float type to ask OpenVINO for: "f32", "bf16" or "f16".

    FP32 means float32, and so is what INT8 leaves in float: with bf16 there image AUROC of two screw models
    moved by up to 0.8 points, without by up to 0.5, for a tenth of the time. FP16 takes the 16-bit arithmetic
    that the CPU has: bf16 before f16, since x86 server CPUs have matrix units for it, else float32.

    Args:
        precision: "fp32", "fp16" or "int8".
        capabilities: OpenVINO's OPTIMIZATION_CAPABILITIES of the device.
    """
    if precision in ("fp32", "int8"):
        return "f32"
    if "BF16" in capabilities:
        return "bf16"
    return "f16" if "FP16" in capabilities else "f32"


def keep_coordinates(model: Any) -> None:
    """Have what images are sampled at computed in float32, whatever the rest is computed in.

    OpenVINO keeps in float32 what leads to an output without a convolution on the way, and the grid that a
    part's strip is taken at leads to convolutions alone: in bf16 it was off by about a pixel.
    """
    grids = [op.input_value(1) for op in model.get_ops() if op.get_type_name() == "GridSample"]
    if grids:
        model.add_outputs(grids)


def describe_arithmetic(compiled: Any) -> str:
    """What a compiled model computes its convolutions and matrix products in, such as "int8 + bf16".

    Read from the names of the compiled kernels, not from what was asked for. The float type that the
    remaining layers run in is always named.
    """
    found = set()
    for layer in compiled.get_runtime_model().get_ops():
        info = layer.get_rt_info()
        if info["layerType"].astype(str) in _HEAVY_LAYERS:
            # The kernel's own name, such as "brgconv_avx512_1x1_bf16". The entry "runtimePrecision" says
            # f16 of a float32 kernel whose weights are stored in 16 bits.
            found.add(info["primitiveType"].astype(str).rsplit("_", 1)[-1].lower())
    integers = ["int8"] if found & _INTEGERS else []
    floats = sorted(found - _INTEGERS) or [compiled.get_property("INFERENCE_PRECISION_HINT").to_string()]
    return " + ".join(integers + floats)


def _check_graph(model: Any, path: Path, input_size: tuple[int, int]) -> None:
    """The graph takes and gives what the runner contract says."""
    inputs = [
        (item.any_name, item.element_type.to_string(), item.partial_shape.to_string())
        for item in model.inputs
    ]
    outputs = {name for item in model.outputs for name in item.names}
    height, width = input_size
    fits = len(inputs) == 1 and inputs[0][:2] == ("image", "u8")
    # The batch may be printed as "?" or, where a builder set bounds, as "1..32"; never as one number.
    fits = fits and re.fullmatch(rf"\[(\?|\d*\.\.\d*),{height},{width},3\]", inputs[0][2]) is not None
    if not fits or not set(_OUTPUTS) <= outputs:
        found = ", ".join(" ".join(parts) for parts in inputs)
        raise BackendError(
            f"{path}: takes {found} and gives {sorted(outputs)}; an engine takes image u8 "
            f"[?,{height},{width},3] and gives {' and '.join(_OUTPUTS)}."
        )
