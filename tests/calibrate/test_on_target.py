"""One machine prepares, another builds: what is carried, what the target needs, checks and refuses."""

from __future__ import annotations

import dataclasses
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import CliRunner

from realnet_edge.bundle import (
    Bundle,
    list_bundles,
    load_bundle,
    sign_bundle,
    write_bundle,
)
from realnet_edge.bundle.keys import read_private_key, write_new_key
from realnet_edge.calibrate import (
    BuildOptions,
    Sources,
    TargetOptions,
    build_bundle,
    build_on_target,
    conformal_threshold,
)
from realnet_edge.calibrate.carried import read_carried
from realnet_edge.cli.main import cli
from realnet_edge.errors import BackendError, BundleError, GateError
from realnet_edge.export import TorchRunner
from realnet_edge.imaging import load_batch
from realnet_edge.runtime import detect, open_runner
from realnet_edge.workspace import Workspace

_COMMAND = "from realnet_edge.cli.main import main\nmain()"
Prepare = Callable[..., Bundle]
Clean = Callable[..., subprocess.CompletedProcess[str]]
Altered = Callable[..., Bundle]


def left_over(workspace: Workspace) -> list[Path]:
    """What a build should have cleared away."""
    return list(workspace.category("screw").root.glob(".*")) if workspace.root.is_dir() else []


@pytest.mark.parametrize(
    ("backend", "precision"), [("onnxruntime", "int8"), ("openvino", "fp16"), ("tensorrt", "int8")]
)
def test_a_prepared_bundle_carries_images_answers_and_limits(
    backend: str, precision: str, prepared: Prepare, sources: Sources, workspace: Workspace
) -> None:
    before = list_bundles(workspace, "screw")
    path = prepared(backend, precision).path
    assert path == workspace.category("screw").prepared(backend, precision)
    bundle = load_bundle(path)
    stated = bundle.manifest
    assert (stated.backend, stated.precision, stated.engine) == (backend, precision, "model.onnx")
    assert (stated.threshold, stated.drift, stated.engine_key) == (None, None, None)
    assert (stated.calibration is not None) == (precision == "int8")
    carried = read_carried(bundle)
    np.testing.assert_array_equal(carried.held_out, load_batch(sources.held_out, sources.size))
    good, marked = carried.parity[:4], carried.parity[4:]
    np.testing.assert_array_equal(good, load_batch(sources.calibration[:4], sources.size))
    np.testing.assert_array_equal((marked != good).any(axis=(0, 3)).sum(), 16 * 16)
    with TorchRunner(sources.checkpoint) as runner:
        expected = runner.infer(carried.parity)
    np.testing.assert_allclose(carried.expected.anomaly_map, expected.anomaly_map, atol=1e-5)
    np.testing.assert_allclose(carried.expected.score, expected.score, atol=1e-5)
    assert stated.preparation is not None
    assert 0 < stated.preparation.map_mean_abs < 0.1
    assert 0 < stated.preparation.score_max_abs < 0.1
    assert list_bundles(workspace, "screw") == before
    assert not left_over(workspace)


@pytest.mark.parametrize(("backend", "precision"), [("onnxruntime", "int8"), ("openvino", "fp16")])
def test_the_target_builds_checks_and_sets_its_engine_without_torch_or_onnx(
    backend: str, precision: str, prepared: Prepare, workspace: Workspace, tmp_path: Path, clean: Clean
) -> None:
    source = prepared(backend, precision)
    there = Workspace(tmp_path)
    done = clean(
        _COMMAND, "build", "--on-target", source.path, "--workspace", tmp_path, "--fpr", "0.1", "--json"
    )
    document = json.loads(done.stdout)
    bundle = load_bundle(there.category("screw").bundle(backend, precision))
    assert document["manifest"] == bundle.manifest.to_dict()
    assert "parity images" in done.stderr
    made = bundle.manifest
    assert made.preparation is None
    assert made.builder["prepared"]["manifest_sha256"] == source.manifest_sha256
    carried = read_carried(source)
    with open_runner(bundle) as runner:
        assert runner.arithmetic == made.arithmetic
        scores = np.concatenate([runner.infer(image[None]).score for image in carried.held_out])
    assert made.threshold == conformal_threshold(scores, 0.1)
    assert not left_over(there)
    if backend == "onnxruntime":
        # The very engine and threshold that the machine with PyTorch comes to by itself.
        own = build_bundle(workspace, "screw", precision, backend, options=BuildOptions(target_fpr=0.1))
        assert (own.manifest.files, own.manifest.threshold) == (made.files, made.threshold)


