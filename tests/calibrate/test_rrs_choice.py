"""Plugin or TensorRT's own layers: what is taken, what is said, and what the engine's key holds."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from realnet_edge.bundle import EngineTarget
from realnet_edge.calibrate import tensorrt_build
from realnet_edge.calibrate.rrs_choice import FindPlugin, check_mode, choose_rrs, compiled_plugin
from realnet_edge.calibrate.tensorrt_build import PlanJob, plan_from_onnx, sha256_graph
from realnet_edge.errors import BackendError, ConfigError, KernelError
from realnet_edge.runtime.tensorrt import EngineOptions

trt = pytest.importorskip("tensorrt_rtx", reason="needs tensorrt_rtx")


@pytest.fixture
def kernels(write_kernels: Callable[[Path], Path], tmp_path: Path) -> Path:
    return write_kernels(tmp_path / "kernels")


def find(graph: Path, folder: Path, kernels: Path) -> FindPlugin:
    return partial(compiled_plugin, graph, folder / "model.onnx", kernels)


def test_the_plugin_is_taken_where_there_are_kernels(graph: Path, kernels: Path, tmp_path: Path) -> None:
    chosen = choose_rrs("auto", trt, "8.7", graph, find(graph, tmp_path / "rrs", kernels))
    assert chosen.note == {"used": "plugin", "why": "there are kernels for SM 87"}
    assert chosen.graph == tmp_path / "rrs" / "model.onnx" != graph
    assert chosen.kernels is not None
    assert str(chosen) == "RRS is computed by our own kernels, as a plugin: there are kernels for SM 87"
    asked = choose_rrs("plugin", trt, "8.7", graph, find(graph, tmp_path / "again", kernels))
    assert asked.note == {"used": "plugin", "why": "asked for"}
    native = choose_rrs("native", trt, "8.7", graph, find(graph, tmp_path / "none", kernels))
    assert (native.note, native.graph, native.kernels) == (
        {"used": "native", "why": "asked for"},
        graph,
        None,
    )
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(("capability", "sm"), [("8.6", 86), ("12.0", 120)])
def test_without_kernels_it_is_said_how_to_get_them(
    capability: str, sm: int, graph: Path, kernels: Path, tmp_path: Path
) -> None:
    command = f"python -m realnet_edge.kernels.compile --sm {sm} --out {kernels}"
    chosen = choose_rrs("auto", trt, capability, graph, find(graph, tmp_path / "rrs", kernels))
    assert (chosen.used, chosen.graph) == ("native", graph)
    assert command in str(chosen)
    with pytest.raises(KernelError, match=f"sm_{sm} lacks .*--sm {sm}"):
        choose_rrs("plugin", trt, capability, graph, find(graph, tmp_path / "rrs", kernels))
    (kernels / "sm_87" / "rrs_rank_mean.json").unlink()
    with pytest.raises(KernelError, match=r"lacks 1 of the \d+ kernels .*rrs_rank_mean"):
        choose_rrs("plugin", trt, "8.7", graph, find(graph, tmp_path / "rrs", kernels))


def test_a_gpu_that_no_kernel_is_compiled_for_has_tensorrts_layers(
    graph: Path, kernels: Path, tmp_path: Path
) -> None:
    chosen = choose_rrs("auto", trt, "7.2", graph, find(graph, tmp_path / "rrs", kernels))
    assert chosen.used == "native"
    assert "kernels are not compiled for SM 72" in chosen.why


def test_a_release_without_such_plugins_has_tensorrts_layers(
    graph: Path, kernels: Path, tmp_path: Path
) -> None:
    old = SimpleNamespace(__name__="tensorrt", __version__="8.6.1")
    assert choose_rrs("auto", old, "8.7", graph, find(graph, tmp_path / "rrs", kernels)).used == "native"
    with pytest.raises(BackendError, match=r"TensorRT 8\.6\.1 has no IPluginV3"):
        choose_rrs("plugin", old, "8.7", graph, find(graph, tmp_path / "rrs", kernels))


def test_engines_for_other_gpus_too_have_tensorrts_layers(graph: Path, kernels: Path, tmp_path: Path) -> None:
    chosen = choose_rrs("auto", trt, "8.7", graph, find(graph, tmp_path / "rrs", kernels), portable=True)
    assert chosen.used == "native"
    with pytest.raises(BackendError, match=r"code for one GPU.*Leave --hardware-compatible"):
        choose_rrs("plugin", trt, "8.7", graph, find(graph, tmp_path / "rrs", kernels), portable=True)


def test_only_tensorrt_has_plugins() -> None:
    for backend in ("openvino", "onnxruntime"):
        check_mode("auto", backend)
        check_mode("native", backend)
        with pytest.raises(ConfigError, match=f"{backend} cannot compute RRS as a plugin"):
            check_mode("plugin", backend)
    with pytest.raises(ConfigError, match="rrs is 'Plugin': use auto, plugin, native"):
        check_mode("Plugin")


@pytest.mark.slow
def test_key_and_manifest_say_how_rrs_is_computed(
    graph: Path, kernels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole build but for the GPU, which only gives its name."""
    target = EngineTarget("tensorrt_rtx", trt.__version__, "Orin", "8.7", "12.6")
    monkeypatch.setattr(tensorrt_build, "target_here", lambda _trt: target)
    said: list[str] = []

    def build(rrs: str) -> Any:
        folder = tmp_path / rrs
        folder.mkdir()
        job = PlanJob(
            folder=folder,
            precision="fp32",
            options=EngineOptions(batch=(1, 1, 8), builder_level=0),
            calibration_sha256=None,
            timing_cache=tmp_path / "times",
            at_hand=tmp_path / "no bundle",
            progress=lambda what, done, total: None,
            tell=said.append,
        )
        return plan_from_onnx(graph, job, rrs, kernels)

    plugin, native = build("plugin"), build("native")
    assert plugin.notes["rrs"] == {"used": "plugin", "why": "asked for"}
    assert native.notes["rrs"] == {"used": "native", "why": "asked for"}
    assert [text.partition(":")[0] for text in said[::2]] == [
        "RRS is computed by our own kernels, as a plugin",
        "RRS is computed by TensorRT's own layers",
    ]
    assert native.key.plugins_sha256 is None
    assert native.key.graph_sha256 == sha256_graph(graph) != plugin.key.graph_sha256
    chosen = choose_rrs("plugin", trt, "8.7", graph, find(graph, tmp_path / "again", kernels))
    assert chosen.kernels is not None
    assert plugin.key.plugins_sha256 == chosen.kernels.sha256
    assert chosen.kernels.to_bytes() in plugin.files["model.plan"].read_bytes()
