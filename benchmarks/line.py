"""What the inspection loop costs beside the engine.

    python benchmarks/line.py --bundle FOLDER [--size 640x480] [--cameras 1] [--batch 1] [--frames 200]
        [--rounds 5] [--threads N] [--rate 100]

Cameras of so many pictures a second feed `run_line`. What the loop costs is the time from one decision to
the next less what the engine took for it, both on the line itself and a frame. In turns with it the engine
alone scores the same prepared images in batches as large: its frames a second are what the line's are a share
of. The picture is decoded beforehand, for decoding is the camera's part; it is resized for every frame, as on
a line, in another thread. A row with the median of the rounds is appended to benchmarks/results/line.csv.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
from rows import RESULTS, append_rows, machine

from realnet_edge.bundle import load_bundle
from realnet_edge.camera import Camera, Frame, Source, run_line
from realnet_edge.imaging import preprocess
from realnet_edge.runtime import Prediction, Runner, open_runner


class Timed:
    """The engine, with the seconds that it took for each batch and how many images that held."""

    threshold, bundle = 0.5, "measured"

    def __init__(self, runner: Runner) -> None:
        self.input_size = runner.input_size
        self.spent: list[tuple[int, float]] = []
        self._runner = runner

    def infer(self, images: npt.NDArray[np.uint8]) -> Prediction:
        started = time.perf_counter()
        prediction = self._runner.infer(images)
        self.spent.append((len(images), time.perf_counter() - started))
        return prediction


class Ready(Source):
    """A live camera of so many pictures a second, until so many frames were inspected."""

    name, live = "ready", True

    def __init__(self, picture: npt.NDArray[np.uint8], rate: float) -> None:
        self._picture = picture
        self._pause = 1.0 / rate
        self._stopped = False

    def __len__(self) -> int:
        return 0

    def frames(self) -> Iterator[Frame]:
        number = 0
        while not self._stopped:
            yield Frame(str(number), self.name, "", None, self._picture, None, 0.0)
            number += 1
            # A camera waits for its next exposure.
            time.sleep(self._pause)

    def stop(self) -> None:
        self._stopped = True

    def close(self) -> None:
        """Nothing is held."""


def alone(runner: Runner, picture: npt.NDArray[np.uint8], frames: int, batch: int) -> float:
    """Milliseconds a frame of the engine by itself."""
    pixels = np.stack([preprocess(picture, runner.input_size)] * batch)
    rounds = -(-frames // batch)
    started = time.perf_counter()
    for _ in range(rounds):
        runner.infer(pixels)
    return 1e3 * (time.perf_counter() - started) / (rounds * batch)


def on_the_line(
    runner: Runner, picture: npt.NDArray[np.uint8], frames: int, batch: int, cameras: int, rate: float
) -> tuple[float, float]:
    """Milliseconds a frame between decisions of the loop, and those of them that the engine took."""
    engine = Timed(runner)
    sources = [Camera(f"camera{number}", Ready(picture, rate)) for number in range(cameras)]
    # A wait, so that batches are full: those of the engine alone are.
    summary = run_line(engine, sources, [lambda _: None], frames, batch=batch, batch_wait_s=1.0)
    if not summary.fps:
        raise SystemExit("too few frames were inspected to say anything: raise --frames")
    # The first decision is where the first interval begins.
    rest = engine.spent[1:]
    seconds = sum(seconds for _, seconds in rest)
    return 1e3 / summary.fps, 1e3 * seconds / sum(images for images, _ in rest)


def main() -> None:
    """Measure, print and append."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--size", default="640x480", help="of the camera's pictures")
    parser.add_argument("--cameras", type=int, default=1)
    parser.add_argument("--batch", type=int, default=1, help="of the engine; within the bundle's range")
    parser.add_argument("--frames", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, help="of the engine")
    parser.add_argument("--rate", type=float, default=100, help="pictures a second of each camera")
    options = parser.parse_args()
    width, height = map(int, options.size.split("x"))
    picture = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    bundle = load_bundle(options.bundle)
    with open_runner(bundle, options.threads) as runner:
        alone(runner, picture, 5 * options.batch, options.batch)
        rounds = [
            (
                alone(runner, picture, options.frames, options.batch),
                *on_the_line(runner, picture, options.frames, options.batch, options.cameras, options.rate),
            )
            for _ in range(options.rounds)
        ]
    row = {
        "backend": runner.backend,
        "runtime": importlib.metadata.version(runner.backend),
        "precision": runner.precision,
        "size": options.size,
        "cameras": options.cameras,
        "rate": options.rate,
        "batch": options.batch,
        "frames": options.frames,
        "rounds": options.rounds,
        "threads": options.threads or "",
        "engine_ms": round(statistics.median(alone for alone, _, _ in rounds), 3),
        "line_ms": round(statistics.median(line for _, line, _ in rounds), 3),
        "overhead_ms": round(statistics.median(line - engine for _, line, engine in rounds), 3),
        "of_engine_fps": round(statistics.median(alone / line for alone, line, _ in rounds), 3),
        **machine(),
    }
    print(
        f"engine {row['engine_ms']} ms, line {row['line_ms']} ms a frame, {row['overhead_ms']} the loop's; "
        f"{row['of_engine_fps']} of the engine's frames a second"
    )
    append_rows(RESULTS / "line.csv", [row])


if __name__ == "__main__":
    main()
