"""The contract, held by every backend: one set of cases over real engines."""

from __future__ import annotations

import dataclasses
import gc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from realnet_edge.bundle import Bundle
from realnet_edge.errors import BackendError, ConfigError
from realnet_edge.runtime import OnnxRuntimeRunner, OpenVinoRunner, open_runner

SIZE = 32
# Largest error of the map that each kind of arithmetic may make on the toy engine, whose steepest slope is
# 6 a unit of brightness: float32 rounding, bf16's 8 bits, INT8's 8 bits.
ENGINES = [
    ("onnxruntime", "fp32", 1e-5),
    ("onnxruntime", "int8", 0.1),
    ("openvino", "fp32", 1e-5),
    ("openvino", "fp16", 0.1),
    ("openvino", "int8", 0.1),
]
Images = npt.NDArray[np.uint8]
RunnerClass = type[OnnxRuntimeRunner] | type[OpenVinoRunner]


@pytest.fixture(scope="module", params=ENGINES, ids=lambda row: f"{row[0]}-{row[1]}")
def engine(
    request: pytest.FixtureRequest,
    toy_bundle: Callable[..., Bundle],
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Bundle, float]:
    backend, precision, tolerance = request.param
    return toy_bundle(tmp_path_factory.mktemp("bundle") / "b", backend, precision, size=SIZE), tolerance


def _images(count: int, seed: int = 0) -> Images:
    return np.random.default_rng(seed).integers(0, 256, (count, SIZE, SIZE, 3), dtype=np.uint8)


def _expected_map(images: Images) -> npt.NDArray[np.float64]:
    brightness = images.astype(np.float64).mean(axis=3) / 255.0
    return np.asarray(1.0 / (1.0 + np.exp(-24.0 * (brightness - 0.5))))


def test_the_answer_is_the_one_known_in_closed_form(engine: tuple[Bundle, float]) -> None:
    bundle, tolerance = engine
    images = _images(3)
    images[0], images[1] = 255, 0

    with open_runner(bundle, threads=1) as runner:
        prediction = runner.infer(images)

    assert prediction.anomaly_map.dtype == np.float32
    assert prediction.score.dtype == np.float32
    np.testing.assert_allclose(prediction.anomaly_map, _expected_map(images), atol=tolerance)
    assert prediction.score[0] > 0.99
    assert prediction.score[1] < 0.01
    assert prediction.rrs_indices is None


def test_diagnostics_are_given_when_asked_for(engine: tuple[Bundle, float]) -> None:
    with open_runner(engine[0], threads=1) as runner:
        indices = runner.infer(_images(2), diagnostics=True).rrs_indices

    assert indices is not None
    assert indices.shape == (2, 4)
    assert indices.dtype == np.int32
    assert all(len(set(row)) == 4 for row in indices.tolist())


def test_a_batch_smaller_than_the_engine_takes_is_filled_up(
    toy_bundle: Callable[..., Bundle], tmp_path: Path
) -> None:
    bundle = toy_bundle(tmp_path / "b", size=SIZE)
    wide = dataclasses.replace(bundle, manifest=dataclasses.replace(bundle.manifest, batch=(3, 4)))
    images = _images(4)
    with open_runner(bundle, threads=1) as plain, open_runner(wide, threads=1) as runner:
        for count in (1, 2, 3, 4):
            found = runner.infer_filled(images[:count], diagnostics=True)
            expected = plain.infer(images[:count], diagnostics=True)
            np.testing.assert_allclose(found.anomaly_map, expected.anomaly_map, atol=1e-6)
            np.testing.assert_allclose(found.score, expected.score, atol=1e-6)
            np.testing.assert_array_equal(found.rrs_indices, expected.rrs_indices)
        assert runner.infer_filled(images[:1]).rrs_indices is None
        with pytest.raises(BackendError, match="a batch of 2 images: this engine takes 3 to 4"):
            runner.infer(images[:2])
        for count in (0, 5):
            with pytest.raises(BackendError, match=f"batch of {count} images"):
                runner.infer_filled(_images(count))


