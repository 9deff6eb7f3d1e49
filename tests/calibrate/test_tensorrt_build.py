"""TensorRT bundles: which engine is kept, what a rebuild says, and what is refused without a GPU."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from realnet_edge.bundle import Bundle, EngineKey, EngineTarget, sign_bundle
from realnet_edge.bundle.keys import read_private_key, write_new_key
from realnet_edge.calibrate import BuildOptions
from realnet_edge.calibrate.tensorrt_build import (
    ENGINE_NAME,
    describe_build,
    graph_in_precision,
    reusable_engine,
    sha256_graph,
    timing_cache_name,
)
from realnet_edge.cli.main import cli
from realnet_edge.errors import BackendError
from realnet_edge.runtime import detect, open_runner
from realnet_edge.runtime.machine import int8_saturates
from realnet_edge.runtime.tensorrt import EngineBuild, EngineOptions
from realnet_edge.workspace import Workspace

TARGET = EngineTarget("tensorrt", "10.3.0", "Orin", "8.7", "12.6")


@pytest.fixture
def at_hand(toy_bundle: Callable[..., Bundle], tmp_path: Path) -> tuple[Bundle, EngineKey]:
    bundle = toy_bundle(tmp_path / "b", "tensorrt", "fp16")
    assert bundle.manifest.engine_key is not None
    return bundle, bundle.manifest.engine_key


def test_the_very_same_engine_is_kept(at_hand: tuple[Bundle, EngineKey]) -> None:
    bundle, key = at_hand
    said: list[str] = []
    assert reusable_engine(bundle.path, key, said.append) == bundle.engine_path
    assert "it is kept" in said[0]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"graph_sha256": "3" * 64}, "graph sha256: 222222222222 -> 333333333333"),
        ({"profile": (1, 4, 8)}, "profile: [1, 1, 4] -> [1, 4, 8]"),
        ({"calibration_sha256": "4" * 64}, "calibration sha256: not set -> 444444444444"),
        ({"plugins_sha256": "5" * 64}, "plugins sha256: not set -> 555555555555"),
        ({"settings": {"tf32": True}}, "tf32: False -> True"),
        ({"target": TARGET}, "gpu: a GPU of nobody -> Orin"),
        ({"target": dataclasses.replace(TARGET, version="11.4.0")}, "version: 10.3.0 -> 11.4.0"),
    ],
)
def test_another_key_is_another_engine_and_it_is_said_why(
    changes: dict[str, object], says: str, at_hand: tuple[Bundle, EngineKey]
) -> None:
    bundle, key = at_hand
    said: list[str] = []
    assert reusable_engine(bundle.path, dataclasses.replace(key, **changes), said.append) is None  # type: ignore[arg-type]
    assert said[0].startswith("building the engine anew: ")
    assert says in said[0]


def test_an_engine_that_was_changed_on_disk_is_not_kept(at_hand: tuple[Bundle, EngineKey]) -> None:
    bundle, key = at_hand
    bundle.engine_path.write_bytes(b"other code")
    said: list[str] = []
    assert reusable_engine(bundle.path, key, said.append) is None
    assert "is changed" in said[0]
    assert reusable_engine(bundle.path / "nowhere", key, said.append) is None


def test_where_a_signature_is_required_an_engine_without_one_is_not_kept(
    at_hand: tuple[Bundle, EngineKey], tmp_path: Path
) -> None:
    bundle, key = at_hand
    _, public = write_new_key(tmp_path / "k")
    said: list[str] = []
    assert reusable_engine(bundle.path, key, said.append, [public]) is None
    assert "is not signed" in said[0]
    sign_bundle(bundle.path, read_private_key(tmp_path / "k"))
    kept = reusable_engine(bundle.path, key, said.append, [public])
    # The bytes that were verified, wherever they lie.
    assert kept is not None
    assert kept.read_bytes() == bundle.engine_path.read_bytes()
    assert kept.parent != bundle.path


def test_the_hash_of_a_graph_covers_its_external_data(toy_onnx: Callable[..., Path], tmp_path: Path) -> None:
    source = toy_onnx(size=32, external=True)
    for name in ("a.onnx", "a.onnx.data"):
        (tmp_path / name).write_bytes(source.with_name(name.replace("a.onnx", source.name)).read_bytes())
    before = sha256_graph(tmp_path / "a.onnx")
    assert before == sha256_graph(tmp_path / "a.onnx")
    (tmp_path / "a.onnx.data").write_bytes(b"\0" * 100)
    assert sha256_graph(tmp_path / "a.onnx") != before
    assert before != hashlib.sha256((tmp_path / "a.onnx").read_bytes()).hexdigest()


def test_only_fp32_is_read_as_it_is(graph: Path, tmp_path: Path) -> None:
    assert graph_in_precision(graph, tmp_path, "fp32") == graph
    half = graph_in_precision(graph, tmp_path, "fp16")
    assert half.parent.parent == tmp_path
    assert half.stat().st_size < 0.6 * graph.stat().st_size


def test_times_of_kernels_are_kept_apart_and_reported() -> None:
    other = dataclasses.replace(TARGET, version="10.16.1")
    assert timing_cache_name(TARGET) == "tensorrt-10.3.0-sm87.timing" != timing_cache_name(other)
    build = EngineBuild(seconds=61.2, size=3 << 20, layers=900, timing_cache=(0, 5 << 10))
    text = "TensorRT 10.3.0: 900 layers in 61 s, engine of 3.0 MiB; timing cache of 0 KiB before, 5 KiB after"
    assert describe_build("TensorRT 10.3.0", build) == text
    assert "cache" not in describe_build("x", dataclasses.replace(build, timing_cache=None))


def test_batches_and_bits_are_tensorrts_own() -> None:
    plain, tuned = BuildOptions(max_batch=6), BuildOptions(engine=EngineOptions(batch=(2, 4, 8)))
    assert plain.builder.batch == (1, 1, 6)
    assert (plain.batch("tensorrt"), plain.batch("openvino")) == ((1, 6), (1, 6))
    assert (tuned.batch("tensorrt"), tuned.builder.batch) == ((2, 8), (2, 4, 8))
    # A GPU adds INT8 products in 32 bits, whatever this processor does.
    assert plain.bits("tensorrt") == 8
    assert plain.bits("openvino") == (7 if int8_saturates() else 8)


def test_a_machine_without_a_gpu_says_what_it_lacks(workspace: Workspace) -> None:
    info = next(info for info in detect() if info.name == "tensorrt")
    if info.available:
        pytest.skip("this machine has a GPU and TensorRT")
    arguments = ["build", "--category", "screw", "--precision", "fp16", "--backend", "tensorrt"]
    result = CliRunner().invoke(cli, [*arguments, "--workspace", str(workspace.root)])
    assert result.exit_code == 1
    assert f"tensorrt cannot be used here: {info.missing}" in " ".join(result.stderr.split())
    assert "NVIDIA GPU" in result.stderr
    assert not list(workspace.category("screw").root.glob(".*"))


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_a_bundle_is_built_kept_and_run(precision: str, workspace: Workspace) -> None:
    from realnet_edge.calibrate import build_bundle

    info = next(info for info in detect() if info.name == "tensorrt")
    if not info.available:
        pytest.skip(f"no TensorRT that runs here: {info.missing}")
    said: list[str] = []
    options = BuildOptions(max_batch=4)
    built = build_bundle(workspace, "screw", precision, "tensorrt", options=options, tell=said.append)
    assert built.engine_path.name == ENGINE_NAME
    assert built.manifest.drift is not None
    assert built.manifest.drift["map_max_abs"] <= (1e-4 if precision == "fp32" else 0.5)
    assert "layers in" in said[-1]
    again = build_bundle(workspace, "screw", precision, "tensorrt", options=options, tell=said.append)
    assert again.manifest.files == built.manifest.files
    assert "it is kept" in said[-1]
    key = built.manifest.engine_key
    assert key is not None
    foreign = dataclasses.replace(built.manifest, engine_key=dataclasses.replace(key, target=TARGET))
    with pytest.raises(BackendError, match="built for another machine"):
        open_runner(Bundle(built.path, foreign, "")).__enter__()
