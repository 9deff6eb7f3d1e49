"""What a bundle says of itself: `manifest.json` as frozen dataclasses, read strictly."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from realnet_edge.bundle.engine_key import EngineKey
from realnet_edge.bundle.fields import Fields, field_names, is_digest
from realnet_edge.bundle.preparation import Preparation
from realnet_edge.bundle.sections import Calibration, InputSpec, Threshold
from realnet_edge.bundle.signature import SIGNATURE_NAME
from realnet_edge.errors import BundleError
from realnet_edge.workspace import is_category_name

SCHEMA_VERSION = 1
MANIFEST_NAME = "manifest.json"
# Best first, see `realnet_edge.runtime.SUPPORTED`.
BACKENDS = (
    "tensorrt",
    "onnxruntime-tensorrt",
    "onnxruntime-tensorrt-rtx",
    "onnxruntime-cuda",
    "openvino",
    "onnxruntime",
)
# Compute on an NVIDIA GPU, in the types that the graph has.
GPU_BACKENDS = BACKENDS[:4]
PRECISIONS = ("fp32", "fp16", "int8")
SCORE_RULES = ("avgpool16", "max")
OUTPUTS = ("anomaly_map", "score", "rrs_indices")

# A flat, plain name: no separator, no "..", nothing hidden, so a manifest cannot point outside its folder.
_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """Everything a bundle states about its engine.

    Attributes:
        category: the part this engine was trained for.
        input: the images it takes.
        outputs: names of the engine's outputs.
        score_rule: how the image score comes from the map, "avgpool16" or "max".
        backend: one of `BACKENDS`.
        precision: what was asked for, "fp32", "fp16" or "int8".
        arithmetic: what computed on the builder, such as "int8 + bf16".
        batch: smallest and largest batch.
        engine: name of the file that the runtime opens; in a prepared bundle, of the graph to build it from.
        builder: versions, device and CPU of the machine that built it; free-form.
        checkpoint_sha256: SHA-256 of the checkpoint that was exported.
        created: UTC time in ISO 8601.
        files: SHA-256 of every file but the manifest; `write_bundle` fills it.
        calibration: None unless the precision is int8.
        threshold: None when there were too few normals to set one.
        accuracy: as measured by the builder, free-form; None when it was not measured.
        drift: against FP32 PyTorch on the same images, free-form; None when it was not measured.
        engine_key: what a TensorRT engine is bound to; None for every other backend.
        preparation: what the target needs to build the engine; None once there is one.
        schema_version: of the manifest itself.
    """

    category: str
    input: InputSpec
    outputs: tuple[str, ...] = OUTPUTS
    score_rule: str
    backend: str
    precision: str
    arithmetic: str
    batch: tuple[int, int]
    engine: str
    builder: Mapping[str, Any]
    checkpoint_sha256: str
    created: str
    files: Mapping[str, str] = field(default_factory=dict)
    calibration: Calibration | None = None
    threshold: Threshold | None = None
    accuracy: Mapping[str, Any] | None = None
    drift: Mapping[str, Any] | None = None
    engine_key: EngineKey | None = None
    preparation: Preparation | None = None
    schema_version: int = SCHEMA_VERSION

    def to_dict(self) -> dict[str, Any]:
        """The JSON document, keys in the order of the fields, the schema version first."""
        document = dataclasses.asdict(self)
        document["outputs"] = list(self.outputs)
        document["batch"] = list(self.batch)
        if self.engine_key is not None:
            document["engine_key"]["profile"] = list(self.engine_key.profile)
        if self.preparation is not None:
            document["preparation"]["profile"] = list(self.preparation.profile)
        return {"schema_version": document.pop("schema_version"), **document}

    @classmethod
    def from_dict(cls, document: object) -> Manifest:
        """Read a manifest, refusing everything that is not exactly as described.

        Raises:
            BundleError: unknown schema version, missing or unknown key, wrong type or value; the message
                names the key and what is valid.
        """
        _check_schema(document)
        if isinstance(document, dict):
            # Bundles from before there were TensorRT engines, or prepared bundles, do not have these.
            document = {"engine_key": None, "preparation": None, **document}
        read = Fields(document, "manifest", field_names(cls))
        manifest = cls(
            category=_category(read),
            input=InputSpec.from_dict(read.raw("input")),
            outputs=_outputs(read),
            score_rule=read.choice("score_rule", SCORE_RULES),
            backend=read.choice("backend", BACKENDS),
            precision=read.choice("precision", PRECISIONS),
            arithmetic=read.text("arithmetic"),
            batch=_batch(read),
            engine=read.text("engine"),
            builder=read.mapping("builder"),
            checkpoint_sha256=read.digest("checkpoint_sha256"),
            created=_created(read),
            files=_files(read),
            calibration=_optional(read, "calibration", Calibration.from_dict),
            threshold=_optional(read, "threshold", Threshold.from_dict),
            accuracy=None if read.raw("accuracy") is None else read.mapping("accuracy"),
            drift=None if read.raw("drift") is None else read.mapping("drift"),
            engine_key=_optional(read, "engine_key", EngineKey.from_dict),
            preparation=_optional(read, "preparation", Preparation.from_dict),
        )
        _check_listed(manifest)
        _check_engine_key(manifest)
        return manifest


def check_file_name(name: str) -> None:
    """Refuse a name that is not a plain file name inside the bundle.

    Raises:
        BundleError: separators, "..", hidden or odd names, or the manifest itself or its signatures.
    """
    if not _FILE_NAME.fullmatch(name) or name in (MANIFEST_NAME, SIGNATURE_NAME):
        raise BundleError(
            f"manifest.files names {name!r}: a bundle's files are plain names of letters, digits, '.', '_' "
            f"and '-', inside its own folder, other than {MANIFEST_NAME} and {SIGNATURE_NAME}."
        )


def _check_schema(document: object) -> None:
    version = document.get("schema_version") if isinstance(document, dict) else None
    if isinstance(document, dict) and (type(version) is not int or version != SCHEMA_VERSION):
        raise BundleError(
            f"manifest.schema_version is {version!r}; this version of realnet-edge reads {SCHEMA_VERSION}. "
            "Build the bundle again with the realnet-edge that shall run it."
        )


def _check_listed(manifest: Manifest) -> None:
    """What is named for a use must be among the files, whose hashes are checked."""
    named = {"engine": manifest.engine}
    if (prepared := manifest.preparation) is not None:
        named |= {"preparation.parity": prepared.parity, "preparation.held_out": prepared.held_out}
        named |= {f"preparation.kernels.{sm}": name for sm, name in prepared.kernels.items()}
    for key, name in named.items():
        if name not in manifest.files:
            listed = ", ".join(manifest.files)
            raise BundleError(f"manifest.{key} is {name!r}, which is not among its files: {listed}.")


def _check_engine_key(manifest: Manifest) -> None:
    """An engine without a key could be anyone's code; a key that says otherwise than its manifest, too."""
    key = manifest.engine_key
    if (key is not None) != (manifest.backend == "tensorrt" and manifest.preparation is None):
        raise BundleError(
            f"manifest.engine_key is {'there' if key else 'missing'} for {manifest.backend}: TensorRT "
            "engines have one, no others do. Build the bundle again on the machine that shall run it."
        )
    if key is not None and (
        key.precision != manifest.precision or (key.profile[0], key.profile[2]) != manifest.batch
    ):
        raise BundleError(
            f"manifest.engine_key states {key.precision} and batches {key.profile[0]} to {key.profile[2]}, "
            f"the manifest {manifest.precision} and {manifest.batch[0]} to {manifest.batch[1]}: rebuild it."
        )


