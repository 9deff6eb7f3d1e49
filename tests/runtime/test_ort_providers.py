"""ONNX Runtime's GPU providers: named, told what is right, and never replaced by the processor in silence."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from realnet_edge.bundle import BACKENDS, GPU_BACKENDS, Bundle
from realnet_edge.errors import BackendError
from realnet_edge.runtime import SUPPORTED, OnnxRuntimeGpuRunner, detect_backend, open_runner
from realnet_edge.runtime.ort_cache import cache_folder
from realnet_edge.runtime.ort_providers import (
    PROVIDERS,
    RECORD_PLACES,
    check_session,
    open_session,
    providers_here,
)

SIZE = 32
CPU_WHEEL = pytest.mark.skipif(
    "CUDAExecutionProvider" in onnxruntime.get_available_providers(), reason="this onnxruntime has CUDA"
)


def test_every_provider_is_a_backend_and_both_lists_agree() -> None:
    assert list(SUPPORTED) == list(BACKENDS)
    assert set(GPU_BACKENDS) == {"tensorrt", *PROVIDERS}
    # Its CUDA kernels have no INT8 convolutions: Q/DQ would only cost time.
    assert SUPPORTED["onnxruntime-cuda"] == ("fp32", "fp16")


def test_options_follow_from_cache_size_and_batches(tmp_path: Path) -> None:
    def options(backend: str) -> dict[str, str]:
        return PROVIDERS[backend].options(tmp_path, (96, 160), (2, 8))

    assert options("onnxruntime-cuda") == {"device_id": "0", "use_tf32": "0"}
    found = options("onnxruntime-tensorrt")
    assert found["trt_engine_cache_enable"] == found["trt_timing_cache_enable"] == "1"
    assert found["trt_engine_cache_path"] == found["trt_timing_cache_path"] == str(tmp_path)
    shapes = [found[f"trt_profile_{name}_shapes"] for name in ("min", "opt", "max")]
    assert shapes == ["image:2x96x160x3", "image:2x96x160x3", "image:8x96x160x3"]
    # Either would let TensorRT choose types that the graph does not have.
    assert not {"trt_fp16_enable", "trt_int8_enable"} & set(found)
    rtx = options("onnxruntime-tensorrt-rtx")
    assert rtx["nv_runtime_cache_path"] == str(tmp_path)
    assert rtx["nv_profile_max_shapes"] == "image:8x96x160x3"


@CPU_WHEEL
@pytest.mark.parametrize("backend", list(PROVIDERS))
def test_without_the_provider_it_is_said_what_is_there_and_what_adds_it(
    backend: str, toy_onnx: Callable[..., Path], toy_bundle: Callable[..., Bundle], tmp_path: Path
) -> None:
    provider = PROVIDERS[backend]
    if provider.name in providers_here(onnxruntime):
        pytest.skip(f"this machine has {provider.name}")
    with pytest.raises(BackendError) as caught:
        open_session(onnxruntime, toy_onnx(size=SIZE), provider, {}, None)
    assert f"has no {provider.name}, only" in str(caught.value)
    assert "CPUExecutionProvider" in str(caught.value)
    assert provider.install in str(caught.value)
    info = detect_backend(backend)
    assert not info.available
    assert provider.install in str(info.hint)
    with pytest.raises(BackendError, match=f"{backend} cannot be used here"):
        open_runner(toy_bundle(tmp_path / "b", backend, "fp32"))


@CPU_WHEEL
def test_a_session_that_came_up_on_the_processor_is_refused(toy_onnx: Callable[..., Path]) -> None:
    """ONNX Runtime itself only warns: this is the silent fallback."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        session = onnxruntime.InferenceSession(toy_onnx(size=SIZE), providers=["CUDAExecutionProvider"])
    image = np.zeros((1, SIZE, SIZE, 3), np.uint8)
    assert session.run(["score"], {"image": image})[0].shape == (1,)
    with pytest.raises(BackendError, match="took CPUExecutionProvider where CUDAExecutionProvider was asked"):
        check_session(session, PROVIDERS["onnxruntime-cuda"])


class Beside:
    """A session whose provider started but took only part of a graph; places are those of a real session."""

    def __init__(self, session: onnxruntime.InferenceSession) -> None:
        self.get_provider_graph_assignment_info = session.get_provider_graph_assignment_info

    def get_providers(self) -> list[str]:
        return ["CUDAExecutionProvider", "CPUExecutionProvider"]


def test_layers_with_weights_on_the_processor_are_named(toy_onnx: Callable[..., Path]) -> None:
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry(RECORD_PLACES, "1")
    session = onnxruntime.InferenceSession(toy_onnx(size=SIZE), options, providers=["CPUExecutionProvider"])
    if not hasattr(session, "get_provider_graph_assignment_info"):
        pytest.skip("this onnxruntime does not tell where layers lie")
    with pytest.raises(BackendError, match="CUDAExecutionProvider leaves 2 layers with weights"):
        check_session(Beside(session), PROVIDERS["onnxruntime-cuda"])


def test_engines_of_other_weights_are_kept_apart(
    toy_onnx: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    source = toy_onnx(size=SIZE, external=True)
    model = tmp_path / source.name
    for name in (source.name, f"{source.name}.data"):
        (tmp_path / name).write_bytes(source.with_name(name).read_bytes())
    first = cache_folder("onnxruntime-tensorrt", model, "1.31")
    assert first == cache_folder("onnxruntime-tensorrt", model, "1.31")
    assert first.parent == tmp_path / "cache" / "realnet-edge"
    assert first.stat().st_mode & 0o777 == 0o700
    (tmp_path / f"{source.name}.data").write_bytes(b"\0" * 100)
    others = {
        cache_folder("onnxruntime-tensorrt", model, "1.31"),
        cache_folder("onnxruntime-cuda", model, "1.31"),
        cache_folder("onnxruntime-tensorrt", model, "1.30"),
    }
    assert len(others | {first}) == 4


def test_a_place_that_cannot_be_written_to_is_named(
    toy_onnx: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(BackendError, match="Name a writable one with XDG_CACHE_HOME"):
        cache_folder("onnxruntime-cuda", toy_onnx(size=SIZE), "1")


@pytest.mark.gpu
@pytest.mark.parametrize("backend", list(PROVIDERS))
def test_a_provider_gives_the_answer_known_in_closed_form(
    backend: str, toy_bundle: Callable[..., Bundle], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = detect_backend(backend)
    if not info.available:
        pytest.skip(f"no {backend} here: {info.missing}")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    images = np.random.default_rng(0).integers(0, 256, (3, SIZE, SIZE, 3), dtype=np.uint8)
    expected = 1.0 / (1.0 + np.exp(-24.0 * (images.astype(np.float64).mean(axis=3) / 255.0 - 0.5)))
    with open_runner(toy_bundle(tmp_path / "b", backend, "fp32", size=SIZE)) as runner:
        assert isinstance(runner, OnnxRuntimeGpuRunner)
        for count in (1, 3, 1):
            found = runner.infer(images[:count], diagnostics=True)
            np.testing.assert_allclose(found.anomaly_map, expected[:count], atol=1e-4)
