"""Times one runner: the engine alone, and end to end from the encoded frame to the decision."""

from __future__ import annotations

import math
import resource
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from realnet_edge.errors import ConfigError
from realnet_edge.imaging import decode_image, preprocess
from realnet_edge.runtime import Runner

Times = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Timing:
    """Wall times of one runner at one batch size.

    Attributes:
        batch: images a call, at least 1.
        engine_ms: (R,) milliseconds of each engine call: preprocessed images in, map and score out.
        end_to_end_ms: (R,) milliseconds from encoded frames in memory to their decisions: decode,
            resize, engine, comparison with the threshold.
    """

    batch: int
    engine_ms: Times
    end_to_end_ms: Times


def measure(
    runner: Runner,
    frames: Sequence[bytes],
    batch: int,
    runs: int,
    warmup: int = 3,
    threshold: float | None = None,
) -> Timing:
    """Time a runner that is already open.

    Engine calls and end-to-end calls take turns, so a slow spell of the machine falls on both. The
    frames go round, so no two successive calls see the same images.

    Args:
        runner: inside its `with` block.
        frames: encoded image files in memory, at least one.
        batch: images a call.
        runs: timed calls of each kind.
        warmup: calls before the clock starts; first calls allocate, and some backends compile.
        threshold: image score above which a part is a defect; without one the comparison is left out.

    Raises:
        ConfigError: no frame, or a count below its minimum.
        BackendError: the engine failed.
    """
    if not frames or batch < 1 or runs < 1 or warmup < 0:
        raise ConfigError(
            f"cannot time {len(frames)} frames, batch {batch}, {runs} runs, {warmup} warm-up calls: "
            "give at least one frame, one image a batch and one run."
        )
    turns = [[frames[(call * batch + i) % len(frames)] for i in range(batch)] for call in range(len(frames))]
    for call in range(warmup):
        _end_to_end(runner, turns[call % len(turns)], threshold)
    engine, whole = np.empty(runs), np.empty(runs)
    for call in range(runs):
        encoded = turns[call % len(turns)]
        images = _prepare(runner, encoded)
        engine[call] = _milliseconds(partial(runner.infer, images))
        whole[call] = _milliseconds(partial(_end_to_end, runner, encoded, threshold))
    return Timing(batch, engine, whole)


def percentiles(times: Times) -> tuple[float, float, float]:
    """The 50th, 90th and 99th percentile: the smallest time that at least so many calls stayed within.

    No interpolation: each is a time that was really measured. With fewer than 100 calls the 99th is
    the slowest one.
    """
    ordered = np.sort(times)
    p50, p90, p99 = (float(ordered[math.ceil(q * len(ordered) / 100) - 1]) for q in (50, 90, 99))
    return p50, p90, p99


def throughput(times: Times, batch: int) -> float:
    """Images a second over all calls, slow ones included."""
    return float(1000.0 * batch * len(times) / times.sum())


def peak_memory_mb() -> float:
    """Highest resident memory of this process so far, megabytes of 10^6 bytes."""
    status = Path("/proc/self/status")
    if status.exists():
        # Not getrusage here: on Linux its figure starts with the parent's memory, carried over by fork.
        for line in status.read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / 1e6
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # macOS counts bytes, the others kibibytes.
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6


def _prepare(runner: Runner, encoded: Sequence[bytes]) -> npt.NDArray[np.uint8]:
    """Decode and resize frames to the runner's (N, H, W, 3) input."""
    return np.stack([preprocess(decode_image(frame, "frame"), runner.input_size) for frame in encoded])


def _end_to_end(
    runner: Runner, encoded: Sequence[bytes], threshold: float | None
) -> npt.NDArray[np.bool_] | None:
    """What a camera loop does with frames once it has received them."""
    scores = runner.infer(_prepare(runner, encoded)).score
    return None if threshold is None else scores > threshold


def _milliseconds(call: Callable[[], object]) -> float:
    start = time.perf_counter_ns()
    call()
    return (time.perf_counter_ns() - start) / 1e6