def _category(read: Fields) -> str:
    name = read.text("category")
    if not is_category_name(name):
        raise BundleError(
            f"manifest.category is {name[:60]!r}, expected a plain name of letters, digits, '.', '_' and "
            "'-': it becomes that of files and topics."
        )
    return name


def _outputs(read: Fields) -> tuple[str, ...]:
    outputs = read.texts("outputs")
    if not {"anomaly_map", "score"} <= set(outputs) <= set(OUTPUTS):
        raise BundleError(
            f"manifest.outputs is {list(outputs)}, expected anomaly_map and score, rrs_indices beside."
        )
    return outputs


def _batch(read: Fields) -> tuple[int, int]:
    low, high = read.integers("batch", 2, 1)
    if low > high:
        raise BundleError(f"manifest.batch is [{low}, {high}], expected the smallest batch first.")
    return low, high


def _created(read: Fields) -> str:
    text = read.text("created")
    try:
        # Python 3.10 does not read the "Z" that stands for UTC.
        moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise BundleError(f"manifest.created is {text!r}, expected a UTC time such as 2026-01-31T12:00:00Z.")
    return text


def _files(read: Fields) -> dict[str, str]:
    files = read.mapping("files")
    for name, digest in files.items():
        check_file_name(name)
        if not is_digest(digest):
            raise BundleError(f"manifest.files.{name} is {digest!r}, expected a SHA-256 in hexadecimal.")
    return files


def _optional(read: Fields, key: str, reader: Any) -> Any:
    return None if read.raw(key) is None else reader(read.raw(key))
