from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from realnet_edge.bundle import load_bundle
from realnet_edge.calibrate import BuildOptions, Sources, build_bundle, ensure_onnx, open_sources
from realnet_edge.calibrate.measure import predict
from realnet_edge.calibrate.openvino_build import ir_from_onnx
from realnet_edge.cli.main import cli
from realnet_edge.data import CategoryData
from realnet_edge.errors import BackendError, CheckpointError, ConfigError, DataError
from realnet_edge.imaging import load_batch
from realnet_edge.runtime import open_runner
from realnet_edge.workspace import Workspace

TARGETS = [
    ("onnxruntime", "fp32", "f32"),
    ("onnxruntime", "int8", "int8"),
    ("openvino", "fp32", "f32"),
    ("openvino", "fp16", ""),
    ("openvino", "int8", "int8"),
]


@pytest.mark.parametrize(("backend", "precision", "arithmetic"), TARGETS)
def test_a_bundle_holds_what_it_says(
    backend: str, precision: str, arithmetic: str, sources: Sources, workspace: Workspace
) -> None:
    built = build_bundle(workspace, "screw", precision, backend, options=BuildOptions(max_batch=3))
    bundle = load_bundle(workspace.category("screw").bundle(backend, precision))
    made = bundle.manifest
    assert made == built.manifest
    assert (made.backend, made.precision, made.batch) == (backend, precision, (1, 3))
    assert arithmetic in made.arithmetic
    assert made.checkpoint_sha256 == sources.checkpoint.sha256
    assert made.builder["versions"][backend]

    images = load_batch(sources.held_out, sources.size)
    with open_runner(bundle) as runner:
        # Read back from the engine, so the manifest cannot promise what does not run.
        assert runner.arithmetic == made.arithmetic
        scores = np.concatenate([runner.infer(image[None]).score for image in images])
    assert made.threshold is not None
    # 16 held-out images cannot guarantee 2%: the largest of this engine's own scores stands in.
    assert made.threshold.value == float(scores.max())
    assert made.threshold.normals == 16
    assert made.threshold.attainable_fpr == pytest.approx(1 / 17)

    assert made.drift is not None
    assert made.drift["images"] == 24
    assert made.drift["map_max_abs"] <= (1e-4 if precision == "fp32" else 0.5)
    assert (made.calibration is not None) == (precision == "int8")
    if made.calibration is not None:
        assert (made.calibration.method, made.calibration.images) == ("minmax", 8)
    assert not list(workspace.category("screw").root.glob(".*"))


def test_an_engine_that_takes_no_single_image_is_measured_image_by_image(
    sources: Sources, workspace: Workspace
) -> None:
    files = sources.held_out[:5]
    built = build_bundle(workspace, "screw", "fp32", "onnxruntime")
    wide = dataclasses.replace(built, manifest=dataclasses.replace(built.manifest, batch=(2, 8)))
    with open_runner(built) as plain, open_runner(wide) as runner:
        expected, found = (predict(each, files, "scoring", lambda *step: None) for each in (plain, runner))
    np.testing.assert_allclose(found.anomaly_map, expected.anomaly_map, atol=1e-5)
    np.testing.assert_allclose(found.score, expected.score, atol=1e-5)
    np.testing.assert_array_equal(found.rrs_indices, expected.rrs_indices)


def weight_bytes(workspace: Workspace, precision: str) -> int:
    """Size of the weights file of an OpenVINO bundle that is built now."""
    build_bundle(workspace, "screw", precision, "openvino")
    return (workspace.category("screw").bundle("openvino", precision) / "model.bin").stat().st_size


def test_sixteen_bit_weights_take_half_the_room(workspace: Workspace) -> None:
    assert 0.45 < weight_bytes(workspace, "fp16") / weight_bytes(workspace, "fp32") < 0.6


def test_int8_weights_take_a_quarter_of_the_room(workspace: Workspace) -> None:
    assert weight_bytes(workspace, "int8") / weight_bytes(workspace, "fp32") < 0.35


def test_a_comma_in_a_path_is_part_of_it(graph: Path, tmp_path: Path) -> None:
    folder = tmp_path / "line 1,2"
    folder.mkdir()
    shutil.copy(graph, folder)
    files = ir_from_onnx(folder / graph.name, folder, "fp32")
    assert all(path.parent == folder and path.is_file() for path in files.values())


