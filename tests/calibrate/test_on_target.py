"""One machine prepares, another builds: what is carried, what the target needs, checks and refuses."""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
from click.testing import CliRunner

from realnet_edge.bundle import (
    Bundle,
    Preparation,
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
    prepare_bundle,
)
from realnet_edge.calibrate.carried import read_carried
from realnet_edge.calibrate.carried_kernels import carried_plugin
from realnet_edge.calibrate.rrs_choice import choose_rrs
from realnet_edge.cli.main import cli
from realnet_edge.errors import BackendError, BundleError, ConfigError, GateError, KernelError
from realnet_edge.export import TorchRunner
from realnet_edge.imaging import load_batch
from realnet_edge.kernels.kernel_set import KernelSet, load_kernel_set
from realnet_edge.kernels.rrs_call import RrsSettings
from realnet_edge.runtime import detect, open_runner
from realnet_edge.runtime.tensorrt import EngineOptions
from realnet_edge.workspace import Workspace

# As a target has it: the base installation and a runtime.
ABSENT = ("torch", "torchvision", "timm", "safetensors", "onnx", "onnx_ir", "onnxscript")
_CLEAN = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {absent!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Absent())
{program}
"""
_COMMAND = "from realnet_edge.cli.main import main\nmain()"
Prepare = Callable[..., Bundle]


def clean(program: str, *arguments: str | Path, code: int = 0) -> subprocess.CompletedProcess[str]:
    """Runs a program in a Python that finds neither torch nor onnx."""
    source = _CLEAN.format(absent=ABSENT, program=program)
    done = subprocess.run(
        [sys.executable, "-c", source, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done


def left_over(workspace: Workspace) -> list[Path]:
    """What a build should have cleared away."""
    return list(workspace.category("screw").root.glob(".*")) if workspace.root.is_dir() else []


@pytest.fixture(scope="module")
def prepared(workspace: Workspace) -> Prepare:
    """`prepared(backend, precision)`: made once, to be copied before it is changed."""
    made: dict[tuple[str, str], Bundle] = {}

    def prepare(backend: str, precision: str) -> Bundle:
        key = (backend, precision)
        if key not in made:
            made[key] = prepare_bundle(workspace, "screw", precision, backend)
        return made[key]

    return prepare


def altered(
    bundle: Bundle, folder: Path, replaced: dict[str, Path] | None = None, **changes: float
) -> Bundle:
    """A prepared bundle with other limits or files, whose hashes are right."""
    stated = bundle.manifest
    assert stated.preparation is not None
    manifest = dataclasses.replace(stated, preparation=dataclasses.replace(stated.preparation, **changes))
    files = {name: bundle.path / name for name in stated.files} | (replaced or {})
    return write_bundle(folder, files, manifest)


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
    backend: str, precision: str, prepared: Prepare, workspace: Workspace, tmp_path: Path
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
    prepared: Prepare, tmp_path: Path
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


def test_limits_are_the_manifests(prepared: Prepare, tmp_path: Path) -> None:
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


def test_a_damaged_bundle_is_refused_before_anything_is_read(prepared: Prepare, tmp_path: Path) -> None:
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
    prepared: Prepare, tmp_path: Path
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
    workspace: Workspace, tmp_path: Path
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


_PLAN = """
import json
from pathlib import Path
import tensorrt_rtx
from realnet_edge.bundle import EngineTarget, load_bundle
from realnet_edge.calibrate.on_target import engine_options
from realnet_edge.calibrate.tensorrt_build import PlanJob
from realnet_edge.calibrate.on_target import plan_prepared
prepared, folder = load_bundle(Path(sys.argv[1])), Path(sys.argv[2])
stated, said = prepared.manifest, []
job = PlanJob(
    folder=folder,
    precision=stated.precision,
    options=engine_options(prepared, {"builder_level": 0}),
    calibration_sha256=stated.calibration and stated.calibration.list_sha256,
    timing_cache=folder,
    at_hand=folder / "none",
    progress=lambda what, done, total: None,
    tell=said.append,
)
here = EngineTarget("tensorrt_rtx", tensorrt_rtx.__version__, "no GPU", sys.argv[3], "13.0")
plan = plan_prepared(tensorrt_rtx, here, prepared, job)
print(json.dumps([plan.key.profile, plan.key.settings, plan.notes, plan.key.plugins_sha256, said]))
"""
_PARSE = """
from functools import partial
from pathlib import Path
import tensorrt_rtx as trt
from realnet_edge.bundle import load_bundle
from realnet_edge.calibrate.carried_kernels import carried_plugin
from realnet_edge.calibrate.rrs_choice import choose_rrs
from realnet_edge.runtime.tensorrt import network_from_onnx
from realnet_edge.runtime.tensorrt.plugins import has_plugin, rrs_registered
prepared = load_bundle(Path(sys.argv[1]))
chosen = choose_rrs("auto", trt, "8.7", prepared.engine_path, partial(carried_plugin, prepared))
with rrs_registered(trt, chosen.kernels):
    print(has_plugin(trt, network_from_onnx(trt, chosen.graph, plugin=True).network))