def test_an_engine_that_answers_otherwise_is_refused_and_the_old_one_stays(
    prepared: Prepare, tmp_path: Path, altered: Altered
) -> None:
    source, there = prepared("onnxruntime", "int8"), Workspace(tmp_path / "ws")
    built = build_on_target(source.path, there)
    model = onnx.load(source.engine_path)
    # One bias of the last convolution, as a runtime with a wrong kernel would have it.
    last = next(node for node in reversed(model.graph.node) if node.op_type == "Conv")
    bias = next(item for item in model.graph.initializer if item.name == last.input[2])
    bias.CopyFrom(
        onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(bias) + np.float32([1, 0]), bias.name)
    )
    onnx.save(model, tmp_path / "model.onnx")
    wrong = altered(source, tmp_path / "wrong", {"model.onnx": tmp_path / "model.onnx"})
    with pytest.raises(GateError, match=r"does not answer here as it should \(map_mean_abs .* allowed"):
        build_on_target(wrong.path, there)
    result = CliRunner().invoke(
        cli, ["build", "--on-target", str(wrong.path), "--workspace", str(there.root)]
    )
    assert result.exit_code == 3
    assert load_bundle(built.path).manifest == built.manifest
    assert not left_over(there)


def test_an_engine_that_takes_no_single_image_is_checked_and_set_all_the_same(
    prepared: Prepare, tmp_path: Path
) -> None:
    source = prepared("onnxruntime", "int8")
    files = {name: source.path / name for name in source.manifest.files}
    wide = write_bundle(tmp_path / "wide", files, dataclasses.replace(source.manifest, batch=(2, 4)))
    made = build_on_target(wide.path, Workspace(tmp_path / "ws"))
    assert made.manifest.batch == (2, 4)
    one = build_on_target(source.path, Workspace(tmp_path / "one")).manifest
    assert one.threshold is not None
    assert made.manifest.threshold is not None
    assert made.manifest.threshold.value == pytest.approx(one.threshold.value, abs=1e-5)


def test_limits_are_the_manifests(prepared: Prepare, tmp_path: Path, altered: Altered) -> None:
    for name in ("map_mean_abs", "score_max_abs"):
        strict = altered(prepared("onnxruntime", "int8"), tmp_path / name, **{name: 0.0})
        with pytest.raises(GateError, match=f"{name} .*, 0 allowed"):
            build_on_target(strict.path, Workspace(tmp_path / "ws"))


def test_what_ends_a_build_early_leaves_nothing(prepared: Prepare, tmp_path: Path) -> None:
    there = Workspace(tmp_path)

    def interrupt(what: str, done: int, _total: int) -> None:
        if what.startswith("scoring good images") and done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_on_target(prepared("onnxruntime", "int8").path, there, progress=interrupt)
    assert list_bundles(there, "screw") == []
    assert not list(there.category("screw").root.iterdir())


def test_a_damaged_bundle_is_refused_before_anything_is_read(
    prepared: Prepare, tmp_path: Path, altered: Altered
) -> None:
    copy = altered(prepared("onnxruntime", "int8"), tmp_path / "b")
    (copy.path / "held-out.npz").write_bytes(b"PK")
    with pytest.raises(BundleError, match=r"held-out\.npz is changed"):
        build_on_target(copy.path, Workspace(tmp_path / "ws"))
    whole = altered(
        prepared("onnxruntime", "int8"), tmp_path / "b", {"held-out.npz": copy.path / "parity.npz"}
    )
    smaller = dataclasses.replace(whole.manifest, input=dataclasses.replace(whole.manifest.input, height=32))
    files = {name: whole.path / name for name in whole.manifest.files}
    with pytest.raises(BundleError, match=r"not of the engine's size \(32, 64\)"):
        build_on_target(write_bundle(tmp_path / "c", files, smaller).path, Workspace(tmp_path / "ws"))
    assert not (tmp_path / "ws").exists()


