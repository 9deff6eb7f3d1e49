"""TensorRT's runner: what it refuses without a GPU, and on one, that it keeps the contract."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from realnet_edge.bundle import Bundle, EngineKey, EngineTarget, InputSpec, Manifest, write_bundle
from realnet_edge.errors import BackendError
from realnet_edge.runtime import TensorRtRunner, detect, open_runner
from realnet_edge.runtime.gpu import cuda_devices
from realnet_edge.runtime.tensorrt import EngineOptions, engine_from_onnx
from realnet_edge.runtime.tensorrt.engine import load_engine
from realnet_edge.runtime.tensorrt.progress import Phases
from realnet_edge.runtime.tensorrt.target import import_flavour, refuse_foreign, target_here

SIZE = 32
HERE = EngineTarget("tensorrt", "10.3.0", "Orin", "8.7", "12.6")
KEY = EngineKey(target=HERE, graph_sha256="0" * 64, precision="fp32", profile=(1, 1, 4), settings={})
Images = npt.NDArray[np.uint8]


@pytest.fixture(scope="module")
def rtx() -> Any:
    return pytest.importorskip("tensorrt_rtx", reason="needs tensorrt_rtx")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"version": "10.16.0"}, r"version: 10\.3\.0 -> 10\.16\.0"),
        ({"flavour": "tensorrt_rtx"}, "flavour: tensorrt -> tensorrt_rtx"),
        (
            {"gpu": "Thor", "compute_capability": "11.0"},
            r"gpu: Orin -> Thor; compute capability: 8\.7 -> 11\.0",
        ),
        ({"cuda": "13.0"}, r"cuda: 12\.6 -> 13\.0"),
    ],
)
def test_a_foreign_engine_is_refused_and_it_is_said_what_is_another(
    changes: dict[str, str], says: str
) -> None:
    refuse_foreign(KEY, HERE, Path("model.plan"))
    with pytest.raises(BackendError, match=f"was not loaded.*{says}"):
        refuse_foreign(KEY, dataclasses.replace(HERE, **changes), Path("model.plan"))


@pytest.mark.parametrize("content", [b"", b"not an engine" * 100])
def test_what_is_no_engine_is_an_error_with_tensorrts_reason(
    rtx: Any, content: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "model.plan"
    path.write_bytes(content)
    with pytest.raises(BackendError, match=r"model\.plan: TensorRT for RTX .* does not load this engine"):
        load_engine(rtx, path)
    with pytest.raises(BackendError, match=r"gone\.plan: cannot be read"):
        load_engine(rtx, tmp_path / "gone.plan")


@pytest.mark.skipif(bool(cuda_devices()[0]), reason="this machine has a GPU")
def test_without_a_driver_tensorrts_none_is_an_error(
    rtx: Any, toy_onnx: Callable[..., Path], tmp_path: Path
) -> None:
    """`deserialize_cuda_engine` gives None for a good engine, and only logs why."""
    engine_from_onnx(rtx, toy_onnx(size=SIZE), tmp_path / "model.plan", EngineOptions())
    with pytest.raises(BackendError, match=r"does not load this engine.*driver version is insufficient"):
        load_engine(rtx, tmp_path / "model.plan")


@pytest.mark.skipif(bool(cuda_devices()[0]), reason="this machine has a GPU")
def test_without_a_gpu_a_runner_does_not_open(rtx: Any, tmp_path: Path) -> None:
    key = dataclasses.replace(KEY, target=dataclasses.replace(HERE, flavour=rtx.__name__))
    runner = TensorRtRunner(tmp_path / "never-read.plan", key=key, input_size=(SIZE, SIZE))
    with pytest.raises(BackendError, match=r"no NVIDIA driver|the NVIDIA driver|no NVIDIA GPU"):
        runner.__enter__()
    with pytest.raises(BackendError, match="not open"):
        runner.infer(np.zeros((1, SIZE, SIZE, 3), np.uint8))


def test_a_flavour_that_is_not_installed_is_named() -> None:
    with pytest.raises(BackendError, match="runs with tensorrt_of_nobody, which cannot be imported here"):
        import_flavour("tensorrt_of_nobody")


def test_progress_rises_through_nested_phases() -> None:
    seen: list[int] = []
    phases = Phases("building", lambda _what, done, _total: seen.append(done))
    phases.start("all", None, 2)
    phases.start("first half", "all", 4)
    for step in range(4):
        phases.step("first half", step)
    phases.finish("first half")
    phases.step("all", 0)
    phases.start("second half", "all", 2)
    phases.step("second half", 0)
    phases.step("a phase of nobody", 0)
    phases.finish("second half")
    phases.step("all", 1)
    assert seen == [0, 12, 25, 37, 50, 75, 100]


# What follows needs a GPU.


@pytest.fixture(scope="module")
def gpu_bundle(toy_onnx: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    info = next(info for info in detect() if info.name == "tensorrt")
    if not info.available:
        pytest.skip(f"no TensorRT that runs here: {info.missing}")
    from realnet_edge.runtime.backends import import_backend

    trt = import_backend("tensorrt", "fp32")
    folder = tmp_path_factory.mktemp("tensorrt")
    plan, options = folder / "model.plan", EngineOptions(batch=(1, 1, 4))
    engine_from_onnx(trt, toy_onnx(size=SIZE), plan, options, timing_cache=folder / "cache")
    key = EngineKey(
        target=target_here(trt),
        graph_sha256="0" * 64,
        precision="fp32",
        profile=options.batch,
        settings=options.settings(),
    )
    manifest = Manifest(
        category="toy",
        input=InputSpec(SIZE, SIZE),
        score_rule="max",
        backend="tensorrt",
        precision="fp32",
        arithmetic="f32",
        batch=(1, 4),
        engine=plan.name,
        builder={},
        checkpoint_sha256="0" * 64,
        created="2026-01-31T12:00:00Z",
        engine_key=key,
    )
    return write_bundle(folder / "bundle", {plan.name: plan}, manifest)


def _images(count: int, seed: int = 0) -> Images:
    return np.random.default_rng(seed).integers(0, 256, (count, SIZE, SIZE, 3), dtype=np.uint8)


def _expected_map(images: Images) -> npt.NDArray[np.float64]:
    brightness = images.astype(np.float64).mean(axis=3) / 255.0
    return np.asarray(1.0 / (1.0 + np.exp(-24.0 * (brightness - 0.5))))


@pytest.mark.gpu
def test_every_batch_gives_its_own_answer_first_captured_and_repeated(gpu_bundle: Bundle) -> None:
    with open_runner(gpu_bundle) as runner:
        # Each size alone, again (captured), and again (replayed); then back, where a graph was dropped.
        for seed, count in enumerate((1, 1, 1, 4, 4, 4, 2, 1, 1)):
            images = _images(count, seed)
            found = runner.infer(images, diagnostics=True)
            np.testing.assert_allclose(found.anomaly_map, _expected_map(images), atol=1e-4)
            assert found.rrs_indices is not None
            assert found.rrs_indices.shape == (count, 4)


@pytest.mark.gpu
def test_a_later_inference_does_not_touch_an_earlier_answer(gpu_bundle: Bundle) -> None:
    with open_runner(gpu_bundle) as runner:
        first = runner.infer(np.full((1, SIZE, SIZE, 3), 255, np.uint8))
        kept = first.anomaly_map.copy()
        for _ in range(3):
            runner.infer(np.zeros((1, SIZE, SIZE, 3), np.uint8))
    np.testing.assert_array_equal(first.anomaly_map, kept)


@pytest.mark.gpu
@pytest.mark.parametrize("count", [0, 5])
def test_a_batch_outside_the_profile_is_refused(gpu_bundle: Bundle, count: int) -> None:
    with (
        open_runner(gpu_bundle) as runner,
        pytest.raises(BackendError, match=f"batch of {count} images.*1 to 4"),
    ):
        runner.infer(_images(count))


@pytest.mark.gpu
def test_images_on_the_gpu_are_read_where_they_lie(gpu_bundle: Bundle) -> None:
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("this torch has no CUDA")
    images = _images(2)
    with open_runner(gpu_bundle) as runner:
        host = runner.infer(images)
        there = runner.infer(torch.from_numpy(images).cuda())  # type: ignore[arg-type]  # torch's own array
        np.testing.assert_array_equal(host.anomaly_map, there.anomaly_map)
        with pytest.raises(BackendError, match="contiguous"):
            runner.infer(torch.from_numpy(images).cuda().flip(2).transpose(1, 2))  # type: ignore[arg-type]


@pytest.mark.gpu
def test_a_runner_may_be_entered_again(gpu_bundle: Bundle) -> None:
    runner = open_runner(gpu_bundle)
    scores = []
    for _ in range(2):
        with runner:
            scores.append(runner.infer(_images(1)).score)
    np.testing.assert_array_equal(*scores)
