"""INT8 by static symmetric Q/DQ: every weighted layer computes on int8, whatever decides stays in float.

The form is the one that ONNX Runtime, OpenVINO and TensorRT all take: int8 with zero points of 0, weights
per output channel, biases in float; where only OpenVINO is to take it, activations can be uint8.
Convolutions and transposed convolutions are quantised; the pooling and top-k of RRS, normalisation,
attention's softmax and the image score hold no such layer and so stay in float.
"""

from __future__ import annotations

import contextlib
import fnmatch
import logging
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)

from realnet_edge.calibrate.inspect_qdq import inspect_qdq
from realnet_edge.calibrate.smoothing import smooth_graph
from realnet_edge.errors import ConfigError, DataError, ExportError
from realnet_edge.files import atomic_folder

# Single images carry odd ranges; fewer than these and one of them sets the scale of every layer.
MIN_IMAGES = 5
_TRANSPOSED = ("ConvTranspose",)
OP_TYPES = ("Conv", *_TRANSPOSED)
METHODS = {
    "minmax": CalibrationMethod.MinMax,
    "percentile": CalibrationMethod.Percentile,
    "entropy": CalibrationMethod.Entropy,
}
PERCENTILE = 99.999
WEIGHT_BITS = (7, 8)
DEFAULT_METHOD = "minmax"


@dataclass(frozen=True)
class Quantisation:
    """What a quantisation did.

    Attributes:
        method: how ranges were taken from activations: "minmax", "percentile" or "entropy".
        images: real images that were run through the network.
        quantised: names of the layers that compute on int8.
        left: names of convolutions and transposed convolutions that stay in float.
    """

    method: str
    images: int
    quantised: tuple[str, ...]
    left: tuple[str, ...]


def quantise_onnx(
    source: Path,
    target: Path,
    images: npt.NDArray[np.uint8],
    method: str = DEFAULT_METHOD,
    exclude: Sequence[str] = (),
    quantise_outputs: bool = False,
    asymmetric: bool = False,
    weight_bits: int = 8,
    smooth: bool = False,
) -> Quantisation:
    """Quantise an exported engine graph, with ranges from real images; `target`'s folder is replaced whole.

    Args:
        source: FP32 ONNX from `onnx_from_checkpoint`.
        target: INT8 ONNX to make, in a folder of its own; over 2 GB its weights lie beside it.
        images: uint8 (N, H, W, 3) RGB real images that training and threshold have not seen, N at least 5.
        method: "minmax", "percentile" (99.999) or "entropy".
        exclude: beginnings of layer names that stay in float; "*" in one stands for anything.
        quantise_outputs: also quantise what the layers give, not only what they take. ONNX Runtime's int8
            kernels need it; OpenVINO's do not, and residuals are closer without.
        asymmetric: activations as uint8 with a zero point of their own instead of int8 about 0. SiLU and ReLU
            leave little or nothing below 0, so that steps are half as wide. TensorRT does not take it, and
            OpenVINO not for transposed convolutions, which would be computed in float: what these take is
            int8 about 0 all the same. With weights of 7 bits they stay in float.
        weight_bits: 8, or 7 for processors that add two products in 16 bits and saturate: x86 without VNNI.
        smooth: even out the channels of what layers take first, see `smooth_graph`: closer for one more
            multiplication a layer.

    Raises:
        ConfigError: an unknown method, another number of bits, or an exclusion that fits no layer.
        DataError: too few images, or images that are all the same.
        ExportError: the result is not what the engines can take.
    """
    if method not in METHODS:
        raise ConfigError(f"calibration method {method!r} is unknown: use {', '.join(METHODS)}.")
    if weight_bits not in WEIGHT_BITS:
        raise ConfigError(
            f"weights of {weight_bits} bits are unknown: use {' or '.join(map(str, WEIGHT_BITS))}."
        )
    check_calibration_images(images)
    large = any(source.parent.glob(f"{source.name}.data"))
    layers = list(_layers(source))
    left = _excluded(layers, exclude)
    if asymmetric and weight_bits == 7:
        # Without VNNI OpenVINO's int8 kernel for them is slower than its float one, by half (AVX2).
        left = [name for name in layers if name in {*left, *_layers(source, _TRANSPOSED)}]
    options: dict[str, Any] = {
        "ActivationSymmetric": not asymmetric,
        "WeightSymmetric": True,
        "AddQDQPairToWeight": True,
        "QuantizeBias": False,
        "DedicatedQDQPair": True,
        "OpTypesToExcludeOutputQuantization": [] if quantise_outputs else list(OP_TYPES),
        "CalibPercentile": PERCENTILE,
        # One image at a time: histograms otherwise hold the activations of all images at once.
        "CalibStridedMinMax": 1,
    }
    with atomic_folder(target.parent) as folder, tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        read = source
        if smooth:
            read = Path(scratch, target.name)
            smooth_graph(source, read, images, set(layers) - set(left))
        if asymmetric:
            about_zero = [{"quant_type": QuantType.QInt8, "symmetric": True}]
            taken = {
                tensor: about_zero for name, tensor in _layers(read, _TRANSPOSED).items() if name not in left
            }
            options["TensorQuantOverrides"] = taken
        with _quiet():
            quantize_static(
                read,
                folder / target.name,
                _Reader(images),
                quant_format=QuantFormat.QDQ,
                op_types_to_quantize=list(OP_TYPES),
                per_channel=True,
                activation_type=QuantType.QUInt8 if asymmetric else QuantType.QInt8,
                weight_type=QuantType.QInt8,
                reduce_range=weight_bits == 7,
                calibrate_method=METHODS[method],
                nodes_to_exclude=left,
                use_external_data_format=large,
                extra_options=options,
            )
        quantised, still_float = inspect_qdq(folder / target.name, OP_TYPES, asymmetric)
    if not quantised:
        raise ExportError(f"no layer of {source} was quantised: is it an engine graph of this package?")
    return Quantisation(method, len(images), quantised, still_float)


