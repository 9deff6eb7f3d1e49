"""A prepared bundle for TensorRT: its graph and its kernels, as the target takes them."""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import onnx
import pytest

from realnet_edge.bundle import (
    Bundle,
    Preparation,
    load_bundle,
    sign_bundle,
    write_bundle,
)
from realnet_edge.bundle.keys import read_private_key, write_new_key
from realnet_edge.calibrate import (
    BuildOptions,
    TargetOptions,
    build_on_target,
    prepare_bundle,
)
from realnet_edge.calibrate.carried_kernels import carried_plugin
from realnet_edge.calibrate.rrs_choice import choose_rrs
from realnet_edge.errors import BackendError, ConfigError, KernelError
from realnet_edge.kernels.kernel_set import KernelSet, load_kernel_set
from realnet_edge.kernels.rrs_call import RrsSettings
from realnet_edge.runtime.tensorrt import EngineOptions
from realnet_edge.workspace import Workspace

Prepare = Callable[..., Bundle]
Clean = Callable[..., subprocess.CompletedProcess[str]]
Altered = Callable[..., Bundle]

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
    whole: bool, prepared: Prepare, toy_bundle: Callable[..., Bundle], tmp_path: Path, clean: Clean
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
    prepared_with_kernels: Bundle, uncompiled: Callable[..., KernelSet], tmp_path: Path, altered: Altered
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


def test_the_target_parses_either_way_without_torch_or_onnx(
    prepared_with_kernels: Bundle, clean: Clean
) -> None:
    pytest.importorskip("tensorrt_rtx", reason="needs tensorrt_rtx")
    assert clean(_PARSE, prepared_with_kernels.path).stdout.split() == ["True", "False"]


@pytest.mark.slow
@pytest.mark.parametrize(("capability", "used"), [("8.7", "plugin"), ("8.9", "native")])
def test_the_target_builds_with_the_kernels_of_its_gpu(
    capability: str, used: str, prepared_with_kernels: Bundle, tmp_path: Path, clean: Clean
) -> None:
    pytest.importorskip("tensorrt_rtx", reason="needs tensorrt_rtx")
    done = clean(_PLAN, prepared_with_kernels.path, tmp_path, capability)
    _, _, notes, plugins, _ = json.loads(done.stdout)
    assert notes["rrs"]["used"] == used
    code = (prepared_with_kernels.path / "kernels-sm87.json").read_bytes()
    assert (code in (tmp_path / "model.plan").read_bytes()) == (used == "plugin")
    assert (plugins is not None) == (used == "plugin")
