"""Engine bundles: a folder with an engine and a manifest that vouches for every byte of it."""

from realnet_edge.bundle.bundle import (
    Bundle,
    FileCheck,
    StatedManifest,
    check_files,
    load_bundle,
    read_manifest,
    sign_bundle,
    write_bundle,
)
from realnet_edge.bundle.engine_key import FLAVOURS, EngineKey, EngineTarget, changed, changed_target
from realnet_edge.bundle.locate import build_command, bundle_path, find_bundles, list_bundles
from realnet_edge.bundle.manifest import (
    BACKENDS,
    GPU_BACKENDS,
    OUTPUTS,
    PRECISIONS,
    Manifest,
)
from realnet_edge.bundle.preparation import Preparation
from realnet_edge.bundle.sections import Calibration, InputSpec, Threshold

__all__ = [
    "BACKENDS",
    "FLAVOURS",
    "GPU_BACKENDS",
    "OUTPUTS",
    "PRECISIONS",
    "Bundle",
    "Calibration",
    "EngineKey",
    "EngineTarget",
    "FileCheck",
    "InputSpec",
    "Manifest",
    "Preparation",
    "StatedManifest",
    "Threshold",
    "build_command",
    "bundle_path",
    "changed",
    "changed_target",
    "check_files",
    "find_bundles",
    "list_bundles",
    "load_bundle",
    "read_manifest",
    "sign_bundle",
    "write_bundle",
]