native = choose_rrs("native", trt, "8.7", prepared.engine_path, partial(carried_plugin, prepared))
print(has_plugin(trt, network_from_onnx(trt, native.graph).network))
"""


def toy_prepared(toy_bundle: Callable[..., Bundle], folder: Path) -> Bundle:
    """A network that is built in a second, as if it had been prepared."""
    bundle = toy_bundle(folder / "toy", "tensorrt", "fp16")
    preparation = Preparation(
        parity="model.onnx",
        held_out="model.onnx",
        map_mean_abs=0.1,
        score_max_abs=0.1,
        target_fpr=0.1,
        profile=(1, 2, 4),
        settings=EngineOptions().settings(),
    )
    manifest = dataclasses.replace(bundle.manifest, engine_key=None, preparation=preparation)
    return write_bundle(folder / "prepared", {"model.onnx": bundle.engine_path}, manifest)


@pytest.mark.parametrize("whole", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_tensorrt_builds_the_prepared_graph_without_torch_or_onnx(
    whole: bool, prepared: Prepare, toy_bundle: Callable[..., Bundle], tmp_path: Path
) -> None:
    pytest.importorskip("tensorrt_rtx", reason="needs tensorrt_rtx")
    source = prepared("tensorrt", "int8") if whole else toy_prepared(toy_bundle, tmp_path)
    profile, settings, notes, plugins, said = json.loads(clean(_PLAN, source.path, tmp_path, "8.9").stdout)
    assert profile == list(source.manifest.preparation.profile)  # type: ignore[union-attr]
    # What was prepared, but for what is settled here.
    assert settings == {**source.manifest.preparation.settings, "builder_level": 0}  # type: ignore[union-attr]
    assert (tmp_path / "model.plan").stat().st_size == notes["engine_build"]["size"]
    assert (notes["rrs"]["used"], plugins) == ("native", None)
    assert "TensorRT's own layers" in said[0]
    assert "layers in" in said[1]


@pytest.fixture(scope="module")
def kernels(write_kernels: Callable[[Path], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_kernels(tmp_path_factory.mktemp("kernels"))


@pytest.fixture(scope="module")
def prepared_with_kernels(workspace: Workspace, kernels: Path) -> Bundle:
    """For TensorRT at FP32, with kernels for an Orin."""
    return prepare_bundle(workspace, "screw", "fp32", "tensorrt", options=BuildOptions(kernels=kernels))


def test_kernels_travel_and_the_target_chooses(prepared_with_kernels: Bundle, kernels: Path) -> None:
    bundle = load_bundle(prepared_with_kernels.path)
    stated = bundle.manifest.preparation
    assert stated is not None
    assert (stated.rrs, stated.kernels) == ("auto", {"87": "kernels-sm87.json"})
    nodes = onnx.load(bundle.engine_path).graph.node
    assert [node.op_type for node in nodes if node.domain == "realnet_edge"] == ["RRS"]
    # Any release that has the interface, of which the choice asks no more.
    trt = SimpleNamespace(__name__="tensorrt", __version__="10.3.0", IPluginCreatorV3One=object)
    choose = partial(choose_rrs, graph=bundle.engine_path, find=partial(carried_plugin, bundle))
    taken = choose("auto", trt, "8.7")
    assert (taken.note, taken.graph) == (
        {"used": "plugin", "why": "there are kernels for SM 87"},
        bundle.engine_path,
    )
    names = RrsSettings(8, 8, 0, 0, 1e-5).kernels(2, "f32")
    assert taken.kernels is not None
    assert taken.kernels.sha256 == load_kernel_set(kernels, 87, names).sha256
    assert choose("native", trt, "8.7").note == {"used": "native", "why": "asked for"}
    other = choose("auto", trt, "11.0")
    assert other.used == "native"
    assert "carries no kernels for SM 110 (it has: 87)" in other.why
    with pytest.raises(KernelError, match=r"SM 110 .*--sm 110 .*prepare it again with --kernels"):
        choose("plugin", trt, "11.0")
    assert choose("auto", trt, "8.7", portable=True).used == "native"


def test_kernels_are_taken_as_they_were_signed(prepared_with_kernels: Bundle, tmp_path: Path) -> None:
    folder = tmp_path / "prepared"
    shutil.copytree(prepared_with_kernels.path, folder)
    write_new_key(tmp_path / "line.key")
    sign_bundle(folder, read_private_key(tmp_path / "line.key"))
    bundle = load_bundle(folder, [tmp_path / "line.key.pub"])
    # Whoever can write there changes it once it is verified.
    (folder / "kernels-sm87.json").write_text("{}")
    found, _ = carried_plugin(bundle, 87)
    assert found.sha256 == carried_plugin(prepared_with_kernels, 87)[0].sha256


def test_a_bundle_without_kernels_has_tensorrts_layers(prepared: Prepare) -> None:
    bundle = prepared("tensorrt", "int8")
    with pytest.raises(KernelError, match=r"carries no kernels for SM 87 \(it has: none\)"):
        carried_plugin(bundle, 87)
    assert not onnx.load(bundle.engine_path).functions


def test_kernels_of_another_version_are_refused(
    prepared_with_kernels: Bundle, uncompiled: Callable[..., KernelSet], tmp_path: Path
) -> None:
    names = RrsSettings(8, 8, 0, 0, 1e-5).kernels(2, "f32")
    found = uncompiled(names)
    first = found[names[0]]
    older = dataclasses.replace(first, about=dataclasses.replace(first.about, constants={}))
    file = tmp_path / "old.json"
    file.write_bytes(KernelSet({**found.kernels, names[0]: older}).to_bytes())
    bundle = altered(prepared_with_kernels, tmp_path / "old", {"kernels-sm87.json": file})
    with pytest.raises(KernelError, match=f"{names[0]} was compiled by another version"):
        carried_plugin(bundle, 87)


def test_what_is_asked_of_kernels_and_is_not_there_is_refused(
    workspace: Workspace,
    kernels: Path,
    write_kernels: Callable[[Path], Path],
    tmp_path: Path,
    prepared: Prepare,
) -> None:
    prepare = partial(prepare_bundle, workspace, "screw", "fp32")
    command = f"python -m realnet_edge.kernels.compile --sm 87 --out {tmp_path}"
    with pytest.raises(KernelError, match=f"there are no kernels in {tmp_path}.*{command}"):
        prepare("tensorrt", options=BuildOptions(kernels=tmp_path))
    with pytest.raises(KernelError, match="there are no kernels in"):
        prepare("tensorrt", options=BuildOptions(rrs="plugin"))
    with pytest.raises(ConfigError, match="--rrs native needs no kernels"):
        prepare("tensorrt", options=BuildOptions(rrs="native", kernels=kernels))
    portable = EngineOptions(version_compatible=True)
    with pytest.raises(BackendError, match="code for one GPU"):
        prepare("tensorrt", options=BuildOptions(kernels=kernels, engine=portable))
    for options in (BuildOptions(kernels=kernels), BuildOptions(rrs="plugin")):
        with pytest.raises(ConfigError, match=r"mean nothing to openvino|openvino cannot compute RRS"):
            prepare("openvino", options=options)
    less = write_kernels(tmp_path / "less")
    (less / "sm_87" / "rrs_rank_max.json").unlink()
    with pytest.raises(KernelError, match=r"sm_87 lacks 1 of the \d kernels"):
        prepare("tensorrt", options=BuildOptions(kernels=less))
    with pytest.raises(ConfigError, match="mean nothing to onnxruntime"):
        build_on_target(
            prepared("onnxruntime", "int8").path, Workspace(tmp_path), TargetOptions(rrs="plugin")
        )


def test_the_target_parses_either_way_without_torch_or_onnx(prepared_with_kernels: Bundle) -> None:
    pytest.importorskip("tensorrt_rtx", reason="needs tensorrt_rtx")
    assert clean(_PARSE, prepared_with_kernels.path).stdout.split() == ["True", "False"]


@pytest.mark.slow
@pytest.mark.parametrize(("capability", "used"), [("8.7", "plugin"), ("8.9", "native")])
def test_the_target_builds_with_the_kernels_of_its_gpu(
    capability: str, used: str, prepared_with_kernels: Bundle, tmp_path: Path
) -> None:
    pytest.importorskip("tensorrt_rtx", reason="needs tensorrt_rtx")
    done = clean(_PLAN, prepared_with_kernels.path, tmp_path, capability)
    _, _, notes, plugins, _ = json.loads(done.stdout)
    assert notes["rrs"]["used"] == used
    code = (prepared_with_kernels.path / "kernels-sm87.json").read_bytes()
    assert (code in (tmp_path / "model.plan").read_bytes()) == (used == "plugin")
    assert (plugins is not None) == (used == "plugin")


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_the_target_builds_its_tensorrt_engine(precision: str, prepared: Prepare, tmp_path: Path) -> None:
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
