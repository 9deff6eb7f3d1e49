from __future__ import annotations

import copy
import dataclasses
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from realnet_edge.bundle import Bundle, EngineKey, EngineTarget, Manifest, changed_target
from realnet_edge.errors import BundleError


@pytest.fixture(scope="module")
def document(toy_bundle: Callable[..., Bundle], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A valid manifest, as read from disk."""
    path = tmp_path_factory.mktemp("manifest") / "onnxruntime-int8"
    toy_bundle(path, precision="int8")
    return dict(json.loads((path / "manifest.json").read_text()))


def test_round_trip_keeps_every_field(document: dict[str, Any]) -> None:
    manifest = Manifest.from_dict(document)

    assert manifest.to_dict() == document
    assert Manifest.from_dict(manifest.to_dict()) == manifest
    assert manifest.calibration is not None
    assert manifest.threshold is not None
    assert (manifest.threshold.value, manifest.batch, manifest.input.height) == (0.5, (1, 4), 32)


def test_optional_parts_may_be_null(document: dict[str, Any]) -> None:
    older = {key: value for key, value in document["calibration"].items() if key != "weight_bits"}
    said_nothing = Manifest.from_dict({**document, "calibration": older}).calibration
    assert said_nothing is not None
    assert said_nothing.weight_bits == 8
    bare = Manifest.from_dict({**document, "threshold": None, "calibration": None})

    assert bare.threshold is None
    assert bare.calibration is None


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("schema_version", 2, "reads 1"),
        ("schema_version", "1", "reads 1"),
        ("schema_version", True, "reads 1"),
        ("category", "", "manifest.category"),
        ("category", 3, "manifest.category"),
        ("backend", "ncnn", "'onnxruntime-cuda' or 'openvino' or 'onnxruntime'"),
        ("precision", "int4", "'fp32' or 'fp16' or 'int8'"),
        ("score_rule", "mean", "'avgpool16' or 'max'"),
        ("outputs", ["score"], "anomaly_map and score"),
        ("outputs", ["anomaly_map", "score", "secret"], "anomaly_map and score"),
        ("batch", [1], "2 integers"),
        ("batch", [0, 4], "at least 1"),
        ("batch", [8, 4], "smallest batch first"),
        ("batch", [True, 4], "2 integers"),
        ("engine", "other.onnx", "not among its files"),
        ("builder", [], "manifest.builder"),
        ("checkpoint_sha256", "A" * 64, "lower-case"),
        ("checkpoint_sha256", "a" * 63, "64"),
        ("created", "yesterday", "UTC time"),
        ("created", "2026-01-31T12:00:00", "UTC time"),
        ("files", {"../model.onnx": "0" * 64}, "plain names"),
        ("files", {"/etc/passwd": "0" * 64}, "plain names"),
        ("files", {"a\\b": "0" * 64}, "plain names"),
        ("files", {".hidden": "0" * 64}, "plain names"),
        ("files", {"manifest.json": "0" * 64}, "plain names"),
        ("files", {"model.onnx": "0"}, "manifest.files.model.onnx"),
        ("accuracy", 99.0, "manifest.accuracy"),
        ("drift", [], "manifest.drift"),
        ("threshold", 0.5, "manifest.threshold"),
    ],
)
def test_a_wrong_value_is_named(document: dict[str, Any], key: str, value: object, says: str) -> None:
    with pytest.raises(BundleError, match=re.escape(says)) as error:
        Manifest.from_dict({**document, key: value})

    assert key in str(error.value)


@pytest.mark.parametrize(
    ("part", "key", "value"),
    [
        ("input", "height", 0),
        ("input", "height", 256.0),
        ("input", "color", "BGR"),
        ("input", "layout", "NCHW"),
        ("input", "dtype", "float32"),
        ("input", "resize", "bilinear"),
        ("calibration", "images", 0),
        ("calibration", "list_sha256", None),
        ("threshold", "value", 1.5),
        ("threshold", "value", "0.5"),
        ("threshold", "value", float("nan")),
        ("threshold", "target_fpr", -0.1),
        ("threshold", "normals", 99.5),
    ],
)
def test_a_wrong_value_in_a_part_is_named(
    document: dict[str, Any], part: str, key: str, value: object
) -> None:
    broken = copy.deepcopy(document)
    broken[part][key] = value

    with pytest.raises(BundleError, match=rf"manifest\.{part}\.{key} is "):
        Manifest.from_dict(broken)


def test_missing_and_unknown_keys_are_named_together(document: dict[str, Any]) -> None:
    broken = {key: value for key, value in document.items() if key != "precision"} | {"prec": "int8"}

    with pytest.raises(BundleError, match="missing precision; unknown prec"):
        Manifest.from_dict(broken)


def test_unknown_keys_inside_a_part_are_refused(document: dict[str, Any]) -> None:
    broken = copy.deepcopy(document)
    broken["threshold"]["sigma"] = 3

    with pytest.raises(BundleError, match=r"manifest\.threshold: unknown sigma"):
        Manifest.from_dict(broken)


@pytest.mark.parametrize("document", [None, [], "manifest", 1])
def test_what_is_no_object_is_refused(document: object) -> None:
    with pytest.raises(BundleError, match="expected an object"):
        Manifest.from_dict(document)


def test_an_unknown_schema_is_refused_before_its_keys_are_judged() -> None:
    with pytest.raises(BundleError, match="schema_version is 7"):
        Manifest.from_dict({"schema_version": 7, "all": "different"})


def test_a_tensorrt_engine_needs_a_key_that_agrees_with_its_manifest(
    toy_bundle: Callable[..., Bundle], tmp_path: Path
) -> None:
    stated = toy_bundle(tmp_path / "b", "tensorrt", "fp16").manifest.to_dict()
    assert Manifest.from_dict(json.loads(json.dumps(stated))).to_dict() == stated
    for change, says in (
        ({"engine_key": None}, "engine_key is missing for tensorrt"),
        ({"backend": "openvino"}, "engine_key is there for openvino"),
        ({"precision": "fp32"}, "states fp16 and batches 1 to 4, the manifest fp32"),
        ({"batch": [1, 8]}, "the manifest fp16 and 1 to 8"),
        ({"engine_key": {**stated["engine_key"], "graph_sha256": "x"}}, "engine_key.graph_sha256"),
        ({"engine_key": {**stated["engine_key"], "target": {}}}, "engine_key.target: missing flavour"),
    ):
        with pytest.raises(BundleError, match=says):
            Manifest.from_dict({**stated, **change})


def test_manifests_from_before_there_were_engine_keys_are_read(
    toy_bundle: Callable[..., Bundle], tmp_path: Path
) -> None:
    stated = toy_bundle(tmp_path / "b").manifest.to_dict()
    del stated["engine_key"]
    assert Manifest.from_dict(stated).engine_key is None


@pytest.mark.parametrize(
    ("settings", "changes", "kept"),
    [
        ({}, {"version": "10.4.0"}, False),
        ({"version_compatible": True}, {"version": "10.4.0", "cuda": "12.8"}, True),
        ({"version_compatible": True}, {"version": "10.2.0"}, False),
        ({"version_compatible": True}, {"version": "11.4.0"}, False),
        ({"version_compatible": True}, {"gpu": "another"}, False),
        ({"hardware_compatible": True}, {"gpu": "another", "compute_capability": "12.0"}, True),
        ({"hardware_compatible": True}, {"gpu": "another", "compute_capability": "7.5"}, False),
    ],
)
def test_compatible_engines_run_where_they_were_made_to(
    settings: dict[str, bool], changes: dict[str, str], kept: bool
) -> None:
    built = EngineTarget("tensorrt", "10.3.0", "NVIDIA L4", "8.9", "12.6")
    key = EngineKey(
        target=built, graph_sha256="0" * 64, precision="fp16", profile=(1, 1, 4), settings=settings
    )
    assert (changed_target(key, dataclasses.replace(built, **changes)) == []) == kept


def test_a_prepared_bundle_has_no_engine_and_all_that_one_is_built_from(
    toy_bundle: Callable[..., Bundle], tmp_path: Path
) -> None:
    stated = toy_bundle(tmp_path / "b", "tensorrt", "fp16").manifest.to_dict()
    files = {**stated["files"], "parity.npz": "0" * 64, "held-out.npz": "1" * 64}
    preparation = {
        "parity": "parity.npz",
        "held_out": "held-out.npz",
        "map_mean_abs": 0.002,
        "score_max_abs": 0.02,
        "target_fpr": 0.02,
        "profile": [1, 1, 4],
        "settings": {"tf32": False},
    }
    prepared = {**stated, "engine_key": None, "files": files, "preparation": preparation}
    plain = {**preparation, "rrs": "native", "kernels": {}}
    # Written before kernels could travel.
    read = Manifest.from_dict(json.loads(json.dumps(prepared)))
    assert read.to_dict() == {**prepared, "preparation": plain}
    assert Manifest.from_dict(json.loads(json.dumps(read.to_dict()))) == read
    for change, says in (
        ({"engine_key": stated["engine_key"]}, "engine_key is there for tensorrt"),
        ({"files": stated["files"]}, r"preparation\.parity is 'parity\.npz', which is not among its files"),
        ({"preparation": None}, "engine_key is missing for tensorrt"),
        ({"preparation": {**preparation, "map_mean_abs": -1}}, r"preparation\.map_mean_abs is -1"),
        ({"preparation": {**preparation, "profile": [1, 4]}}, r"preparation\.profile is \[1, 4\]"),
        ({"preparation": {"parity": "parity.npz"}}, "preparation: missing held_out"),
        ({"preparation": {**plain, "rrs": "fast"}}, r"preparation\.rrs is 'fast'"),
        ({"preparation": {**plain, "kernels": {"87": 1}}}, r"preparation\.kernels is .* object of non-empty"),
        (
            {"preparation": {**plain, "kernels": {"87": "code.json"}}},
            r"preparation\.kernels\.87 is 'code\.json', which is not among its files",
        ),
    ):
        with pytest.raises(BundleError, match=says):
            Manifest.from_dict({**prepared, **change})
