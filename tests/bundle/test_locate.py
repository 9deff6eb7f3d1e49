from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from realnet_edge.bundle import Bundle, bundle_path, find_bundles, list_bundles
from realnet_edge.errors import BundleError, ConfigError
from realnet_edge.workspace import Workspace


@pytest.fixture
def workspace(toy_bundle: Callable[..., Bundle], tmp_path: Path) -> Workspace:
    place = Workspace(tmp_path / "place")
    for backend, precision in (("onnxruntime", "fp32"), ("openvino", "fp32"), ("onnxruntime", "int8")):
        toy_bundle(place.category("toy").bundle(backend, precision), backend, precision)
    return place


def test_best_backend_and_coarsest_precision_come_first(workspace: Workspace) -> None:
    assert list_bundles(workspace, "toy") == [
        ("openvino", "fp32"),
        ("onnxruntime", "int8"),
        ("onnxruntime", "fp32"),
    ]


def test_a_folder_without_manifest_is_no_bundle(workspace: Workspace) -> None:
    workspace.category("toy").bundle("openvino", "int8").mkdir()

    assert ("openvino", "int8") not in list_bundles(workspace, "toy")


def test_what_is_not_named_fits_any(workspace: Workspace) -> None:
    assert find_bundles(workspace, "toy", precision="fp32") == [("openvino", "fp32"), ("onnxruntime", "fp32")]
    assert find_bundles(workspace, "toy", "onnxruntime") == [("onnxruntime", "int8"), ("onnxruntime", "fp32")]


def test_an_absent_bundle_names_the_present_ones_and_the_command(workspace: Workspace) -> None:
    with pytest.raises(BundleError) as error:
        bundle_path(workspace, "toy", "openvino", "int8")

    text = str(error.value)
    assert "openvino-fp32, onnxruntime-int8, onnxruntime-fp32" in text
    assert "realnet-edge build --category toy --precision int8 --backend openvino" in text
    assert f"--workspace {workspace.root}" in text


def test_a_category_without_bundles_says_so(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"none yet.*realnet-edge build --category screw --precision int8"):
        find_bundles(Workspace(tmp_path), "screw")


@pytest.mark.parametrize(("backend", "precision"), [("ncnn", None), (None, "int4")])
def test_unknown_names_list_the_valid_ones(
    workspace: Workspace, backend: str | None, precision: str | None
) -> None:
    with pytest.raises(BundleError, match="is unknown: use "):
        find_bundles(workspace, "toy", backend, precision)


def test_a_category_that_is_a_path_is_refused(workspace: Workspace) -> None:
    with pytest.raises(ConfigError, match="not a plain name"):
        list_bundles(workspace, "../toy")