def test_the_graph_is_exported_again_only_when_it_is_not_this_checkpoints(
    sources: Sources, graph: Path
) -> None:
    assert not ensure_onnx(sources)[2]
    content = graph.read_bytes()
    graph.write_bytes(content[:-1])
    assert ensure_onnx(sources)[2]
    assert graph.read_bytes() == content


def test_images_that_moved_are_found_where_the_user_says(
    workspace: Workspace, screw: CategoryData, tmp_path: Path
) -> None:
    moved = Workspace(tmp_path / "workspace")
    shutil.copytree(workspace.category("screw").checkpoint, moved.category("screw").checkpoint)
    document = moved.category("screw").checkpoint / "checkpoint.json"
    stated = json.loads(document.read_text())
    stated["data"]["root"] = str(tmp_path / "gone")
    document.write_text(json.dumps(stated))
    with pytest.raises(DataError, match="give their folder with --data"):
        open_sources(moved, "screw")
    assert open_sources(moved, "screw", screw.root.parent).held_out[0].parent == screw.root / "train" / "good"


def test_without_a_checkpoint_the_command_is_given(workspace: Workspace, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="Trained there: screw"):
        build_bundle(workspace, "bolt", "fp32", "onnxruntime")
    with pytest.raises(CheckpointError) as caught:
        build_bundle(Workspace(tmp_path), "bolt", "fp32", "onnxruntime")
    assert f"realnet-edge train --data DIR --category bolt --workspace {tmp_path}" in str(caught.value)


def test_what_a_backend_cannot_do_is_refused_before_any_work(workspace: Workspace) -> None:
    with pytest.raises(BackendError, match="it can do fp32, int8"):
        build_bundle(workspace, "screw", "fp16", "onnxruntime")
    with pytest.raises(BackendError, match="unknown"):
        build_bundle(workspace, "screw", "int4")
    with pytest.raises(ConfigError, match="between 0 and 1"):
        BuildOptions(target_fpr=2.0)
    with pytest.raises(ConfigError, match="at least 1"):
        BuildOptions(max_batch=0)
    with pytest.raises(ConfigError, match="weight_bits is 4"):
        BuildOptions(weight_bits=4)


def test_a_failed_build_leaves_the_bundle_that_was_there(workspace: Workspace) -> None:
    build_bundle(workspace, "screw", "int8", "onnxruntime")
    folder = workspace.category("screw").bundle("onnxruntime", "int8")
    before = (folder / "manifest.json").read_bytes()
    with pytest.raises(ConfigError, match="no layer's name begins with"):
        build_bundle(workspace, "screw", "int8", "onnxruntime", options=BuildOptions(exclude=("nothing",)))
    assert (folder / "manifest.json").read_bytes() == before
    load_bundle(folder)
    assert not list(workspace.category("screw").root.glob(".*"))


def test_the_command_names_the_backend_warns_and_prints_one_document(workspace: Workspace) -> None:
    arguments = ["build", "--category", "screw", "--precision", "int8", "--fpr", "0.02", "--json"]
    result = CliRunner().invoke(cli, [*arguments, "--workspace", str(workspace.root)])
    assert result.exit_code == 0, result.stderr
    document = json.loads(result.stdout)
    assert document["manifest"]["backend"] == "openvino"
    assert "openvino, the best for int8 on this machine" in result.stderr
    assert "needs 49 held-out good images" in document["warnings"][0]
    assert document["warnings"][0] in result.stderr
    assert "drift from FP32 PyTorch on 24 good images" in result.stderr


def test_the_command_explains_a_missing_checkpoint(tmp_path: Path) -> None:
    arguments = ["build", "--category", "bolt", "--precision", "fp32", "--workspace", str(tmp_path)]
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 1
    assert "realnet-edge train --data DIR --category bolt" in result.stderr
    assert "Traceback" not in result.stderr


def test_the_export_command_reports_parity(workspace: Workspace) -> None:
    arguments = ["export", "--category", "screw", "--workspace", str(workspace.root), "--json"]
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 0, result.stderr
    document = json.loads(result.stdout)
    assert [found["batch"] for found in document["parity"]] == [1, 4]
    assert Path(document["path"]).is_file()
    assert "batch 4: map differs from PyTorch by at most" in result.stderr
