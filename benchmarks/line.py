"""What the inspection loop costs beside the engine.

    python benchmarks/line.py --bundle FOLDER [--size 640x480] [--frames 200] [--rounds 5] [--threads N]

A camera that always has a picture ready feeds `run_line`. What the loop costs is the time between two
decisions less what the engine took for one, both on the line itself. In turns with it the engine alone scores
the same prepared image: its frames a second are what the line's are a share of. The picture is decoded
beforehand, for decoding is the camera's part; it is resized for every frame, as on a line, in another thread.
A row with the median of the rounds is appended to benchmarks/results/line.csv.
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
from realnet_edge.camera import Frame, Inspection, SingleEngine, Source, run_line
from realnet_edge.imaging import preprocess
from realnet_edge.runtime import Runner, open_runner


class Ready(Source):
    """A live camera that is faster than any engine, until so many frames were inspected."""

    name, live = "ready", True

    def __init__(self, picture: npt.NDArray[np.uint8]) -> None:
        self._picture = picture
        self._stopped = False

    def __len__(self) -> int:
        return 0

    def frames(self) -> Iterator[Frame]:
        number = 0
        while not self._stopped:
            yield Frame(str(number), self.name, "", None, self._picture, None, 0.0)
            number += 1
            # A camera waits for its next exposure; without this the threads would fight for Python alone.
            time.sleep(0.001)

    def stop(self) -> None:
        self._stopped = True

    def close(self) -> None:
        """Nothing is held."""


def alone(runner: Runner, picture: npt.NDArray[np.uint8], frames: int) -> float:
    """Milliseconds a frame of the engine by itself."""
    pixels = preprocess(picture, runner.input_size)[None]
    started = time.perf_counter()
    for _ in range(frames):
        runner.infer(pixels)
    return 1e3 * (time.perf_counter() - started) / frames


def on_the_line(runner: Runner, picture: npt.NDArray[np.uint8], frames: int) -> tuple[float, float]:
    """Milliseconds between two decisions of the loop, and those of them that the engine took."""
    engine: list[float] = []

    def note(inspection: Inspection) -> None:
        if inspection.latency:
            engine.append(inspection.latency.engine)

    summary = run_line(SingleEngine(runner, 0.5, "measured"), Ready(picture), [note], limit=frames)
    if not summary.fps:
        raise SystemExit("too few frames were inspected to say anything: raise --frames")
    # The first decision is where the first interval begins.
    return 1e3 / summary.fps, statistics.fmean(engine[1:])


def main() -> None:
    """Measure, print and append."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--size", default="640x480", help="of the camera's pictures")
    parser.add_argument("--frames", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, help="of the engine")
    options = parser.parse_args()
    width, height = map(int, options.size.split("x"))
    picture = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    bundle = load_bundle(options.bundle)
    with open_runner(bundle, options.threads) as runner:
        alone(runner, picture, 5)
        rounds = [
            (alone(runner, picture, options.frames), *on_the_line(runner, picture, options.frames))
            for _ in range(options.rounds)
        ]
    row = {
        "backend": runner.backend,
        "runtime": importlib.metadata.version(runner.backend),
        "precision": runner.precision,
        "size": options.size,
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
