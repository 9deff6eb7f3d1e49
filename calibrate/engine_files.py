"""The files of an engine that a runtime opens as they are: ONNX, or OpenVINO's IR. Needs no torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from realnet_edge.bundle import EngineKey
from realnet_edge.calibrate.openvino_build import ir_from_onnx


@dataclass(frozen=True)
class Engine:
    """What was built.

    Attributes:
        files: name inside the bundle -> file, the one that the runtime opens first.
        key: of a TensorRT engine, None for every other.
        notes: for the manifest: what TensorRT's build took.
    """

    files: dict[str, Path]
    key: EngineKey | None = None
    notes: dict[str, Any] = field(default_factory=dict)


def engine_files(graph: Path, folder: Path, backend: str, precision: str) -> dict[str, Path]:
    """Name inside a bundle -> file, the one that the runtime opens first.

    Args:
        graph: ONNX file in the wanted precision; external data lie beside it.
        folder: existing folder for what is made.
        backend: any but "tensorrt", whose engines are machine code, see `plan_from_graph`.
        precision: "fp32", "fp16" or "int8".

    Raises:
        BackendError: OpenVINO is missing or does not take the graph.
    """
    if backend == "openvino":
        return ir_from_onnx(graph, folder, precision)
    return {file.name: file for file in graph_files(graph)}


def graph_files(graph: Path) -> list[Path]:
    """An ONNX file and behind it the weights beside it, which are found by the name that the graph holds."""
    return sorted(graph.parent.glob(f"{graph.name}*"))
