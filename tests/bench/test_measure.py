from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from realnet_edge.bench.measure import measure, peak_memory_mb, percentiles, throughput
from realnet_edge.bundle import Bundle
from realnet_edge.errors import ConfigError, DataError
from realnet_edge.runtime import Prediction, Runner, open_runner


class CountingRunner(Runner):
    """Answers with the mean of each image and keeps what it was given."""

    def __init__(self) -> None:
        super().__init__(
            backend="onnxruntime", precision="fp32", arithmetic="f32", batch_range=(1, 8), input_size=(8, 8)
        )
        self.seen: list[list[int]] = []

    def _open(self) -> None:
        self.seen = []

    def _close(self) -> None:
        pass

    def _execute(self, images: npt.NDArray[np.uint8], diagnostics: bool) -> Prediction:
        self.seen.append([int(image[0, 0, 0]) for image in images])
        maps = images[..., 0].astype(np.float32) / 255
        return Prediction(maps, maps.mean(axis=(1, 2)))


def frames(count: int) -> list[bytes]:
    """Encoded grey images; image i has the value i everywhere."""
    encoded = []
    for value in range(count):
        stream = io.BytesIO()
        Image.fromarray(np.full((20, 20, 3), value, np.uint8)).save(stream, "PNG")
        encoded.append(stream.getvalue())
    return encoded


def test_engine_and_end_to_end_take_turns_over_changing_frames() -> None:
    with CountingRunner() as runner:
        timing = measure(runner, frames(3), batch=2, runs=4, warmup=1)
        assert runner.seen == [
            [0, 1],  # warm-up
            *([0, 1], [0, 1]),
            *([2, 0], [2, 0]),
            *([1, 2], [1, 2]),
            *([0, 1], [0, 1]),
        ]
    assert timing.batch == 2
    assert timing.engine_ms.shape == timing.end_to_end_ms.shape == (4,)
    assert (timing.engine_ms > 0).all()
    assert (timing.end_to_end_ms > 0).all()


def test_a_frame_that_cannot_be_decoded_is_an_error() -> None:
    with CountingRunner() as runner, pytest.raises(DataError, match="frame"):
        measure(runner, [b"no image"], batch=1, runs=1)


@pytest.mark.parametrize("wrong", [{"batch": 0}, {"runs": 0}, {"warmup": -1}])
def test_counts_below_their_minimum_are_refused(wrong: dict[str, int]) -> None:
    with CountingRunner() as runner, pytest.raises(ConfigError, match="cannot time"):
        measure(runner, frames(1), **{"batch": 1, "runs": 1, **wrong})


def test_a_real_engine_is_timed(build_bundle: Callable[..., Bundle], images: npt.NDArray[np.uint8]) -> None:
    stream = io.BytesIO()
    Image.fromarray(images[0]).save(stream, "PNG")
    with open_runner(build_bundle(), 1) as runner:
        timing = measure(runner, [stream.getvalue()], batch=3, runs=2, threshold=0.5)
    assert np.isfinite(timing.end_to_end_ms).all()


def test_percentiles_are_times_that_were_measured() -> None:
    assert percentiles(np.arange(1.0, 101.0)[::-1]) == (50.0, 90.0, 99.0)
    assert percentiles(np.array([3.0, 1.0, 2.0])) == (2.0, 3.0, 3.0)
    assert percentiles(np.array([7.0])) == (7.0, 7.0, 7.0)


def test_throughput_counts_slow_calls() -> None:
    assert throughput(np.array([10.0, 10.0, 80.0]), 2) == pytest.approx(60.0)


def test_peak_memory_is_that_of_the_process_alone() -> None:
    held = np.ones(50_000_000)  # 400 MB in this process
    code = "from realnet_edge.bench.measure import peak_memory_mb; print(peak_memory_mb())"
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 5 < float(child.stdout) < 400
    assert peak_memory_mb() > held.nbytes / 1e6