def test_an_image_scores_the_same_in_every_batch(engine: tuple[Bundle, float]) -> None:
    images = _images(4)

    with open_runner(engine[0], threads=1) as runner:
        whole = runner.infer(images)
        single = [runner.infer(images[i : i + 1]) for i in range(4)]

    np.testing.assert_allclose(whole.anomaly_map, np.concatenate([p.anomaly_map for p in single]), atol=1e-6)
    np.testing.assert_allclose(whole.score, np.concatenate([p.score for p in single]), atol=1e-6)


def test_a_later_inference_does_not_touch_an_earlier_answer(engine: tuple[Bundle, float]) -> None:
    with open_runner(engine[0], threads=1) as runner:
        first = runner.infer(np.full((1, SIZE, SIZE, 3), 255, np.uint8), diagnostics=True)
        kept = [first.anomaly_map.copy(), first.score.copy(), np.array(first.rrs_indices)]
        second = runner.infer(np.zeros((1, SIZE, SIZE, 3), np.uint8), diagnostics=True)
    gc.collect()

    assert not np.shares_memory(first.anomaly_map, second.anomaly_map)
    assert not np.shares_memory(first.score, second.score)
    for now, before in zip((first.anomaly_map, first.score, first.rrs_indices), kept, strict=True):
        np.testing.assert_array_equal(now, before)
    assert second.score[0] < 0.01 < 0.99 < first.score[0]


def test_images_that_are_not_contiguous_are_read_right(engine: tuple[Bundle, float]) -> None:
    images = _images(2)
    flipped = images[:, :, ::-1, :]

    with open_runner(engine[0], threads=1) as runner:
        expected = runner.infer(np.ascontiguousarray(flipped)).anomaly_map
        np.testing.assert_array_equal(runner.infer(flipped).anomaly_map, expected)


@pytest.mark.parametrize(
    ("images", "says"),
    [
        (np.zeros((1, SIZE, SIZE, 3), np.float32), "images are float32"),
        (np.zeros((1, SIZE, SIZE, 3), np.int8), "images are int8"),
        (np.zeros((SIZE, SIZE, 3), np.uint8), r"shape \(32, 32, 3\).*takes \(N, 32, 32, 3\)"),
        (np.zeros((1, SIZE, SIZE), np.uint8), "shape"),
        (np.zeros((1, 3, SIZE, SIZE), np.uint8), "shape"),
        (np.zeros((1, SIZE, 16, 3), np.uint8), "shape"),
        (np.zeros((0, SIZE, SIZE, 3), np.uint8), "batch of 0 images.*1 to 4"),
        (np.zeros((5, SIZE, SIZE, 3), np.uint8), "batch of 5 images.*1 to 4"),
    ],
)
def test_what_an_engine_cannot_take_is_refused(
    engine: tuple[Bundle, float], images: Images, says: str
) -> None:
    with open_runner(engine[0], threads=1) as runner, pytest.raises(BackendError, match=says):
        runner.infer(images)


def test_a_runner_works_only_inside_its_block_and_may_be_entered_again(engine: tuple[Bundle, float]) -> None:
    runner = open_runner(engine[0], threads=1)
    with pytest.raises(BackendError, match="not open"):
        runner.infer(_images(1))

    with runner:
        first = runner.infer(_images(1)).score
        with pytest.raises(BackendError, match="open already"):
            runner.__enter__()
    with pytest.raises(BackendError, match="not open"):
        runner.infer(_images(1))

    with runner:
        np.testing.assert_array_equal(runner.infer(_images(1)).score, first)


def test_a_runner_closes_when_its_block_fails(engine: tuple[Bundle, float]) -> None:
    runner = open_runner(engine[0], threads=1)
    with pytest.raises(ZeroDivisionError), runner:
        raise ZeroDivisionError

    with pytest.raises(BackendError, match="not open"):
        runner.infer(_images(1))