def check_calibration_images(images: npt.NDArray[np.uint8]) -> None:
    """Refuse what no range should be taken from.

    Raises:
        DataError: wrong type or shape, fewer than `MIN_IMAGES`, or all of them the same.
    """
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[-1] != 3:
        raise DataError(f"calibration images are {images.shape} {images.dtype}, expected (N, H, W, 3) uint8.")
    if len(images) < MIN_IMAGES:
        raise DataError(
            f"INT8 calibration needs at least {MIN_IMAGES} real images, got {len(images)}. Add good images "
            "and train again, so that more are set aside, or build at fp16 or fp32."
        )
    if all(np.array_equal(images[0], image) for image in images[1:]):
        raise DataError(
            f"all {len(images)} calibration images are the same: ranges need different real images. "
            "Look for copies among the good images (`realnet-edge data check`)."
        )


class _Reader(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime ships no types
    """Hands images to ONNX Runtime one by one; ranges of positions let it work in strides."""

    def __init__(self, images: npt.NDArray[np.uint8]) -> None:
        self._images = images
        self.set_range(0, len(images))

    def __len__(self) -> int:
        return len(self._images)

    def set_range(self, start_index: int, end_index: int) -> None:
        self._positions = iter(range(start_index, end_index))

    def get_next(self) -> dict[str, npt.NDArray[np.uint8]] | None:
        position = next(self._positions, None)
        return None if position is None else {"image": self._images[position : position + 1]}


def _excluded(names: Sequence[str], prefixes: Sequence[str]) -> list[str]:
    spared: set[str] = set()
    for prefix in prefixes:
        found = {name for name in names if fnmatch.fnmatchcase(name, f"{prefix}*")}
        if not found:
            shown = ", ".join(names[:3])
            raise ConfigError(
                f"no layer's name begins with {prefix!r}: the {len(names)} layers are {shown}, ..."
            )
        spared |= found
    return [name for name in names if name in spared]


def _layers(source: Path, op_types: Sequence[str] = OP_TYPES) -> dict[str, str]:
    """Names of the layers of these types in the graph's order, and of what each takes."""
    graph = onnx.load(source, load_external_data=False).graph
    return {node.name: node.input[0] for node in graph.node if node.op_type in op_types}


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """ONNX Runtime advises its own pre-processing through the root logger; the export did that work."""
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)
    try:
        yield
    finally:
        root.setLevel(level)
