"""ONNX to OpenVINO's IR."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from realnet_edge.errors import BackendError
from realnet_edge.runtime.backends import import_backend

ENGINE_NAME = "model.xml"
WEIGHTS_NAME = "model.bin"


def ir_from_onnx(source: Path, folder: Path, precision: str) -> dict[str, Path]:
    """Convert an engine graph to IR.

    The IR keeps the dynamic batch. What it computes in is settled when it is compiled: the runner sets
    the arithmetic and reads it back.

    Args:
        source: FP32 ONNX, or Q/DQ ONNX for int8.
        folder: existing folder for the .xml and .bin files.
        precision: "fp32", "fp16" (16-bit weights) or "int8".

    Returns:
        Name inside a bundle -> file.

    Raises:
        BackendError: OpenVINO is missing or does not take the graph.
    """
    ov = import_backend("openvino", precision)
    from realnet_edge.calibrate.openvino_layout import normalise_planes_in_place

    files = {ENGINE_NAME: folder / ENGINE_NAME, WEIGHTS_NAME: folder / WEIGHTS_NAME}
    try:
        with TemporaryDirectory() as plain:
            # `convert_model` takes a path with a comma in it for two, and nothing stands in for it: what
            # `read_model` gives keeps INT8 weights in float and loses accuracy when it is compiled.
            link = Path(plain, "graph")
            link.symlink_to(source.parent.resolve())
            model = ov.convert_model(link / source.name)
            normalise_planes_in_place(model)
            # INT8 keeps its float scales and biases at full width: halving them saves next to nothing.
            ov.save_model(model, files[ENGINE_NAME], compress_to_fp16=precision == "fp16")
    except RuntimeError as error:
        raise BackendError(f"{source}: OpenVINO cannot convert it ({error}).") from error
    return files