def test_the_bundle_says_what_a_runner_is(engine: tuple[Bundle, float]) -> None:
    bundle = engine[0]
    runner = open_runner(bundle)

    assert (runner.backend, runner.precision) == (bundle.manifest.backend, bundle.manifest.precision)
    assert (runner.batch_range, runner.input_size) == ((1, 4), (SIZE, SIZE))


@pytest.mark.parametrize("cls", [OnnxRuntimeRunner, OpenVinoRunner])
@pytest.mark.parametrize("content", [b"", b"not a model", b"\x08\x07" * 500])
def test_a_damaged_model_is_one_error_that_names_it(cls: RunnerClass, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(content)

    with pytest.raises(BackendError, match=r"model\.onnx"):
        cls(path, input_size=(SIZE, SIZE)).__enter__()


@pytest.mark.parametrize("cls", [OnnxRuntimeRunner, OpenVinoRunner])
def test_a_missing_model_is_an_error(cls: RunnerClass, tmp_path: Path) -> None:
    with pytest.raises(BackendError, match=r"gone\.onnx"):
        cls(tmp_path / "gone.onnx", input_size=(SIZE, SIZE)).__enter__()


@pytest.mark.parametrize("cls", [OnnxRuntimeRunner, OpenVinoRunner])
def test_a_graph_of_another_size_than_stated_is_refused(
    cls: RunnerClass, toy_onnx: Callable[..., Path]
) -> None:
    with pytest.raises(BackendError, match="an engine takes"):
        cls(toy_onnx(size=SIZE), input_size=(64, 64)).__enter__()


@pytest.mark.parametrize("cls", [OnnxRuntimeRunner, OpenVinoRunner])
def test_external_data_beside_the_model_are_read(cls: RunnerClass, toy_onnx: Callable[..., Path]) -> None:
    path = toy_onnx(size=SIZE, external=True)
    assert path.with_name(f"{path.name}.data").stat().st_size > 0
    images = _images(2)

    with cls(path, input_size=(SIZE, SIZE), threads=1) as runner:
        np.testing.assert_allclose(runner.infer(images).anomaly_map, _expected_map(images), atol=1e-5)


@pytest.mark.parametrize("cls", [OnnxRuntimeRunner, OpenVinoRunner])
def test_values_that_are_not_finite_never_become_a_verdict(
    cls: RunnerClass, toy_onnx: Callable[..., Path], tmp_path: Path
) -> None:
    import onnx

    model = onnx.load(toy_onnx(size=SIZE))
    score = next(node for node in model.graph.node if node.output == ["score"])
    score.output[0] = "finite"
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.float32(np.nan), "nan"))
    model.graph.node.append(onnx.helper.make_node("Mul", ["finite", "nan"], ["score"]))
    onnx.save(model, tmp_path / "nan.onnx")

    with (
        cls(tmp_path / "nan.onnx", input_size=(SIZE, SIZE), threads=1) as runner,
        pytest.raises(BackendError, match="not finite"),
    ):
        runner.infer(_images(1))


@pytest.mark.parametrize("cls", [OnnxRuntimeRunner, OpenVinoRunner])
def test_less_than_one_thread_is_refused(cls: RunnerClass, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="threads is 0"):
        cls(tmp_path / "model.onnx", input_size=(SIZE, SIZE), threads=0)


def test_onnxruntime_refuses_a_precision_it_does_not_have(toy_onnx: Callable[..., Path]) -> None:
    runner = OnnxRuntimeRunner(toy_onnx(size=SIZE), precision="fp16", input_size=(SIZE, SIZE))

    with pytest.raises(BackendError, match=r"onnxruntime cannot do 'fp16'.*fp32, int8.*openvino"):
        runner.__enter__()