def test_a_prepared_bundle_is_built_from_as_it_was_signed_and_the_result_is_not_signed(
    prepared: Prepare, tmp_path: Path, altered: Altered
) -> None:
    _, public = write_new_key(tmp_path / "k")
    wanted, there = TargetOptions(require_signature=[public]), Workspace(tmp_path / "ws")
    copy = altered(prepared("onnxruntime", "int8"), tmp_path / "b")
    with pytest.raises(BundleError, match="is not signed"):
        build_on_target(copy.path, there, wanted)
    sign_bundle(copy.path, read_private_key(tmp_path / "k"))
    built = build_on_target(copy.path, there, wanted)
    with pytest.raises(BundleError, match="is not signed"):
        load_bundle(built.path, [public])


def test_a_prepared_bundle_does_not_run_and_a_finished_one_is_not_built_again(
    prepared: Prepare, tmp_path: Path
) -> None:
    source = prepared("onnxruntime", "int8")
    with pytest.raises(BackendError, match=f"there is no engine in it yet.*--on-target {source.path}"):
        open_runner(source)
    result = CliRunner().invoke(cli, ["verify", str(source.path)])
    assert result.exit_code == 0
    assert "No engine yet" in result.stderr
    finished = build_on_target(source.path, Workspace(tmp_path))
    with pytest.raises(BundleError, match="has its engine already"):
        build_on_target(finished.path, Workspace(tmp_path))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--on-target", "b", "--category", "screw"], "--category: settled when the bundle was prepared"),
        (["--on-target", "b", "--exclude", "x", "--max-batch", "4"], "--exclude, --max-batch: settled"),
        (["--on-target", "b", "--prepare", "--tf32"], "--prepare, --tf32: settled"),
        (["--on-target", "b", "--kernels", "k", "--rrs", "auto"], "--kernels: settled"),
        (["--category", "screw", "--precision", "int8", "--prepare"], "--prepare needs --backend"),
        (["--category", "screw"], "Give --category and --precision"),
    ],
)
def test_options_that_do_not_go_together_are_refused(options: list[str], says: str) -> None:
    result = CliRunner().invoke(cli, ["build", *options])
    assert result.exit_code == 2
    assert says in " ".join(result.stderr.split())


def test_the_command_prepares_for_a_machine_with_what_this_one_lacks(
    workspace: Workspace, tmp_path: Path, clean: Clean
) -> None:
    """TensorRT's own settings travel; on a machine without a GPU the way on is told, and nothing is left."""
    place = ["--workspace", str(workspace.root)]
    command = ["build", "--category", "screw", "--precision", "fp16", "--backend", "tensorrt", "--prepare"]
    result = CliRunner().invoke(cli, [*command, *place, "--batch", "1:1:4", "--builder-level", "2", "--json"])
    assert result.exit_code == 0, result.stderr
    folder = Path(json.loads(result.stdout)["path"])
    assert f"realnet-edge build --on-target {folder.name}" in result.stderr
    stated = load_bundle(folder).manifest
    assert stated.preparation is not None
    assert stated.preparation.profile == (1, 1, 4)
    assert stated.preparation.settings["builder_level"] == 2
    info = next(info for info in detect() if info.name == "tensorrt")
    if not info.available:
        done = clean(_COMMAND, "build", "--on-target", folder, "--workspace", tmp_path, code=1)
        assert f"tensorrt cannot be used here: {info.missing}" in " ".join(done.stderr.split())
        assert not list(tmp_path.iterdir())


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_the_target_builds_its_tensorrt_engine(
    precision: str, prepared: Prepare, tmp_path: Path, clean: Clean
) -> None:
    info = next(info for info in detect() if info.name == "tensorrt")
    if not info.available:
        pytest.skip(f"no TensorRT that runs here: {info.missing}")
    source = prepared("tensorrt", precision)
    arguments = ["build", "--on-target", source.path, "--workspace", tmp_path]
    clean(_COMMAND, *arguments)
    bundle = load_bundle(Workspace(tmp_path).category("screw").bundle("tensorrt", precision))
    assert bundle.manifest.engine_key is not None
    assert bundle.manifest.threshold is not None
    assert "it is kept" in clean(_COMMAND, *arguments).stderr
    changed = clean(_COMMAND, *arguments, "--builder-level", "1").stderr
    assert "building the engine anew: builder level: not set -> 1" in " ".join(changed.split())
