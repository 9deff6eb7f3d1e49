"""What an export found, as it stands beside the ONNX file."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from realnet_edge.errors import ExportError
from realnet_edge.export.parity import Parity
from realnet_edge.export.passes import PassReport
from realnet_edge.files import read_json

REPORT_NAME = "export.json"


@dataclass(frozen=True)
class ExportReport:
    """One export: the file, what it came from and how close it is to PyTorch.

    Attributes:
        model: name of the ONNX file, in the report's own folder.
        files: SHA-256 of the ONNX file and, over the size limit, of its external data.
        external_data: weights lie beside the graph.
        parameters: number of weights in the graph.
        category: of the checkpoint.
        checkpoint_sha256: of the checkpoint that was exported.
        input_size: height and width of the input in pixels.
        score_rule: "avgpool16" or "max".
        opset: ONNX operator set.
        images: real images that parity was checked on.
        tolerance: largest absolute map difference that was allowed.
        passes: what each rewrite of the graph did, in order.
        parity: the differences found, one entry a batch size.
        versions: package -> version.
    """

    model: str
    files: dict[str, str]
    external_data: bool
    parameters: int
    category: str
    checkpoint_sha256: str
    input_size: tuple[int, int]
    score_rule: str
    opset: int
    images: int
    tolerance: float
    passes: tuple[PassReport, ...]
    parity: tuple[Parity, ...]
    versions: dict[str, str]

    def to_dict(self) -> dict[str, Any]:
        """A JSON document that `from_dict` takes back."""
        lists = {
            name: [dataclasses.asdict(entry) for entry in entries]
            for name, entries in (("passes", self.passes), ("parity", self.parity))
        }
        return {**dataclasses.asdict(self), **lists, "input_size": list(self.input_size)}

    @classmethod
    def from_dict(cls, document: dict[str, Any]) -> ExportReport:
        """The inverse of `to_dict`.

        Raises:
            ExportError: keys are missing or unknown.
        """
        try:
            passes = tuple(PassReport(**entry) for entry in document["passes"])
            parity = tuple(Parity(**entry) for entry in document["parity"])
            height, width = document["input_size"]
            return cls(**{**document, "passes": passes, "parity": parity, "input_size": (height, width)})
        except (KeyError, TypeError, ValueError) as error:
            raise ExportError(
                f"not an export report ({error}). Export again with `realnet-edge export`."
            ) from error


def read_report(folder: Path) -> ExportReport | None:
    """The report in a folder, None where there is none or it is of another version of this package."""
    try:
        return ExportReport.from_dict(read_json(folder / REPORT_NAME))
    except (OSError, ValueError, ExportError):
        return None
